//! An event as the SQL engines keep it: its metadata in columns, and a checksum over everything.
//!
//! A database's own checks find torn pages, not flipped bits. The checksum covers where an event stands as well as what it
//! says, so a row that was altered or that an index leads to by mistake is refused, never answered from.

use chrono::{DateTime, Utc};
use firefly_domain::{Actor, EventId, Segment};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::batch::Row;
use crate::event::{Idempotency, Metadata, Position, RecordedEvent, Revision, StreamId};
use crate::store::Error;

/// The columns of an event's metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) actor: String,
    pub(crate) correlation_id: Uuid,
    pub(crate) causation_id: Option<Uuid>,
    /// What few events have, as JSON.
    pub(crate) context: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct Context {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idempotency: Option<Idempotency>,
}

impl Origin {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let context = Context {
            traceparent: metadata.traceparent.clone(),
            idempotency: metadata.idempotency.clone(),
        };
        let any = context.traceparent.is_some() || context.idempotency.is_some();
        Self {
            actor: actor_text(&metadata.actor),
            correlation_id: metadata.correlation_id,
            causation_id: metadata.causation_id.map(|id| *id.as_uuid()),
            context: any.then(|| {
                serde_json::to_string(&context).expect("the context has only string keys")
            }),
        }
    }

    fn into_metadata(self) -> Result<Metadata, String> {
        let context = match &self.context {
            None => None,
            Some(text) => Some(
                serde_json::from_str::<Context>(text)
                    .map_err(|error| format!("its context cannot be read: {error}"))?,
            ),
        };
        let (traceparent, idempotency) = context.map_or((None, None), |context| {
            (context.traceparent, context.idempotency)
        });
        Ok(Metadata {
            actor: actor(&self.actor)?,
            correlation_id: self.correlation_id,
            causation_id: self.causation_id.map(EventId::from_uuid),
            traceparent,
            idempotency,
        })
    }
}

const USER: &str = "user:";
const SYSTEM: &str = "system:";
const ANONYMOUS: &str = "anonymous";

/// An actor in one word, as rows and exported lines have it.
pub(crate) fn actor_text(actor: &Actor) -> String {
    match actor {
        Actor::User(name) => format!("{USER}{name}"),
        Actor::System(role) => format!("{SYSTEM}{role}"),
        Actor::Anonymous => ANONYMOUS.to_owned(),
    }
}

/// Reads what [`actor_text`] wrote.
pub(crate) fn actor(text: &str) -> Result<Actor, String> {
    if let Some(role) = text.strip_prefix(SYSTEM) {
        return Ok(Actor::System(role.to_owned()));
    }
    match text.strip_prefix(USER) {
        Some(name) => Segment::parse(name)
            .map(Actor::User)
            .map_err(|error| format!("its actor {name:?} is no name: {error}")),
        None if text == ANONYMOUS => Ok(Actor::Anonymous),
        None => Err(format!("its actor {text:?} is of no known kind")),
    }
}

/// A row of `events`, in the order of its columns.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) position: i64,
    pub(crate) stream: StreamId,
    pub(crate) revision: i64,
    pub(crate) id: Uuid,
    pub(crate) event_type: String,
    pub(crate) schema_version: i64,
    pub(crate) data: String,
    pub(crate) origin: Origin,
    /// Microseconds since 1970-01-01 UTC.
    pub(crate) recorded_at: i64,
    pub(crate) checksum: i64,
}

impl Stored {
    /// The event, if the row is what was written.
    pub(crate) fn into_event(self) -> Result<RecordedEvent, Error> {
        let position = self.position;
        self.checked().map_err(|detail| Error::Corrupt {
            what: format!("the event at position {position}"),
            detail,
            position: u64::try_from(position).ok().map(Position::new),
        })
    }

