//! What the stand-in answers.

#![expect(
    clippy::result_large_err,
    reason = "that is how large the library's status is"
)]

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Status, Streaming};

use super::cluster::{Counted, Shared};
use super::log::{Event, Log};
use super::messages::{
    AllOption, AllOptions, AppendContent, AppendReq, AppendResp, Confirmation, CountOption, Empty,
    Expected, FilterOption, Position, ReadContent, ReadEvent, ReadOptions, ReadReq, ReadResp,
    RevisionOption, StreamNotFound, StreamOption, StreamOptions,
};

/// What `MaxAppendSize` is when nobody sets it.
const APPEND_BYTES_MAX: usize = 1_048_576;

/// Messages that may wait for a client that reads slowly.
const MESSAGES_WAITING_MAX: usize = 64;

/// Events that a subscription takes at a time.
const PAGE_EVENTS: usize = 256;

pub type Answers = Pin<Box<dyn Stream<Item = Result<ReadResp, Status>> + Send>>;

impl Shared {
    pub async fn append(&self, mut requests: Streaming<AppendReq>) -> Result<AppendResp, Status> {
        self.check_is_leader()?;
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
        if self.is_silent() {
            // It has happened all the same.
            return std::future::pending().await;
        }
        Ok(AppendResp {
            result: Some(result),
        })
    }

    pub fn read(self: &Arc<Self>, request: ReadReq) -> Result<Answers, Status> {
        let options = request
            .options
            .ok_or_else(|| Status::invalid_argument("no options"))?;
        match options.count_option {
            Some(CountOption::Count(count)) => {
                let found = self.page(&options, count)?;
                let found = tokio_stream::iter(found.into_iter().map(Ok));
                if self.is_silent() {
                    // It falls silent in the middle, if there is one.
                    return Ok(Box::pin(found.take(1).chain(tokio_stream::pending())));
                }
                match self.behaviour.pause {
                    Some(pause) => Ok(Box::pin(found.then(move |answer| async move {
                        tokio::time::sleep(pause).await;
                        answer
                    }))),
                    None => Ok(Box::pin(found)),
                }
            }
            Some(CountOption::Subscription(_)) if self.behaviour.mutes_subscriptions => {
                Ok(Box::pin(tokio_stream::pending()))
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
        match &options.stream_option {
            Some(StreamOption::Stream(stream)) => {
                let (name, from) = place(stream)?;
                if !log.has(&name) {
                    return Ok(vec![not_found(stream)]);
                }
                let events = match forward {
                    true => log.stream(&name, from.unwrap_or(0), count),
                    false => log.stream_back(&name, from, count),
                };
                let answer = match self.behaviour.hides_positions {
                    true => answer_without_position,
                    false => answer,
                };
                Ok(events.into_iter().map(answer).collect())
            }
            Some(StreamOption::All(all)) => {
                let from = all_place(all);
                check_position(&log, from, forward)?;
                let events: Box<dyn Iterator<Item = &Event>> = match forward {
                    true => Box::new(log.all(from.unwrap_or(0))),
                    false => Box::new(log.all_back(from)),
                };
                let filtered = is_filtered(options);
                let wanted = |event: &&Event| !(filtered && event.is_system());
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                Ok(events.filter(wanted).take(count).map(answer).collect())
            }
            None => Err(Status::invalid_argument("neither a stream nor $all")),
        }
    }

    fn subscribe(self: &Arc<Self>, options: &ReadOptions) -> Result<Answers, Status> {
        let Some(StreamOption::All(all)) = &options.stream_option else {
            return self.subscribe_to_stream(options);
        };
        check_position(&self.log(), all_place(all), true)?;
        let from = match all.all_option {
            Some(AllOption::Position(after)) => after.commit_position + 1,
            Some(AllOption::End(_)) => {
                let log = self.log();
                log.all_back(None)
                    .next()
                    .map_or(0, |last| last.position + 1)
            }
            Some(AllOption::Start(_)) | None => 0,
        };
        let filtered = is_filtered(options);
        Ok(self.follow(from, move |log, from| {
            let page: Vec<&Event> = log.all(from).take(PAGE_EVENTS).collect();
            let next = page.last().map_or(from, |last| last.position + 1);
            let passed_over = page
                .last()
                .filter(|last| filtered && last.is_system())
                .map(|last| last.position);
            let mut answers: Vec<ReadResp> = page
                .into_iter()
                .filter(|event| !(filtered && event.is_system()))
                .map(answer)
                .collect();
            answers
                .extend(passed_over.map(|position| content(ReadContent::Checkpoint(at(position)))));
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
            let page = log.stream(&name, from, PAGE_EVENTS as u64);
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

/// As servers before 22.6 answer from a stream.
fn answer_without_position(event: &Event) -> ReadResp {
    let mut recorded = event.to_message();
    recorded.commit_position = u64::MAX;
    recorded.prepare_position = u64::MAX;
    content(ReadContent::Event(ReadEvent {
        event: Some(recorded),
        commit_position: None,
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

const fn is_filtered(options: &ReadOptions) -> bool {
    matches!(options.filter_option, Some(FilterOption::Filter(_)))
}

/// The position that a read of `$all` begins at, if it names one.
const fn all_place(all: &AllOptions) -> Option<u64> {
    match all.all_option {
        Some(AllOption::Position(position)) => Some(position.commit_position),
        Some(AllOption::Start(_) | AllOption::End(_)) | None => None,
    }
}

/// Refuses a position that no record begins at. Servers of different ages say so differently, and so do the directions here.
fn check_position(log: &Log, position: Option<u64>, forward: bool) -> Result<(), Status> {
    const REFUSED: &str = "Trying to read from an invalid position.";
    match position {
        Some(position) if !log.is_place(position) && forward => {
            Err(Status::invalid_argument(REFUSED))
        }
        Some(position) if !log.is_place(position) => Err(Status::unknown(REFUSED)),
        _ => Ok(()),
    }
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
