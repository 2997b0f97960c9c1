//! Reads the file, on threads where waiting for a disk keeps nobody else waiting.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use firefly_domain::EventId;
use rusqlite::{Connection, Params};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::schema::{failed, readable};
use super::writer::text;
use crate::event::{RecordedEvent, StreamId};
use crate::store::{Error, engine};
use crate::stored::{Origin, Stored};

/// Connections that read at the same time. More than the cores there usually are gain nothing.
const READERS: usize = 4;

/// Names of streams that each connection remembers.
const STREAM_NAMES_MAX: usize = 10_000;

/// The columns of an event, in the order in which they are read.
const COLUMNS: &str = "position, stream, revision, event_id, event_type, schema_version, data, actor, correlation_id, \
                       causation_id, context, recorded_at, checksum";

/// Connections that are free, and how many more there may be.
#[derive(Clone, Debug)]
pub(super) struct Readers {
    path: PathBuf,
    free: Arc<Mutex<Vec<Reader>>>,
    permits: Arc<Semaphore>,
}

/// A connection, and the names of streams it has come across: they never change.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) connection: Connection,
    names: HashMap<i64, StreamId>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            free: Arc::default(),
            permits: Arc::new(Semaphore::new(READERS)),
        }
    }

    /// Reads on a thread for blocking work. A connection that failed is given up.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        action: &'static str,
        read: impl FnOnce(&mut Reader) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(engine(action))?;
        let readers = self.clone();
        tokio::task::spawn_blocking(move || {
            let mut reader = readers.take()?;
            let outcome = read(&mut reader)?;
            readers.lock().push(reader);
            drop(permit);
            Ok(outcome)
        })
        .await
        .map_err(engine(action))?
    }

    fn take(&self) -> Result<Reader, Error> {
        if let Some(reader) = self.lock().pop() {
            return Ok(reader);
        }
        Ok(Reader {
            connection: readable(&self.path)?,
            names: HashMap::new(),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Reader>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    /// The events that a condition and an order give.
    pub(super) fn events(
        &mut self,
        which: &str,
        values: impl Params,
    ) -> Result<Vec<RecordedEvent>, Error> {
        let Self { connection, names } = self;
        let query = format!("SELECT {COLUMNS} FROM events WHERE {which}");
        let failed = failed("read events");
        let mut statement = connection.prepare_cached(&query).map_err(&failed)?;
        let mut rows = statement.query(values).map_err(&failed)?;
        let mut events = Vec::new();
        while let Some(row) = rows.next().map_err(&failed)? {
            let stored = stored(row, |id| name(connection, names, id)).map_err(&failed)?;
            events.push(stored.into_event()?);
        }
        Ok(events)
    }

    /// Those of the event ids that are in the log.
    pub(super) fn known(&mut self, mut ids: Vec<EventId>) -> Result<Vec<EventId>, Error> {
        let failed = failed("look up event ids");
        let query = "SELECT 1 FROM events WHERE event_id = ?";
        let mut statement = self.connection.prepare_cached(query).map_err(&failed)?;
        let mut unreadable = None;
        ids.retain(|id| {
            let known = statement.exists([id.as_uuid().as_bytes()]);
            known.unwrap_or_else(|error| {
                unreadable.get_or_insert(error);
                false
            })
        });
        unreadable.map_or(Ok(ids), |error| Err(failed(error)))
    }
}

fn name(
    connection: &Connection,
    names: &mut HashMap<i64, StreamId>,
    id: i64,
) -> Result<StreamId, rusqlite::Error> {
    if let Some(name) = names.get(&id) {
        return Ok(name.clone());
    }
    let name = connection
        .prepare_cached("SELECT name FROM streams WHERE id = ?")?
        .query_row([id], |row| Ok(StreamId::from_stored(text(row, 0)?)))?;
    if names.len() >= STREAM_NAMES_MAX {
        names.clear();
    }
    names.insert(id, name.clone());
    Ok(name)
}

fn stored(
    row: &rusqlite::Row<'_>,
    name: impl FnOnce(i64) -> Result<StreamId, rusqlite::Error>,
) -> Result<Stored, rusqlite::Error> {
    Ok(Stored {
        position: row.get(0)?,
        stream: name(row.get(1)?)?,
        revision: row.get(2)?,
        id: Uuid::from_bytes(row.get(3)?),
        event_type: row.get(4)?,
        schema_version: row.get(5)?,
        data: row.get(6)?,
        origin: Origin {
            actor: row.get(7)?,
            correlation_id: Uuid::from_bytes(row.get(8)?),
            causation_id: row.get::<_, Option<[u8; 16]>>(9)?.map(Uuid::from_bytes),
            context: row.get(10)?,
        },
        recorded_at: row.get(11)?,
        checksum: row.get(12)?,
    })
}