    fn checked(self) -> Result<RecordedEvent, String> {
        let covered = Covered {
            position: self.position,
            stream: &self.stream,
            revision: self.revision,
            id: &self.id,
            event_type: &self.event_type,
            schema_version: self.schema_version,
            data: &self.data,
            origin: &self.origin,
            recorded_at: self.recorded_at,
        };
        if i64::from(covered.checksum()) != self.checksum {
            return Err("its checksum does not match what is stored".to_owned());
        }
        let number = |number: i64| u64::try_from(number).map_err(|error| error.to_string());
        Ok(RecordedEvent {
            position: Position::new(number(self.position)?),
            stream: self.stream,
            revision: Revision::new(number(self.revision)?),
            id: EventId::from_uuid(self.id),
            event_type: self.event_type,
            schema_version: u32::try_from(self.schema_version)
                .map_err(|error| error.to_string())?,
            data: RawValue::from_string(self.data).map_err(|error| error.to_string())?,
            metadata: self.origin.into_metadata()?,
            recorded_at: DateTime::from_timestamp_micros(self.recorded_at)
                .ok_or("its time is out of range")?,
        })
    }
}

/// A row to be written, with its columns made.
pub(crate) struct ToStore<'a> {
    pub(crate) row: &'a Row<'a>,
    pub(crate) origin: Origin,
    /// Microseconds since 1970-01-01 UTC.
    pub(crate) recorded_at: i64,
    pub(crate) checksum: i64,
}

impl<'a> ToStore<'a> {
    /// Makes the columns of rows that are recorded now, or were recorded before by another log; none is earlier than the
    /// one before it, even if the clock was set back.
    pub(crate) fn all(rows: &'a [Row<'a>], last: i64, now: DateTime<Utc>) -> Vec<Self> {
        let mut latest = last;
        rows.iter()
            .map(|row| {
                let at = row.event.recorded_at.unwrap_or(now).timestamp_micros();
                latest = latest.max(at);
                Self::new(row, latest)
            })
            .collect()
    }

    fn new(row: &'a Row<'a>, recorded_at: i64) -> Self {
        let origin = Origin::of(&row.event.metadata);
        let covered = Covered {
            position: row.position.number().cast_signed(),
            stream: row.stream,
            revision: row.revision.number().cast_signed(),
            id: row.event.id.as_uuid(),
            event_type: &row.event.event_type,
            schema_version: i64::from(row.event.schema_version),
            data: row.event.data.get(),
            origin: &origin,
            recorded_at,
        };
        let checksum = i64::from(covered.checksum());
        Self {
            row,
            origin,
            recorded_at,
            checksum,
        }
    }
}

/// What a checksum is over.
struct Covered<'a> {
    position: i64,
    stream: &'a StreamId,
    revision: i64,
    id: &'a Uuid,
    event_type: &'a str,
    schema_version: i64,
    data: &'a str,
    origin: &'a Origin,
    recorded_at: i64,
}

impl Covered<'_> {
    /// CRC-32 (IEEE 802.3) over numbers in little-endian order and texts with their lengths before them.
    fn checksum(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        for number in [
            self.position,
            self.revision,
            self.schema_version,
            self.recorded_at,
        ] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(self.id.as_bytes());
        hasher.update(self.origin.correlation_id.as_bytes());
        // No event has the nil UUID.
        let causation = self.origin.causation_id.unwrap_or_default();
        hasher.update(causation.as_bytes());
        for text in [
            self.stream.as_str(),
            self.event_type,
            &self.origin.actor,
            self.origin.context.as_deref().unwrap_or_default(),
            self.data,
        ] {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_survives_its_columns() {
        let bare = || Metadata {
            actor: Actor::Anonymous,
            correlation_id: Uuid::from_u128(7),
            causation_id: None,
            traceparent: None,
            idempotency: None,
        };
        let full = Metadata {
            actor: Actor::User(Segment::parse("alice").unwrap()),
            causation_id: Some(EventId::from_uuid(Uuid::from_u128(9))),
            traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
            idempotency: Some(Idempotency {
                key: Uuid::from_u128(11),
                fingerprint: "c0ffee".into(),
            }),
            ..bare()
        };
        let system = Metadata {
            actor: Actor::System("reactor".into()),
            ..bare()
        };
        for metadata in [bare(), full, system] {
            assert_eq!(Origin::of(&metadata).into_metadata(), Ok(metadata));
        }
    }
}
