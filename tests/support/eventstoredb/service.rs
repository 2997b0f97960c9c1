//! What the stand-in answers.

#![expect(
    clippy::result_large_err,
    reason = "that is how large the library's status is"
)]

use std::pin::Pin;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::Request;
use axum::routing::post;
use tokio::sync::{mpsc, watch};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::ProstCodec;
use tonic::metadata::MetadataMap;
use tonic::server::Grpc;
use tonic::{Response, Status, Streaming};
use tower::service_fn;

use super::Behaviour;
use super::log::{Event, Log};
use super::messages::{
    AllOption, AppendContent, AppendReq, AppendResp, ClusterInfo, Confirmation, CountOption, Empty,
    EndPoint, Expected, FilterOption, Member, Position, ReadContent, ReadEvent, ReadOptions,
    ReadReq, ReadResp, RevisionOption, StreamNotFound, StreamOption, StreamOptions,
    SupportedMethods,
};

/// What `MaxAppendSize` is when nobody sets it.
const APPEND_BYTES_MAX: usize = 1_048_576;

/// Messages that may wait for a client that reads slowly.
const MESSAGES_WAITING_MAX: usize = 64;

/// Events that a subscription takes at a time.
const PAGE_EVENTS: u64 = 256;

const FOLLOWER: i32 = 6;
const LEADER: i32 = 8;

type Answers = Pin<Box<dyn Stream<Item = Result<ReadResp, Status>> + Send>>;

/// What the connections of a stand-in share.
pub struct Shared {
    port: u16,
    behaviour: Behaviour,
    cluster: Arc<Cluster>,
}

/// What the members of a cluster share.
struct Cluster {
    log: Mutex<Log>,
    /// Counts what is written.
    written: watch::Sender<u64>,
    /// Counts how often subscriptions were ended.
    ended: watch::Sender<u64>,
    subscriptions: AtomicUsize,
    leader: AtomicU16,
}

impl Shared {
    pub fn new(port: u16, behaviour: &Behaviour) -> Self {
        Self {
            port,
            behaviour: behaviour.clone(),
            cluster: Arc::new(Cluster {
                log: Mutex::new(Log::new()),
                written: watch::Sender::new(0),
                ended: watch::Sender::new(0),
                subscriptions: AtomicUsize::new(0),
                leader: AtomicU16::new(behaviour.cluster.first().copied().unwrap_or(port)),
            }),
        }
    }

    pub fn member(&self, port: u16) -> Self {
        Self {
            port,
            behaviour: self.behaviour.clone(),
            cluster: Arc::clone(&self.cluster),
        }
    }

    pub fn lead_by(&self, port: u16) {
        self.cluster.leader.store(port, Ordering::SeqCst);
    }

    pub fn end_subscriptions(&self) {
        self.cluster.ended.send_modify(|ended| *ended += 1);
    }

    pub fn subscriptions(&self) -> usize {
        self.cluster.subscriptions.load(Ordering::SeqCst)
    }

