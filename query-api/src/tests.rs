//! Live state over real sockets, and queries, on a real log.

mod access;
mod bounds;
mod crowded;
mod export;
mod followers;
mod history;
mod past;
mod picky;
mod resuming;
mod scopes;
mod slow;
mod unreadable;

use std::time::Duration;

use firefly_domain::control::{Progress, ProjectProgress};
use firefly_domain::project::{Command, Origin, Outcome};
use firefly_domain::{
    Actor, ContainerId, Endpoint, Generation, Project, ProjectKey, Segment, SessionId, Source, Step,
};
use firefly_event_store::sqlite::SqliteEventStore;
use firefly_event_store::{Context, Position, handle};
use firefly_identity::{Identity, Secret, Tokens};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use serde_json::Value;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::broadcast;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::*;

/// Long enough for a loaded machine; reached only by a test that fails.
const DEADLINE: Duration = Duration::from_secs(20);

/// Bytes that a client's system reads ahead of it, so that a slow one is soon known as slow.
const SOCKET_BYTES: u32 = 64 * 1_024;

/// The user who may read everything.
const AUDITOR: &str = "audrey";

/// Read models that have taken in everything.
struct AlwaysFresh;

impl Freshness for AlwaysFresh {
    fn reached(&self, _position: Position) -> BoxFuture<'static, ()> {
        async {}.boxed()
    }
}

struct Live {
    address: std::net::SocketAddr,
    app: App,
    router: Router,
    store: Arc<dyn EventStore>,
    hub: Hub,
    tokens: Tokens,
    authenticator: Authenticator,
    progress: broadcast::Sender<ProjectProgress>,
    shutdown: CancellationToken,
    /// No row is in them but what a test puts there.
    read_models: Database,
    _home: tempfile::TempDir,
}

impl Live {
    async fn start() -> Self {
        Self::with(Arc::new(AlwaysFresh), LIVE_SOCKETS_MAX).await
    }

