//! The embedded engine: one SQLite file, one writer, any number of readers.
//!
//! - WAL with `synchronous = FULL`: a commit is on the disk before it is acknowledged (sqlite.org/pragma.html).
//! - One task writes. It takes whatever appends are waiting into one transaction (group commit), and gives each its own
//!   outcome: a conflict fails only its own request. Positions are given out by it, so their order is commit order.
//! - Readers have connections of their own and are never blocked by the writer, as WAL promises.
//! - The head is announced after the commit, so whoever hears of an event can read it.

mod row;
mod writer;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use firefly_domain::EventId;
use sqlx::ConnectOptions;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::sync::watch;
use uuid::Uuid;

use crate::batch::Append;
use crate::event::{NewEvent, Position, RecordedEvent, Revision, StreamId};
use crate::sql::{bounded, engine};
use crate::store::{Appended, Error, EventStore, Expected, check};
use crate::writer::Queue;
use row::Row;
use writer::{Writer, last};

/// Connections for readers. More than the cores there usually are gain nothing.
const READERS: u32 = 4;

/// How long SQLite waits for a lock that another process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The log in a SQLite file. Dropping it closes the log once what is waiting has been written.
#[derive(Debug)]
pub struct SqliteEventStore {
    id: Uuid,
    readers: SqlitePool,
    writer: Queue,
    head: watch::Receiver<Position>,
}

impl SqliteEventStore {
    /// Opens the log, making the file if there is none.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, is no SQLite database, or its schema is newer than this program.
    pub async fn open(path: &Path) -> Result<Self, Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT);
        let mut connection = options.connect().await.map_err(engine("open its file"))?;
        sqlx::migrate!("../migrations/event-log-sqlite")
            .run(&mut connection)
            .await
            .map_err(|source| Error::Engine {
                action: "bring its schema up to date",
                source: source.into(),
            })?;
        let id = sqlx::query_scalar("SELECT id FROM log")
            .fetch_one(&mut connection)
            .await
            .map_err(engine("find its id"))?;
        let (position, _) = last(&mut connection)
            .await
            .map_err(engine("find its end"))?;
        let (announce, head) = watch::channel(position);
        let writer = Queue::start(Writer::new(options.clone(), connection), announce);
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.read_only(true).create_if_missing(false))
            .await
            .map_err(engine("open its file for reading"))?;
        Ok(Self {
            id,
            readers,
            writer,
            head,
        })
    }
}

#[async_trait]
impl EventStore for SqliteEventStore {
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

    async fn read_stream(
        &self,
        stream: &StreamId,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        let Ok(from) = i64::try_from(from.number()) else {
            return Ok(vec![]);
        };
        sqlx::query_as::<_, Row>(
            "SELECT * FROM events WHERE stream = ? AND revision >= ? ORDER BY revision LIMIT ?",
        )
        .bind(stream.as_str())
        .bind(from)
        .bind(bounded(limit))
        .fetch_all(&self.readers)
        .await
        .map_err(engine("read a stream"))?
        .into_iter()
        .map(Row::into_event)
        .collect()
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, Error> {
        let Ok(after) = i64::try_from(after.number()) else {
            return Ok(vec![]);
        };
        sqlx::query_as::<_, Row>(
            "SELECT * FROM events WHERE position > ? ORDER BY position LIMIT ?",
        )
        .bind(after)
        .bind(bounded(limit))
        .fetch_all(&self.readers)
        .await
        .map_err(engine("read the log"))?
        .into_iter()
        .map(Row::into_event)
        .collect()
    }

    async fn find(&self, id: EventId) -> Result<Option<RecordedEvent>, Error> {
        sqlx::query_as::<_, Row>("SELECT * FROM events WHERE event_id = ?")
            .bind(*id.as_uuid())
            .fetch_optional(&self.readers)
            .await
            .map_err(engine("find an event"))?
            .map(Row::into_event)
            .transpose()
    }

    fn id(&self) -> Uuid {
        self.id
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.head.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::contract;

    async fn store() -> (tempfile::TempDir, Arc<dyn EventStore>) {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteEventStore::open(&folder.path().join("events.db"))
            .await
            .unwrap();
        (folder, Arc::new(store))
    }

    contract::suite!(store);

    #[tokio::test]
    async fn what_was_acknowledged_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        let stream = contract::a_stream();
        let first = SqliteEventStore::open(&path).await.unwrap();
        let id = first.id();
        let appended = first
            .append(&stream, Expected::NoStream, contract::some_events(3))
            .await
            .unwrap();
        drop(first);

        let second = SqliteEventStore::open(&path).await.unwrap();
        assert_eq!(second.id(), id);
        assert_eq!(*second.head().borrow(), appended.position);
        assert_eq!(
            second
                .read_stream(&stream, Revision::FIRST, 10)
                .await
                .unwrap()
                .len(),
            3
        );
    }

    #[tokio::test]
    async fn a_commit_that_failed_does_not_keep_the_next_from_succeeding() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        let store = SqliteEventStore::open(&path).await.unwrap();
        let mut other = SqliteConnectOptions::new()
            .filename(&path)
            .connect()
            .await
            .unwrap();
        // As on a full disk, SQLite ends the transaction by itself.
        sqlx::query("CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ROLLBACK, 'disk is full'); END")
            .execute(&mut other)
            .await
            .unwrap();
        let stream = contract::a_stream();
        let events = contract::some_events(2);
        for _ in 0..2 {
            let failed = store
                .append(&stream, Expected::NoStream, events.clone())
                .await;
            assert!(matches!(failed, Err(Error::Engine { .. })), "{failed:?}");
            assert!(
                store
                    .read_stream(&stream, Revision::FIRST, 10)
                    .await
                    .unwrap()
                    .is_empty()
            );
        }
        sqlx::query("DROP TRIGGER full")
            .execute(&mut other)
            .await
            .unwrap();
        store
            .append(&stream, Expected::NoStream, events)
            .await
            .unwrap();
        assert_eq!(
            store
                .read_stream(&stream, Revision::FIRST, 10)
                .await
                .unwrap()
                .len(),
            2
        );
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        std::fs::write(
            &path,
            "not a database, but long enough to look at".repeat(100),
        )
        .unwrap();
        assert!(matches!(
            SqliteEventStore::open(&path).await,
            Err(Error::Engine { .. })
        ));
    }
}