    pub fn write_foreign(&self, stream: &str, event_type: &str, metadata: &str) {
        self.log().write_foreign(stream, event_type, metadata);
        self.cluster.written.send_modify(|written| *written += 1);
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.cluster
            .log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn leader(&self) -> u16 {
        self.cluster.leader.load(Ordering::SeqCst)
    }

    /// Lets only those in who give the right name and password.
    fn authenticate(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let Some((name, password)) = &self.behaviour.user else {
            return Ok(());
        };
        use base64::Engine;
        let pair = format!("{name}:{password}");
        let wanted = base64::engine::general_purpose::STANDARD.encode(pair);
        let given = metadata
            .get("authorization")
            .and_then(|given| given.to_str().ok());
        if given == Some(&format!("Basic {wanted}")) {
            Ok(())
        } else {
            Err(Status::unauthenticated("unknown user"))
        }
    }

    async fn append(&self, mut requests: Streaming<AppendReq>) -> Result<AppendResp, Status> {
        let leader = self.leader();
        if leader != self.port {
            let mut status = Status::not_found("leader info available");
            let metadata = status.metadata_mut();
            metadata.insert("exception", "not-leader".parse().expect("it is ASCII"));
            metadata.insert(
                "leader-endpoint-host",
                "127.0.0.1".parse().expect("it is ASCII"),
            );
            metadata.insert("leader-endpoint-port", leader.into());
            return Err(status);
        }
        let (mut options, mut events, mut bytes) = (None, Vec::new(), 0);
        while let Some(request) = requests.message().await? {
            match request.content {
                Some(AppendContent::Options(given)) => options = Some(given),
                Some(AppendContent::Proposed(event)) => {
                    bytes += event.data.len() + event.custom_metadata.len();
                    events.push(event);
                }
                None => return Err(Status::invalid_argument("an append without content")),
            }
        }
        let limit = self.behaviour.append_bytes_max.unwrap_or(APPEND_BYTES_MAX);
        if bytes > limit {
            return Err(Status::invalid_argument(format!(
                "Maximum Append Size of {limit} Exceeded."
            )));
        }
        let options =
            options.ok_or_else(|| Status::invalid_argument("an append without options"))?;
        let stream = name(
            options
                .stream_identifier
                .map(|identifier| identifier.stream_name),
        )?;
        let expected = options.expected.unwrap_or(Expected::Any(Empty {}));
        let result = self.log().append(&stream, expected, events);
        self.cluster.written.send_modify(|written| *written += 1);
        Ok(AppendResp {
            result: Some(result),
        })
    }

    fn read(self: &Arc<Self>, request: ReadReq) -> Result<Answers, Status> {
        let options = request
            .options
            .ok_or_else(|| Status::invalid_argument("no options"))?;
        match options.count_option {
            Some(CountOption::Count(count)) => {
                let found = self.page(&options, count)?;
                Ok(Box::pin(tokio_stream::iter(found.into_iter().map(Ok))))
            }
            Some(CountOption::Subscription(_)) => self.subscribe(&options),
            None => Err(Status::invalid_argument(
                "neither a count nor a subscription",
            )),
        }
    }

    fn page(&self, options: &ReadOptions, count: u64) -> Result<Vec<ReadResp>, Status> {
        let forward = options.read_direction == 0;
        let log = self.log();
        let events = match &options.stream_option {
            Some(StreamOption::Stream(stream)) => {
                let (name, from) = place(stream)?;
                if !log.has(&name) {
                    return Ok(vec![not_found(stream)]);
                }
                match forward {
                    true => log.stream(&name, from.unwrap_or(0), count),
                    false => log.stream_back(&name, from, count),
                }
            }
            Some(StreamOption::All(all)) => match (forward, all.all_option) {
                (true, Some(AllOption::Position(from))) => log.all(from.commit_position, count),
                (true, Some(AllOption::End(_))) => Vec::new(),
                (true, _) => log.all(0, count),
                (false, Some(AllOption::Position(before))) => {
                    log.all_back(Some(before.commit_position), count)
                }
                (false, _) => log.all_back(None, count),
            },
            None => return Err(Status::invalid_argument("neither a stream nor $all")),
        };
        Ok(events.into_iter().map(answer).collect())
    }

    fn subscribe(self: &Arc<Self>, options: &ReadOptions) -> Result<Answers, Status> {
        let Some(StreamOption::All(all)) = &options.stream_option else {
            return self.subscribe_to_stream(options);
        };
        let from = match all.all_option {
            Some(AllOption::Position(after)) => after.commit_position + 1,
            Some(AllOption::End(_)) => {
                let log = self.log();
                log.all_back(None, 1)
                    .first()
                    .map_or(0, |last| last.position + 1)
            }
            Some(AllOption::Start(_)) | None => 0,
        };
        let filtered = matches!(options.filter_option, Some(FilterOption::Filter(_)));
        Ok(self.follow(from, move |log, from| {
            let page = log.all(from, PAGE_EVENTS);
            let next = page.last().map_or(from, |last| last.position + 1);
            let passed_over = page.last().is_some_and(|last| filtered && last.is_system());
            let mut answers: Vec<ReadResp> = page
                .into_iter()
                .filter(|event| !(filtered && event.is_system()))
                .map(answer)
                .collect();
            if passed_over {
                answers.push(content(ReadContent::Checkpoint(at(next - 1))));
            }
            (answers, next)
        }))
    }

    fn subscribe_to_stream(self: &Arc<Self>, options: &ReadOptions) -> Result<Answers, Status> {
        let Some(StreamOption::Stream(stream)) = &options.stream_option else {
            return Err(Status::invalid_argument("neither a stream nor $all"));
        };
        let (name, after) = place(stream)?;
        let from = match stream.revision_option {
            Some(RevisionOption::Revision(_)) => after.map_or(0, |after| after + 1),
            Some(RevisionOption::End(_)) => self.log().stream(&name, 0, u64::MAX).len() as u64,
            Some(RevisionOption::Start(_)) | None => 0,
        };
        Ok(self.follow(from, move |log, from| {
            let page = log.stream(&name, from, PAGE_EVENTS);
            let next = from + page.len() as u64;
            (page.into_iter().map(answer).collect(), next)
        }))
    }

    /// Sends pages as they come, until the client is gone or subscriptions are ended.
    fn follow(
        self: &Arc<Self>,
        mut from: u64,
        page: impl Fn(&Log, u64) -> (Vec<ReadResp>, u64) + Send + 'static,
    ) -> Answers {
        let (sender, receiver) = mpsc::channel(MESSAGES_WAITING_MAX);
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let _counted = Counted::new(Arc::clone(&shared.cluster));
            let mut written = shared.cluster.written.subscribe();
            let mut ended = shared.cluster.ended.subscribe();
            let subscription_id = from.to_string();
            let mut answers = vec![content(ReadContent::Confirmation(Confirmation {
                subscription_id,
            }))];
            let mut caught_up = false;
            loop {
                for answer in answers.drain(..) {
                    if sender.send(Ok(answer)).await.is_err() {
                        return;
                    }
                }
                let (more, next) = page(&shared.log(), from);
                from = next;
                answers = more;
                if !answers.is_empty() {
                    continue;
                }
                if !std::mem::replace(&mut caught_up, true) {
                    answers.push(content(ReadContent::CaughtUp(Empty {})));
                    continue;
                }
                tokio::select! {
                    _ = written.changed() => {}
                    _ = ended.changed() => return,
                    () = sender.closed() => return,
                }
            }
        });
        Box::pin(ReceiverStream::new(receiver))
    }

    fn gossip(&self) -> ClusterInfo {
        let member = |port: &u16| Member {
            instance_id: Some(super::messages::Uuid { value: None }),
            time_stamp: 0,
            state: if *port == self.leader() {
                LEADER
            } else {
                FOLLOWER
            },
            is_alive: true,
            http_end_point: Some(EndPoint {
                address: "127.0.0.1".to_owned(),
                port: u32::from(*port),
            }),
        };
        ClusterInfo {
            members: self.behaviour.cluster.iter().map(member).collect(),
        }
    }
}

