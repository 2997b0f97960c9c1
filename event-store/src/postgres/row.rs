//! An event as PostgreSQL keeps it.

use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::event::{RecordedEvent, StreamId};
use crate::store::{Error, engine};
use crate::stored::{Origin, Stored};

/// The columns of an event, in the order and the types in which they are read.
pub(super) const COLUMNS: &str = "position, stream, revision, event_id, event_type, schema_version, data::text, actor, \
                                  correlation_id, causation_id, context::text, recorded_at, checksum";

pub(super) fn event(row: &PgRow) -> Result<RecordedEvent, Error> {
    stored(row).map_err(engine("read a row"))?.into_event()
}

fn stored(row: &PgRow) -> Result<Stored, sqlx::Error> {
    Ok(Stored {
        position: row.try_get(0)?,
        stream: StreamId::from_stored(row.try_get::<&str, _>(1)?),
        revision: row.try_get(2)?,
        id: row.try_get::<Uuid, _>(3)?,
        event_type: row.try_get(4)?,
        schema_version: row.try_get(5)?,
        data: row.try_get(6)?,
        origin: Origin {
            actor: row.try_get(7)?,
            correlation_id: row.try_get(8)?,
            causation_id: row.try_get(9)?,
            context: row.try_get(10)?,
        },
        recorded_at: row.try_get::<DateTime<Utc>, _>(11)?.timestamp_micros(),
        checksum: row.try_get(12)?,
    })
}
