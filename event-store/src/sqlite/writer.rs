//! Commits groups of appends to the file.

use std::collections::HashMap;
use std::path::PathBuf;

use async_trait::async_trait;
use chrono::Utc;
use firefly_domain::EventId;
use rusqlite::types::Type;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use uuid::Uuid;

use super::schema::{failed, writable_again};
use crate::batch::{self, Facts, Group, Place};
use crate::crash;
use crate::event::{Position, Revision, StreamId};
use crate::store::{Appended, Error};
use crate::stored::ToStore;
use crate::writer::Commit;

/// The connection that writes. One that failed is given up: SQLite may have ended its transaction by itself.
pub(super) struct Writer {
    path: PathBuf,
    log: Uuid,
    connection: Option<Connection>,
}

impl Writer {
    pub(super) fn new(path: PathBuf, log: Uuid, connection: Connection) -> Self {
        Self {
            path,
            log,
            connection: Some(connection),
        }
    }
}

#[async_trait]
impl Commit for Writer {
    async fn commit(&mut self, group: &Group) -> Result<Committed, Error> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => writable_again(&self.path, self.log)?,
        };
        let committed = commit(&connection, group)?;
        self.connection = Some(connection);
        Ok(committed)
    }

    async fn close(self) {
        if let Some(connection) = self.connection
            && let Err((_, error)) = connection.close()
        {
            tracing::warn!(%error, "the event log's file was not closed cleanly");
        }
    }
}

type Committed = (Vec<Result<Appended, Error>>, Position);

