//! The embedded engine: one SQLite file, one writer, any number of readers.
//!
//! - WAL with `synchronous = FULL`: a commit is on the disk before it is acknowledged (sqlite.org/pragma.html).
//! - One thread writes. It takes whatever appends are waiting into one transaction (group commit), and gives each its own
//!   outcome: a conflict fails only its own request. Positions are given out by it, so their order is commit order.
//! - Readers have connections of their own and are never blocked by the writer, as WAL promises.
//! - The head is announced after the commit, so whoever hears of an event can read it.
//! - Several processes of one host may share the file: SQLite's lock makes their commits follow each other, and each looks
//!   for what the others wrote.

mod reader;
mod schema;
mod watcher;
mod writer;

use std::path::Path;

use async_trait::async_trait;
use firefly_domain::EventId;
use rusqlite::params;
use tokio::sync::watch;
use uuid::Uuid;

use crate::batch::Append;
use crate::event::{NewEvent, Position, RecordedEvent, Revision, StreamId};
use crate::store::{Appended, Error, EventStore, Expected, bounded, check};
use crate::writer::Queue;
use reader::{Reader, Readers};
use schema::{failed, readable, writable};
use watcher::Watcher;
use writer::{Writer, last};

/// The log in a SQLite file. Dropping it closes the log once what is waiting has been written.
#[derive(Debug)]
pub struct SqliteEventStore {
    id: Uuid,
    readers: Readers,
    writer: Queue,
    head: watch::Receiver<Position>,
    _watcher: Watcher,
}

impl SqliteEventStore {
    /// Opens the log, making the file if there is none.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, is damaged or is a database of something else, or its schema is newer than this program.
    pub async fn open(path: &Path) -> Result<Self, Error> {
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || Self::open_blocking(&path))
            .await
            .map_err(crate::store::engine("open its file"))?
    }

    fn open_blocking(path: &Path) -> Result<Self, Error> {
        let connection = writable(path)?;
        let id = connection
            .query_row("SELECT id FROM log", [], |row| row.get(0))
            .map(Uuid::from_bytes)
            .map_err(failed("find its id"))?;
        let (position, _) = last(&connection).map_err(failed("find its end"))?;
        let (announce, head) = watch::channel(position);
        let watcher = Watcher::start(readable(path)?, announce.clone())?;
        let writer = Queue::on_a_thread(Writer::new(path.to_owned(), connection), announce)?;
        Ok(Self {
            id,
            readers: Readers::new(path.to_owned()),
            writer,
            head,
            _watcher: watcher,
        })
    }

    async fn read_events(
        &self,
        read: impl FnOnce(&mut Reader) -> Result<Vec<RecordedEvent>, Error> + Send + 'static,
    ) -> Result<Vec<RecordedEvent>, Error> {
        self.readers.read("read events", read).await
    }
}

/// A number as SQLite has it; those it has no place for are beyond every event.
fn sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
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
        let (stream, from, limit) = (stream.clone(), sql(from.number()), bounded(limit));
        self.read_events(move |reader| {
            reader.events(
                "stream = (SELECT id FROM streams WHERE name = ?) AND revision >= ? ORDER BY revision LIMIT ?",
                params![stream.as_str(), from, limit],
            )
        })
        .await
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, Error> {
        let (after, limit) = (sql(after.number()), bounded(limit));
        self.read_events(move |reader| {
            reader.events("position > ? ORDER BY position LIMIT ?", [after, limit])
        })
        .await
    }

    async fn read_stream_back(
        &self,
        stream: &StreamId,
        before: Option<Revision>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        let before = before.map_or(i64::MAX, |revision| sql(revision.number()));
        let (stream, limit) = (stream.clone(), bounded(limit));
        self.read_events(move |reader| {
            reader.events(
                "stream = (SELECT id FROM streams WHERE name = ?) AND revision < ? ORDER BY revision DESC LIMIT ?",
                params![stream.as_str(), before, limit],
            )
        })
        .await
    }

    async fn read_all_back(
        &self,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        let before = before.map_or(i64::MAX, |position| sql(position.number()));
        let limit = bounded(limit);
        self.read_events(move |reader| {
            reader.events(
                "position < ? ORDER BY position DESC LIMIT ?",
                [before, limit],
            )
        })
        .await
    }

    async fn find(&self, id: EventId) -> Result<Option<RecordedEvent>, Error> {
        let found = self
            .read_events(move |reader| reader.events("event_id = ?", [id.as_uuid().as_bytes()]))
            .await?;
        Ok(found.into_iter().next())
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
        let other = rusqlite::Connection::open(&path).unwrap();
        // As on a full disk, SQLite ends the transaction by itself.
        let full = "CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ROLLBACK, 'disk is full'); END";
        other.execute_batch(full).unwrap();
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
        other.execute_batch("DROP TRIGGER full").unwrap();
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
        let refused = SqliteEventStore::open(&path).await;
        assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
    }
}