/// One of the subscriptions that there are.
struct Counted(Arc<Cluster>);

impl Counted {
    fn new(cluster: Arc<Cluster>) -> Self {
        cluster.subscriptions.fetch_add(1, Ordering::SeqCst);
        Self(cluster)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.subscriptions.fetch_sub(1, Ordering::SeqCst);
    }
}

fn content(content: ReadContent) -> ReadResp {
    ReadResp {
        content: Some(content),
    }
}

fn answer(event: &Event) -> ReadResp {
    content(ReadContent::Event(ReadEvent {
        event: Some(event.to_message()),
        commit_position: Some(event.position),
    }))
}

const fn at(position: u64) -> Position {
    Position {
        commit_position: position,
        prepare_position: position,
    }
}

fn not_found(stream: &StreamOptions) -> ReadResp {
    let stream_identifier = stream.stream_identifier.clone();
    content(ReadContent::StreamNotFound(StreamNotFound {
        stream_identifier,
    }))
}

fn place(stream: &StreamOptions) -> Result<(String, Option<u64>), Status> {
    let identifier = stream.stream_identifier.as_ref();
    let name = name(identifier.map(|identifier| identifier.stream_name.clone()))?;
    let revision = match stream.revision_option {
        Some(RevisionOption::Revision(revision)) => Some(revision),
        Some(RevisionOption::Start(_)) => Some(0),
        Some(RevisionOption::End(_)) | None => None,
    };
    Ok((name, revision))
}

fn name(bytes: Option<Vec<u8>>) -> Result<String, Status> {
    let bytes = bytes.ok_or_else(|| Status::invalid_argument("no stream is named"))?;
    String::from_utf8(bytes).map_err(|_| Status::invalid_argument("a stream's name is not UTF-8"))
}

/// The services, by their paths.
pub fn router(shared: &Arc<Shared>) -> Router {
    let read = Arc::clone(shared);
    let append = Arc::clone(shared);
    let gossip = Arc::clone(shared);
    Router::new()
        .route(
            "/event_store.client.streams.Streams/Read",
            post(move |request: Request| {
                let shared = Arc::clone(&read);
                let service = service_fn(move |request: tonic::Request<ReadReq>| {
                    let shared = Arc::clone(&shared);
                    async move {
                        shared.authenticate(request.metadata())?;
                        Ok(Response::new(shared.read(request.into_inner())?))
                    }
                });
                async move {
                    Grpc::new(ProstCodec::default())
                        .server_streaming(service, request)
                        .await
                }
            }),
        )
        .route(
            "/event_store.client.streams.Streams/Append",
            post(move |request: Request| {
                let shared = Arc::clone(&append);
                let service = service_fn(move |request: tonic::Request<Streaming<AppendReq>>| {
                    let shared = Arc::clone(&shared);
                    async move {
                        shared.authenticate(request.metadata())?;
                        Ok(Response::new(shared.append(request.into_inner()).await?))
                    }
                });
                async move {
                    Grpc::new(ProstCodec::default())
                        .client_streaming(service, request)
                        .await
                }
            }),
        )
        .route(
            "/event_store.client.gossip.Gossip/Read",
            post(move |request: Request| {
                let shared = Arc::clone(&gossip);
                let service = service_fn(move |_: tonic::Request<Empty>| {
                    let members = shared.gossip();
                    async move { Ok(Response::new(members)) }
                });
                async move {
                    Grpc::new(ProstCodec::default())
                        .unary(service, request)
                        .await
                }
            }),
        )
        .route(
            "/event_store.client.server_features.ServerFeatures/GetSupportedMethods",
            post(|request: Request| {
                let service = service_fn(|_: tonic::Request<Empty>| async {
                    Ok(Response::new(SupportedMethods {
                        event_store_server_version: "24.10.0".to_owned(),
                    }))
                });
                async move {
                    Grpc::new(ProstCodec::default())
                        .unary(service, request)
                        .await
                }
            }),
        )
}