/// Commits a group. Nearly every event id is new, and the index that would say otherwise is written anyway; so ids are looked
/// up only where that has failed, or where an append is refused that may have happened before.
fn commit(connection: &Connection, group: &Group) -> Result<Committed, Error> {
    for ids in [Ids::TakenForNew, Ids::LookedUp] {
        if let Some(committed) = attempt(connection, group, ids)? {
            return Ok(committed);
        }
        execute(connection, "ROLLBACK").map_err(failed("begin a commit"))?;
    }
    Err(Error::Corrupt {
        what: "its index of event ids".to_owned(),
        detail: "it refuses an id that it does not find".to_owned(),
        position: None,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ids {
    TakenForNew,
    LookedUp,
}

/// Commits a group, or finds out that an event id may be known; then the transaction is still to be ended.
fn attempt(connection: &Connection, group: &Group, ids: Ids) -> Result<Option<Committed>, Error> {
    execute(connection, "BEGIN IMMEDIATE").map_err(failed("begin a commit"))?;
    // Another process may have written to the file since.
    let (head, recorded_at) = last(connection).map_err(failed("find its end"))?;
    let mut streams = HashMap::new();
    let mut facts =
        facts(connection, group, head, &mut streams).map_err(failed("look up a stream"))?;
    if ids == Ids::LookedUp {
        facts.places = places(connection, group).map_err(failed("look up event ids"))?;
    }
    let plan = batch::plan(group, facts);
    if ids == Ids::TakenForNew && plan.outcomes.iter().any(Result::is_err) {
        return Ok(None);
    }
    let rows = ToStore::all(&plan.rows, recorded_at, Utc::now());
    match insert(connection, &rows, streams) {
        Ok(()) => {}
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            return Ok(None);
        }
        Err(error) => return Err(failed("write events")(error)),
    }
    crash::point("between-write-and-commit");
    execute(connection, "COMMIT").map_err(failed("commit"))?;
    Ok(Some((plan.outcomes, plan.head)))
}

fn execute(connection: &Connection, statement: &str) -> Result<usize, rusqlite::Error> {
    connection.prepare_cached(statement)?.execute([])
}

/// The position of the last event, and when it was recorded, in microseconds since 1970.
pub(super) fn last(connection: &Connection) -> Result<(Position, i64), rusqlite::Error> {
    let last: Option<(i64, i64)> = connection
        .prepare_cached("SELECT position, recorded_at FROM events ORDER BY position DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(
        last.map_or((Position::START, 0), |(position, recorded_at)| {
            (Position::new(position.unsigned_abs()), recorded_at)
        }),
    )
}

/// A lookup in an index for each stream, however long the log is. The rows of the streams that there are are left in
/// `streams`.
fn facts<'a>(
    connection: &Connection,
    group: &'a Group,
    head: Position,
    streams: &mut HashMap<&'a str, i64>,
) -> Result<Facts, rusqlite::Error> {
    let mut facts = Facts {
        head,
        ..Facts::default()
    };
    for append in &group.appends {
        let name = append.stream.as_str();
        if !streams.contains_key(name)
            && let Some((id, revision)) = stream(connection, name)?
        {
            streams.insert(name, id);
            facts.revisions.insert(append.stream.clone(), revision);
        }
    }
    Ok(facts)
}

/// The places of those event ids of a group that the log has.
fn places(
    connection: &Connection,
    group: &Group,
) -> Result<HashMap<EventId, Place>, rusqlite::Error> {
    let mut places = HashMap::new();
    for id in batch::event_ids(group) {
        if let Some(place) = place(connection, id.as_uuid())? {
            places.insert(id, place);
        }
    }
    Ok(places)
}

fn stream(connection: &Connection, name: &str) -> Result<Option<(i64, Revision)>, rusqlite::Error> {
    // A stream's row and its first event are written in one transaction.
    connection
        .prepare_cached(
            "SELECT id, (SELECT revision FROM events WHERE stream = streams.id ORDER BY revision DESC LIMIT 1) \
             FROM streams WHERE name = ?",
        )?
        .query_row([name], |row| {
            Ok((row.get(0)?, Revision::new(row.get::<_, i64>(1)?.unsigned_abs())))
        })
        .optional()
}

fn place(connection: &Connection, id: &Uuid) -> Result<Option<Place>, rusqlite::Error> {
    connection
        .prepare_cached(
            "SELECT streams.name, revision, position FROM events JOIN streams ON streams.id = events.stream \
             WHERE event_id = ?",
        )?
        .query_row([id.as_bytes()], |row| {
            Ok(Place {
                stream: StreamId::from_stored(text(row, 0)?),
                revision: Revision::new(row.get::<_, i64>(1)?.unsigned_abs()),
                position: Position::new(row.get::<_, i64>(2)?.unsigned_abs()),
            })
        })
        .optional()
}

/// A column's text, in place.
pub(super) fn text<'a>(
    row: &'a rusqlite::Row<'_>,
    column: usize,
) -> Result<&'a str, rusqlite::Error> {
    row.get_ref(column)?.as_str().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
    })
}

fn insert<'a>(
    connection: &Connection,
    rows: &[ToStore<'a>],
    mut streams: HashMap<&'a str, i64>,
) -> Result<(), rusqlite::Error> {
    let mut new_stream = connection.prepare_cached("INSERT INTO streams (name) VALUES (?)")?;
    let mut new_event = connection.prepare_cached(
        "INSERT INTO events (position, stream, revision, event_id, event_type, schema_version, data, actor, \
         correlation_id, causation_id, context, recorded_at, checksum) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    for ToStore {
        row,
        origin,
        recorded_at,
        checksum,
    } in rows
    {
        let name = row.stream.as_str();
        let stream = match streams.get(name) {
            Some(id) => *id,
            None => {
                let id = new_stream.insert([name])?;
                streams.insert(name, id);
                id
            }
        };
        new_event.execute(params![
            row.position.number().cast_signed(),
            stream,
            row.revision.number().cast_signed(),
            row.event.id.as_uuid().as_bytes(),
            row.event.event_type,
            row.event.schema_version,
            row.event.data.get(),
            origin.actor,
            origin.correlation_id.as_bytes(),
            origin.causation_id.as_ref().map(Uuid::as_bytes),
            origin.context,
            recorded_at,
            checksum,
        ])?;
    }
    Ok(())
}
