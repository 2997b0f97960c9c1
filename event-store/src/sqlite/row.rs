//! An event as SQLite keeps it.

use chrono::DateTime;
use firefly_domain::EventId;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::event::{Position, RecordedEvent, Revision, StreamId};
use crate::store::Error;

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    position: i64,
    stream: String,
    revision: i64,
    event_id: Uuid,
    event_type: String,
    schema_version: i64,
    data: String,
    metadata: String,
    recorded_at: i64,
}

impl Row {
    pub(super) fn into_event(self) -> Result<RecordedEvent, Error> {
        let position = self.position;
        let corrupt = move |source: Box<dyn std::error::Error + Send + Sync>| {
            tracing::error!(event.position = position, error = %source, "the event log holds an unreadable row");
            Error::Engine {
                action: "read one of its rows",
                source,
            }
        };
        Ok(RecordedEvent {
            position: Position::new(unsigned(self.position).map_err(corrupt)?),
            stream: StreamId::from_stored(self.stream),
            revision: Revision::new(unsigned(self.revision).map_err(corrupt)?),
            id: EventId::from_uuid(self.event_id),
            event_type: self.event_type,
            schema_version: u32::try_from(self.schema_version)
                .map_err(|source| corrupt(source.into()))?,
            data: RawValue::from_string(self.data).map_err(|source| corrupt(source.into()))?,
            metadata: serde_json::from_str(&self.metadata)
                .map_err(|source| corrupt(source.into()))?,
            recorded_at: DateTime::from_timestamp_micros(self.recorded_at)
                .ok_or_else(|| corrupt("its time is out of range".into()))?,
        })
    }
}

fn unsigned(number: i64) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
    u64::try_from(number).map_err(Into::into)
}
