//! The engine for EventStoreDB and KurrentDB, through the official client.
//!
//! - The server orders and commits. An append is acknowledged only after the server has, which in a cluster means a quorum;
//!   the expected revision is checked there, and an append that is repeated with the same event ids is recognised there.
//! - A position is the commit position of `$all`: it grows, and it has gaps. Events of the server's own and of other programs
//!   stand in between and are passed over, so nothing can be said about a missing position; a stream's revisions are counted
//!   here too, and a foreign event in one of our streams is refused.
//! - The server has no index of event ids. What a keyed request recorded is found through [`claims`]; any other id that is
//!   used twice, by mistake, in two streams, is not noticed.
//! - What was appended is read back before it is acknowledged to the caller: that gives the position of the last event, and
//!   tells a first append from a repeated one by the mark it left. Servers before 22.6 do not tell it and are refused.
//! - Every call wants the leader, and is repeated if the server is gone or silent; see [`connection`].
//! - Followers are woken by a supervised subscription to `$all`, see [`head`].

mod all;
mod claims;
mod connection;
mod head;
mod record;
mod streams;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use firefly_domain::EventId;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::event::{NewEvent, Position, RecordedEvent, Revision, StreamId};
use crate::gaps::{Count, ascending, descending};
use crate::store::{
    Append, Appended, Error, EventStore, Expected, READ_EVENTS_MAX, check, check_all,
};
use crate::writer::announce;
use connection::{Connection, PATIENCE};

/// The schemes of connection strings that the client knows, each of them also with `+discover`.
const SCHEMES: [&str; 4] = ["esdb", "kurrentdb", "kurrent", "kdb"];

/// Whether a URL with this scheme is a connection string for this engine.
pub(crate) fn is_scheme(scheme: &str) -> bool {
    let plain = scheme.strip_suffix("+discover").unwrap_or(scheme);
    SCHEMES.contains(&plain)
}

/// The log in an EventStoreDB or KurrentDB database.
#[derive(Debug)]
pub struct EventStoreDbEventStore {
    id: Uuid,
    connection: Arc<Connection>,
    announce: watch::Sender<Position>,
    head: watch::Receiver<Position>,
    _following: DropGuard,
}

impl EventStoreDbEventStore {
    /// Opens the log in the database that a connection string names, such as
    /// `esdb://USER:PASSWORD@HOST:2113?tls=true` or `kurrentdb+discover://…`.
    ///
    /// # Errors
    ///
    /// The string cannot be read, no node answers, its server is older than 22.6, or the user may not read `$all`, which
    /// takes one of `$admins` or an access control list that says so. Whether the user may write to every stream shows only
    /// when it does.
    pub async fn open(url: &str) -> Result<Self, Error> {
        Self::open_with(url, PATIENCE).await
    }

    async fn open_with(url: &str, patience: Duration) -> Result<Self, Error> {
        let connection = Arc::new(Connection::new(url, patience)?);
        let id = record::log_id(&connection).await?;
        let end = all::end(&connection).await?;
        let (announce, head) = watch::channel(end.own);
        let closing = CancellationToken::new();
        tokio::spawn(head::run(
            Arc::clone(&connection),
            announce.clone(),
            end.any,
            closing.clone(),
        ));
        Ok(Self {
            id,
            connection,
            announce,
            head,
            _following: closing.drop_guard(),
        })
    }
}

#[async_trait]
impl EventStore for EventStoreDbEventStore {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, Error> {
        check(&events)?;
        let appended = writer::append(&self.connection, stream, expected, &events).await?;
        announce(&self.announce, appended.position);
        Ok(appended)
    }

    async fn append_in_order(&self, appends: Vec<Append>) -> Result<(), Error> {
        check_all(&appends)?;
        for append in appends {
            self.append(&append.stream, append.expected, append.events)
                .await?;
        }
        Ok(())
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        let limit = limit.min(READ_EVENTS_MAX);
        let events = streams::forward(&self.connection, stream, from, limit).await?;
        ascending(events, Count::Revisions, from.number())
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, Error> {
        all::forward(&self.connection, after, limit.min(READ_EVENTS_MAX)).await
    }

    async fn read_stream_back(
        &self,
        stream: &StreamId,
        before: Option<Revision>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        let most = limit.min(READ_EVENTS_MAX);
        let events = streams::backward(&self.connection, stream, before, most).await?;
        descending(events, Count::Revisions, limit)
    }

    async fn read_all_back(
        &self,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        all::backward(&self.connection, before, limit.min(READ_EVENTS_MAX)).await
    }

    async fn find_request(&self, key: &Uuid) -> Result<Option<RecordedEvent>, Error> {
        claims::find(&self.connection, key).await
    }

    async fn taken(&self, _: &[EventId]) -> Result<Vec<EventId>, Error> {
        Ok(Vec::new())
    }

    fn id(&self) -> Uuid {
        self.id
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.head.clone()
    }
}

#[cfg(test)]
mod tests;