    async fn with(freshness: Arc<dyn Freshness>, live_sockets_max: usize) -> Self {
        let home = tempfile::tempdir().unwrap();
        let store: Arc<dyn EventStore> = Arc::new(
            SqliteEventStore::open(&home.path().join("events.db"))
                .await
                .unwrap(),
        );
        let tokens = Tokens::new(&Secret::load_or_create(&home.path().join("secret")).unwrap());
        let authenticator = Authenticator::new(tokens.clone());
        let shutdown = CancellationToken::new();
        let hub = Hub::new("http://project.localhost:2440", authenticator.clone());
        let progress = broadcast::Sender::new(16);
        let running = hub.clone();
        tokio::spawn(running.run(Arc::clone(&store), progress.subscribe(), shutdown.clone()));
        let url = format!("sqlite:{}", home.path().join("read-models.db").display());
        let read_models = firefly_read_models::open(&url).await.unwrap();
        let config = Config {
            authenticator: authenticator.clone(),
            auditor: Some(Segment::parse(AUDITOR).unwrap()),
            read_models: read_models.clone(),
            freshness,
            preview_url: "http://project.localhost:2440".into(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = App {
            config: Arc::new(config),
            store: Arc::clone(&store),
            hub: hub.clone(),
            live_places: Arc::new(Semaphore::new(live_sockets_max)),
            stream_places: Arc::new(Semaphore::new(live_sockets_max)),
            live_users: crate::live::room::Users::default(),
            catch_ups: Arc::new(Semaphore::new(CATCH_UPS_MAX)),
            export_places: Arc::new(Semaphore::new(EXPORTS_MAX)),
        };
        let router = routes(app.clone());
        let served = router.clone();
        tokio::spawn(async move { axum::serve(listener, served).await });
        Self {
            address,
            app,
            router,
            store,
            hub,
            tokens,
            authenticator,
            progress,
            shutdown,
            read_models,
            _home: home,
        }
    }

    fn identity(&self, user: &str) -> Identity {
        Identity {
            user: Segment::parse(user).unwrap(),
            session: SessionId::from_uuid(Uuid::now_v7()),
        }
    }

    fn token(&self, user: &str) -> String {
        self.tokens
            .issue(&self.identity(user), chrono::Utc::now())
            .token
    }

    async fn connect(&self, query: &str) -> Result<Socket, SocketError> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(SOCKET_BYTES).unwrap();
        let stream = socket.connect(self.address).await.unwrap();
        let url = format!("ws://{}/api/v1/live?{query}", self.address);
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await?;
        Ok(Socket(socket))
    }

    async fn alice(&self, query: &str) -> Socket {
        self.connect(&format!("token={}{query}", self.token("alice")))
            .await
            .unwrap()
    }

    async fn command(&self, key: &ProjectKey, command: Command) -> u64 {
        let context = Context::new(Actor::User(key.user.clone()), Uuid::new_v4());
        let handled = handle::<Project>(&*self.store, key.id().as_uuid(), command, &context)
            .await
            .unwrap();
        handled.position.number()
    }

    async fn open(&self, key: &ProjectKey) -> u64 {
        let source = Source::Template(Segment::parse("starter").unwrap());
        self.command(
            key,
            Command::Open {
                key: key.clone(),
                source,
                branch: None,
            },
        )
        .await
    }

    async fn report(&self, key: &ProjectKey, outcome: Outcome) -> u64 {
        self.command(
            key,
            Command::Report {
                generation: Generation::new(1),
                outcome,
            },
        )
        .await
    }

    async fn become_ready(&self, key: &ProjectKey) -> u64 {
        let duration_ms = 1;
        let container = ContainerId::new("c1");
        let started = Outcome::ContainerStarted {
            container,
            image: "i".into(),
            origin: Origin::New,
            duration_ms,
        };
        self.report(key, started).await;
        self.report(
            key,
            Outcome::Resumed {
                branch: None,
                commit: None,
                duration_ms,
            },
        )
        .await;
        self.report(
            key,
            Outcome::Installed {
                packages: 0,
                reused: false,
                duration_ms,
            },
        )
        .await;
        self.report(
            key,
            Outcome::Ready {
                endpoint: Endpoint::new("h:1"),
                duration_ms,
            },
        )
        .await
    }
}

struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    async fn next(&mut self) -> Value {
        match self.raw().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("not a message: {other:?}"),
        }
    }

    async fn raw(&mut self) -> Message {
        tokio::time::timeout(DEADLINE, self.0.next())
            .await
            .expect("nothing came")
            .expect("the socket ended")
            .unwrap()
    }

    async fn close_frame(&mut self) -> CloseFrame {
        match self.raw().await {
            Message::Close(Some(frame)) => frame,
            other => panic!("not closed: {other:?}"),
        }
    }

    /// The changes up to a position; each later than the one before it.
    async fn changes_until(&mut self, position: u64) -> Vec<(u64, String)> {
        let mut changes: Vec<(u64, String)> = Vec::new();
        while changes
            .last()
            .is_none_or(|(reached, _)| *reached < position)
        {
            let change = self.next().await;
            assert_eq!(change["type"], "change");
            let reached = change["position"].as_u64().unwrap();
            assert!(
                changes.last().is_none_or(|(before, _)| *before < reached),
                "{changes:?}, then {change}"
            );
            assert_eq!(change["event"]["position"], reached);
            changes.push((
                reached,
                change["project"]["state"].as_str().unwrap().to_owned(),
            ));
        }
        changes
    }
}

fn app() -> ProjectKey {
    ProjectKey::new("alice", "montage", "app").unwrap()
}

#[tokio::test]
async fn a_snapshot_comes_first_and_then_every_change() {
    let live = Live::start().await;
    let opened = live.open(&app()).await;
    let mut socket = live.alice("").await;
    let mut seen = 0;
    let snapshot = socket.next().await;
    assert_eq!(snapshot["type"], "snapshot");
    // The socket may have come before live state had taken the opening in.
    if snapshot["position"] == opened {
        assert_eq!(snapshot["projects"][0]["key"], "alice/montage/app");
        seen = opened;
    }
    let ready = live.become_ready(&app()).await;
    let changes = socket.changes_until(ready).await;
    assert_eq!(changes.len() as u64, ready - seen);
    assert_eq!(changes.last().unwrap().1, "ready");
}

