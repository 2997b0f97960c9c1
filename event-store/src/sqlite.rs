//! The embedded engine: one SQLite file, one writer, any number of readers.
//!
//! - WAL with `synchronous = FULL`: a commit is on the disk before it is acknowledged (sqlite.org/pragma.html).
//! - One thread writes. It takes whatever appends are waiting into one transaction (group commit), and gives each its own
//!   outcome: a conflict fails only its own request. Positions are given out by it, so their order is commit order.
//! - Readers have connections of their own and are never blocked by the writer, as WAL promises.
//! - The head is announced after the commit, so whoever hears of an event can read it.
//! - What a flipped bit could hide from a read is looked for when the log is opened (`sqlite/structure.rs`).
//! - Several processes of one host may share the file: SQLite's lock makes their commits follow each other, and each looks
//!   for what the others wrote.

pub mod backup;
mod reader;
mod schema;
mod structure;
mod wal;
mod watcher;
mod writer;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use firefly_domain::EventId;
use rusqlite::{Connection, params};
use tokio::sync::watch;
use uuid::Uuid;

use crate::event::{Idempotency, NewEvent, Position, RecordedEvent, Revision, StreamId};
use crate::gaps::{Count, ascending, descending};
use crate::store::{Append, Appended, Error, EventStore, Expected, bounded, check, check_all, sql};
use crate::writer::Queue;
pub(crate) use backup::counts;
use reader::{Reader, Readers};
use schema::{failed, readable, writable};
use structure::Structure;
pub use structure::examine;
use watcher::Watcher;
use writer::{Writer, last};

/// What SQLite keeps beside a file, under its name.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// The name of what is beside a file.
fn companion(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// The log in a SQLite file. Dropping it closes the log once what is waiting has been written.
#[derive(Debug)]
pub struct SqliteEventStore {
    id: Uuid,
    readers: Readers,
    writer: Queue,
    head: watch::Receiver<Position>,
    structure: Structure,
    _watcher: Watcher,
}

impl SqliteEventStore {
    /// Opens the log, making the file if there is none.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, is damaged or is a database of something else, or its schema is newer than this program.
    pub async fn open(path: &Path) -> Result<Self, Error> {
        Self::open_and(path, Structure::examine).await
    }

    /// Opens the log after all of its file was looked through, whatever its size: for those who are asked once.
    ///
    /// # Errors
    ///
    /// As of [`Self::open`].
    pub async fn open_examined(path: &Path) -> Result<Self, Error> {
        Self::open_and(path, |_, file| Structure::examine_first(file)).await
    }

    /// Opens a log that is there, even if its file's structure is damaged: for those who say what is wrong with it.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, or is so damaged that nothing is left.
    pub async fn open_unexamined(path: &Path) -> Result<Self, Error> {
        Self::open_and(path, |_, _| Ok(Structure::default())).await
    }

    async fn open_and(
        path: &Path,
        examine: impl FnOnce(&Path, &Connection) -> Result<Structure, Error> + Send + 'static,
    ) -> Result<Self, Error> {
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || Self::open_blocking(&path, examine))
            .await
            .map_err(crate::store::engine("open its file"))?
    }

    fn open_blocking(
        path: &Path,
        examine: impl FnOnce(&Path, &Connection) -> Result<Structure, Error>,
    ) -> Result<Self, Error> {
        wal::check(path)?;
        let connection = writable(path)?;
        let structure = examine(path, &connection)?;
        let id = schema::id(&connection)?;
        let (position, _) = last(&connection).map_err(failed("find its end"))?;
        let (announce, head) = watch::channel(position);
        let watcher = Watcher::start(readable(path)?, announce.clone())?;
        let writer = Queue::on_a_thread(Writer::new(path.to_owned(), id, connection), announce)?;
        Ok(Self {
            id,
            readers: Readers::new(path.to_owned()),
            writer,
            head,
            structure,
            _watcher: watcher,
        })
    }

    async fn read_events(
        &self,
        read: impl FnOnce(&mut Reader) -> Result<Vec<RecordedEvent>, Error> + Send + 'static,
    ) -> Result<Vec<RecordedEvent>, Error> {
        self.read("read events", read).await
    }

    /// Everything that is read is read by this.
    async fn read<T: Send + 'static>(
        &self,
        action: &'static str,
        read: impl FnOnce(&mut Reader) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.structure.trusted()?;
        self.readers.read(action, read).await
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
        self.structure.trusted()?;
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
        self.structure.trusted()?;
        self.writer.append_in_order(appends).await
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        let (stream, first, limit) = (stream.clone(), sql(from.number()), bounded(limit));
        let read = self.read_events(move |reader| {
            reader.events(
                "stream = (SELECT id FROM streams WHERE name = ?) AND revision >= ? ORDER BY revision LIMIT ?",
                params![stream.as_str(), first, limit],
            )
        });
        ascending(read.await?, Count::Revisions, from.number())
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, Error> {
        let (from, limit) = (sql(after.number()), bounded(limit));
        let read = self.read_events(move |reader| {
            reader.events("position > ? ORDER BY position LIMIT ?", [from, limit])
        });
        ascending(read.await?, Count::Positions, after.next().number())
    }

    async fn read_stream_back(
        &self,
        stream: &StreamId,
        before: Option<Revision>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        let before = before.map_or(i64::MAX, |revision| sql(revision.number()));
        let (stream, most) = (stream.clone(), bounded(limit));
        let read = self.read_events(move |reader| {
            reader.events(
                "stream = (SELECT id FROM streams WHERE name = ?) AND revision < ? ORDER BY revision DESC LIMIT ?",
                params![stream.as_str(), before, most],
            )
        });
        descending(read.await?, Count::Revisions, limit)
    }

    async fn read_all_back(
        &self,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        let before = before.map_or(i64::MAX, |position| sql(position.number()));
        let most = bounded(limit);
        let read = self.read_events(move |reader| {
            reader.events(
                "position < ? ORDER BY position DESC LIMIT ?",
                [before, most],
            )
        });
        descending(read.await?, Count::Positions, limit)
    }

    async fn find_request(&self, key: &Uuid) -> Result<Option<RecordedEvent>, Error> {
        let id = Idempotency::first_event_id(key);
        let found = self
            .read_events(move |reader| reader.events("event_id = ?", [id.as_uuid().as_bytes()]))
            .await?;
        Ok(found.into_iter().next())
    }

    async fn taken(&self, ids: &[EventId]) -> Result<Vec<EventId>, Error> {
        let ids = ids.to_vec();
        let read = move |reader: &mut Reader| reader.known(ids);
        self.read("look up event ids", read).await
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
