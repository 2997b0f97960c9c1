//! What every engine of the log promises. The suite in `contract.rs` holds each of them to it.

use async_trait::async_trait;
use firefly_domain::EventId;
use tokio::sync::watch;
use uuid::Uuid;

use crate::event::{NewEvent, Position, RecordedEvent, Revision, StreamId};

/// Events that one append may hold.
pub const EVENTS_PER_APPEND_MAX: usize = 500;

/// Bytes that one event's payload may have.
pub const EVENT_DATA_BYTES_MAX: usize = 1024 * 1024;

/// Events that one read returns at most, whatever it asks for.
pub const READ_EVENTS_MAX: usize = 4_096;

/// What a stream must look like for an append to happen. There is no "any".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The stream has no event.
    NoStream,
    /// The stream's last event has this revision.
    Exact(Revision),
}

impl Expected {
    /// What to expect of a stream whose last revision was this.
    pub fn after(last: Option<Revision>) -> Self {
        last.map_or(Self::NoStream, Self::Exact)
    }
}

/// Events for the end of one stream.
#[derive(Clone, Debug)]
pub struct Append {
    /// The stream.
    pub stream: StreamId,
    /// What it must look like.
    pub expected: Expected,
    /// The events, in order.
    pub events: Vec<NewEvent>,
}

/// Where an append ended up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The revision of its last event.
    pub revision: Revision,
    /// The position of its last event.
    pub position: Position,
    /// Whether the very same append had happened before: then nothing was written, and this is its first outcome.
    pub repeated: bool,
}

/// Why the log did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The stream is not as expected: somebody else appended first.
    #[error("stream {stream} is at {}, not at {}; load it again", shown(*.current), shown_expected(*.expected))]
    Conflict {
        /// The stream.
        stream: StreamId,
        /// What the append expected.
        expected: Expected,
        /// The revision of the stream's last event, if it has one.
        current: Option<Revision>,
    },
    /// An event id is in the log already, elsewhere or in another order. Engines that keep an index of ids tell so of every
    /// id, the others of those that come from a request's key.
    #[error(
        "event {id} is in the log already, as part of another append; give every event an id of its own"
    )]
    EventIdTaken {
        /// The id.
        id: EventId,
    },
    /// An append without events, or with too many.
    #[error("an append holds 1 to {EVENTS_PER_APPEND_MAX} events, not {count}")]
    EventCount {
        /// How many it had.
        count: usize,
    },
    /// An event is larger than the log takes.
    #[error("an event of type {event_type} has {bytes} bytes; {EVENT_DATA_BYTES_MAX} is the limit")]
    EventTooLarge {
        /// Its type.
        event_type: String,
        /// Its size.
        bytes: usize,
    },
    /// The engine failed. Whether an append happened is unknown until it is repeated with the same event ids.
    #[error("the event log could not {action}")]
    Engine {
        /// What it was doing.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What is stored is not what was written.
    #[error(
        "the event log is damaged: {what} cannot be trusted: {detail}; `firefly log verify` shows all that is affected, \
         and a backup restores it"
    )]
    Corrupt {
        /// Which part.
        what: String,
        /// How it shows.
        detail: String,
        /// Where it stands, if it is one event and its place is known.
        position: Option<Position>,
    },
    /// Events that should be there are not.
    #[error(
        "the event log is damaged: {what} goes on at {found} where {expected} should come next; `firefly log verify` shows \
         all that is affected, and a backup restores it"
    )]
    Missing {
        /// The log, or a stream.
        what: String,
        /// The first position or revision that is missing.
        expected: u64,
        /// The next one that is there.
        found: u64,
    },
    /// The log is shut down.
    #[error("the event log is closed; Firefly is stopping")]
    Closed,
}

/// A stream's last revision in words.
pub(crate) fn shown(revision: Option<Revision>) -> String {
    revision.map_or_else(
        || "no event".to_owned(),
        |revision| format!("revision {revision}"),
    )
}

fn shown_expected(expected: Expected) -> String {
    match expected {
        Expected::NoStream => shown(None),
        Expected::Exact(revision) => shown(Some(revision)),
    }
}

/// An event log.
#[async_trait]
pub trait EventStore: Send + Sync + 'static {
    /// Appends all of the events or none, and returns when they are durable.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] if the stream is not as expected. The same event ids again give the first outcome.
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, Error>;

    /// Makes appends to any streams one after the other, in as few commits as the engine can, and returns when all are
    /// durable. Together they hold as many events as one append may.
    ///
    /// # Errors
    ///
    /// That of the first one that failed. None behind it happened, so what is there is a beginning of them.
    async fn append_in_order(&self, appends: Vec<Append>) -> Result<(), Error>;

    /// Reads a stream forward from a revision on; an unknown stream is empty. Fewer than `limit` events mean its end.
    async fn read_stream(
        &self,
        stream: &StreamId,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error>;

    /// Reads the whole log forward behind a position. Fewer than `limit` events mean the head at that moment.
    async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, Error>;

    /// Reads a stream backward, newest first, from before a revision or from its end.
    async fn read_stream_back(
        &self,
        stream: &StreamId,
        before: Option<Revision>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error>;

    /// Reads the whole log backward, newest first, from before a position or from its end.
    async fn read_all_back(
        &self,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error>;

    /// The first event that a keyed request recorded, by the key in its [`Idempotency`](crate::Idempotency), if there is one.
    async fn find_request(&self, key: &Uuid) -> Result<Option<RecordedEvent>, Error>;

    /// Which of these event ids the log has, whatever their streams. An engine that keeps no index of ids names none.
    async fn taken(&self, ids: &[EventId]) -> Result<Vec<EventId>, Error>;

    /// Tells this log from all others; a position means nothing without it.
    fn id(&self) -> Uuid;

    /// The position of the last durable event; it is announced only after the event can be read.
    fn head(&self) -> watch::Receiver<Position>;
}

/// Refuses appends that no engine takes.
pub(crate) fn check_all(appends: &[Append]) -> Result<(), Error> {
    let count = appends.iter().map(|append| append.events.len()).sum();
    if count > EVENTS_PER_APPEND_MAX {
        return Err(Error::EventCount { count });
    }
    appends.iter().try_for_each(|append| check(&append.events))
}

/// Refuses an append that no engine takes.
pub(crate) fn check(events: &[NewEvent]) -> Result<(), Error> {
    if events.is_empty() || events.len() > EVENTS_PER_APPEND_MAX {
        return Err(Error::EventCount {
            count: events.len(),
        });
    }
    match events
        .iter()
        .find(|event| event.data.get().len() > EVENT_DATA_BYTES_MAX)
    {
        None => Ok(()),
        Some(event) => Err(Error::EventTooLarge {
            event_type: event.event_type.clone(),
            bytes: event.data.get().len(),
        }),
    }
}

/// The error of an engine that could not do something.
pub(crate) fn engine<E>(action: &'static str) -> impl Fn(E) -> Error
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    move |source| Error::Engine {
        action,
        source: source.into(),
    }
}

/// How many events a read asks for.
pub(crate) fn bounded(limit: usize) -> i64 {
    i64::try_from(limit.min(READ_EVENTS_MAX)).expect("READ_EVENTS_MAX fits in an i64")
}

/// A number as SQL databases have it; those they have no place for are beyond every event.
pub(crate) fn sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