#[tokio::test]
async fn a_client_that_comes_back_gets_what_it_missed_and_no_more() {
    let live = Live::start().await;
    let opened = live.open(&app()).await;
    let ready = live.become_ready(&app()).await;
    let closed = live.command(&app(), Command::Close).await;
    for after in opened..closed {
        let mut socket = live.alice(&format!("&after={after}")).await;
        let changes = socket.changes_until(closed).await;
        let positions: Vec<u64> = changes.iter().map(|(position, _)| *position).collect();
        assert_eq!(positions, ((after + 1)..=closed).collect::<Vec<_>>());
        // State as it was after that very event, not as it is now.
        let at_ready = changes.iter().find(|(position, _)| *position == ready);
        assert!(
            at_ready.is_none_or(|(_, state)| state == "ready"),
            "{changes:?}"
        );
    }
}

#[tokio::test]
async fn resuming_while_changes_come_leaves_no_gap() {
    let live = Live::start().await;
    let first = live.open(&app()).await;
    let keys: Vec<ProjectKey> = (0..60)
        .map(|number| ProjectKey::new("alice", "montage", &format!("app{number}")).unwrap())
        .collect();
    let writing = async {
        let mut last = 0;
        for key in &keys {
            last = live.open(key).await;
        }
        last
    };
    let reading = async {
        let mut after = first;
        // Comes back again and again in the middle of it all.
        while after < first + 60 {
            let mut socket = live.alice(&format!("&after={after}")).await;
            for _ in 0..7 {
                let change = socket.next().await;
                assert_eq!(change["position"], after + 1);
                after += 1;
                if after == first + 60 {
                    break;
                }
            }
        }
    };
    let (last, ()) = tokio::time::timeout(DEADLINE, futures::future::join(writing, reading))
        .await
        .unwrap();
    assert_eq!(last, first + 60);
}

#[tokio::test]
async fn a_caller_sees_their_own_projects_only() {
    let live = Live::start().await;
    let bobs = ProjectKey::new("bob", "montage", "app").unwrap();
    live.open(&bobs).await;
    let mut socket = live.alice("").await;
    assert_eq!(socket.next().await["projects"], serde_json::json!([]));
    live.command(&bobs, Command::Close).await;
    let mine = live.open(&app()).await;
    let change = socket.next().await;
    assert_eq!(
        (&change["position"], &change["project"]["user"]),
        (&mine.into(), &"alice".into())
    );
}

#[tokio::test]
async fn progress_is_passed_on_to_the_owner() {
    let live = Live::start().await;
    let mut socket = live.alice("").await;
    socket.next().await;
    let step = |key: ProjectKey, done| ProjectProgress {
        project: key,
        generation: Generation::new(1),
        progress: Progress {
            step: Step::Install,
            done,
            total: Some(212),
            text: "fetching".into(),
        },
    };
    live.progress
        .send(step(ProjectKey::new("bob", "montage", "app").unwrap(), 1))
        .unwrap();
    live.progress.send(step(app(), 40)).unwrap();
    let message = socket.next().await;
    assert_eq!(
        (&message["type"], &message["done"]),
        (&"progress".into(), &40.into())
    );
}

#[tokio::test]
async fn bad_tokens_and_unknown_positions_are_refused() {
    let live = Live::start().await;
    let status = |outcome: Result<Socket, SocketError>| match outcome {
        Err(SocketError::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
        Ok(_) => 101,
    };
    assert_eq!(status(live.connect("token=x").await), 401);
    assert_eq!(status(live.connect("").await), 401);
    let token = live.token("alice");
    assert_eq!(
        status(live.connect(&format!("token={token}&after=99")).await),
        400
    );
    assert_eq!(
        status(live.connect(&format!("token={token}&after=-1")).await),
        400
    );

    let identity = live.identity("alice");
    let token = live.tokens.issue(&identity, chrono::Utc::now()).token;
    live.authenticator.end(identity.session, chrono::Utc::now());
    assert_eq!(status(live.connect(&format!("token={token}")).await), 401);
}
