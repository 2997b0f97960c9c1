//! The engine for a database server: PostgreSQL.
//!
//! - Whoever appends locks the one row of `event_log_head` and holds it until the transaction ends. Positions are handed
//!   out under that lock, so their order is the order of commits: no reader ever sees an event before an earlier one, and
//!   a transaction that is rolled back leaves no gap. A lock on one row, as in commanded/eventstore, is the simplest of the
//!   known designs; what it costs in concurrency, group commit gives back.
//! - A writer that knows the head from its last commit appends with one statement, which checks that the head is still there
//!   and that the streams are as expected; only when they are not it takes the lock first and looks. So most groups cost one
//!   round trip, and the lock is held for as long as the commit itself takes.
//! - One task of each process writes: it takes whatever appends are waiting into one transaction and gives each its own
//!   outcome. Several processes may write to the same log.
//! - Followers are woken by `NOTIFY`, which PostgreSQL sends at the commit, and look by themselves once a second in case
//!   that fails.
//! - A commit is acknowledged only after PostgreSQL has: `synchronous_commit` stays on, whatever the server's default is.

mod listener;
mod row;
mod writer;

use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use firefly_domain::EventId;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Postgres};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::event::{Idempotency, NewEvent, Position, RecordedEvent, Revision, StreamId};
use crate::gaps::{Count, ascending, descending};
use crate::store::{
    Append, Appended, Error, EventStore, Expected, bounded, check, check_all, engine, sql,
};
use crate::writer::Queue;
use row::COLUMNS;
use writer::Writer;

/// Connections for readers.
const READERS: u32 = 4;

/// How long a connection may take; a server that is down should be noticed before callers give up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What every connection of ours is set to: durable commits, and no statement, wait or idle transaction without an end.
///
/// Every query of ours has its index. A plan that was made for an empty table would read the whole of it for ever, so
/// whole tables are never read while there is another way. The planner calls that expensive, and would compile each such
/// query for a tenth of a second.
const SETTINGS: [(&str, &str); 7] = [
    // A statement that waited for the head sees what it became; under any other level it fails.
    ("default_transaction_isolation", "read committed"),
    ("synchronous_commit", "on"),
    ("statement_timeout", "30s"),
    ("lock_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("enable_seqscan", "off"),
    ("jit", "off"),
];

/// The log in a PostgreSQL database.
#[derive(Debug)]
pub struct PostgresEventStore {
    id: Uuid,
    readers: PgPool,
    writer: Queue,
    head: watch::Receiver<Position>,
    _listening: DropGuard,
}

impl PostgresEventStore {
    /// Opens the log in the database that a `postgres://` URL names, making its tables if there are none.
    ///
    /// # Errors
    ///
    /// The URL cannot be read, the server does not answer, or its schema is newer than this program.
    pub async fn open(url: &str) -> Result<Self, Error> {
        let options = PgConnectOptions::from_str(url)
            .map_err(engine("read its URL"))?
            .options(SETTINGS);
        let pool = |connections| {
            PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(CONNECT_TIMEOUT)
        };
        let writers = pool(1)
            .connect_with(options.clone())
            .await
            .map_err(engine("connect to its server"))?;
        sqlx::migrate!("../migrations/event-log-postgres")
            .run(&writers)
            .await
            .map_err(|source| Error::Engine {
                action: "bring its schema up to date",
                source: source.into(),
            })?;
        let readers = pool(READERS)
            .connect_with(options)
            .await
            .map_err(engine("connect to its server"))?;
        let (announce, head) = watch::channel(
            listener::position(&readers)
                .await
                .map_err(engine("find its end"))?,
        );
        let id = sqlx::query_scalar("SELECT id FROM log")
            .fetch_one(&readers)
            .await
            .map_err(engine("find its id"))?;
        let closing = CancellationToken::new();
        tokio::spawn(listener::run(
            readers.clone(),
            announce.clone(),
            closing.clone(),
        ));
        Ok(Self {
            id,
            readers,
            writer: Queue::start(Writer::new(writers), announce),
            head,
            _listening: closing.drop_guard(),
        })
    }
}

impl PostgresEventStore {
    async fn events(
        &self,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<Vec<RecordedEvent>, Error> {
        let rows = query.fetch_all(&self.readers).await;
        let rows = rows.map_err(engine("read events"))?;
        rows.iter().map(row::event).collect()
    }
}

/// The events that a condition and an order give; what is asked for is bound, never written into it.
fn select(which: &'static str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("SELECT {COLUMNS} FROM events WHERE {which}"))
}

#[async_trait]
impl EventStore for PostgresEventStore {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, Error> {
        check(&events)?;
        self.writer
            .append(Append {
                stream: stream.clone(),
                expected,
                events,
            })
            .await
    }

    async fn append_in_order(&self, appends: Vec<Append>) -> Result<(), Error> {
        check_all(&appends)?;
        self.writer.append_in_order(appends).await
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        let query = select("stream = $1 AND revision >= $2 ORDER BY revision LIMIT $3");
        let query = sqlx::query(query).bind(stream.as_str());
        let query = query.bind(sql(from.number())).bind(bounded(limit));
        ascending(self.events(query).await?, Count::Revisions, from.number())
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, Error> {
        let query = sqlx::query(select("position > $1 ORDER BY position LIMIT $2"));
        let query = query.bind(sql(after.number())).bind(bounded(limit));
        let first = after.next().number();
        ascending(self.events(query).await?, Count::Positions, first)
    }

    async fn read_stream_back(
        &self,
        stream: &StreamId,
        before: Option<Revision>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        let before = before.map_or(i64::MAX, |revision| sql(revision.number()));
        let query = select("stream = $1 AND revision < $2 ORDER BY revision DESC LIMIT $3");
        let query = sqlx::query(query).bind(stream.as_str());
        let query = query.bind(before).bind(bounded(limit));
        descending(self.events(query).await?, Count::Revisions, limit)
    }

    async fn read_all_back(
        &self,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        let before = before.map_or(i64::MAX, |position| sql(position.number()));
        let query = sqlx::query(select("position < $1 ORDER BY position DESC LIMIT $2"));
        let query = query.bind(before).bind(bounded(limit));
        descending(self.events(query).await?, Count::Positions, limit)
    }

    async fn find_request(&self, key: &Uuid) -> Result<Option<RecordedEvent>, Error> {
        let id = *Idempotency::first_event_id(key).as_uuid();
        let query = sqlx::query(select("event_id = $1")).bind(id);
        Ok(self.events(query).await?.into_iter().next())
    }

    async fn taken(&self, ids: &[EventId]) -> Result<Vec<EventId>, Error> {
        let ids: Vec<Uuid> = ids.iter().map(|id| *id.as_uuid()).collect();
        let known = sqlx::query_scalar("SELECT event_id FROM events WHERE event_id = ANY($1)")
            .bind(ids)
            .fetch_all(&self.readers)
            .await
            .map_err(engine("look up event ids"))?;
        Ok(known.into_iter().map(EventId::from_uuid).collect())
    }

    fn id(&self) -> Uuid {
        self.id
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.head.clone()
    }
}

#[cfg(test)]
pub(crate) mod tests;
