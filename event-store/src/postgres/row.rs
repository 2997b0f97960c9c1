//! An event as PostgreSQL keeps it.

use chrono::{DateTime, Utc};
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
    schema_version: i32,
    data: String,
    metadata: String,
    recorded_at: DateTime<Utc>,
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
            position: Position::new(self.position.unsigned_abs()),
            stream: StreamId::from_stored(self.stream),
            revision: Revision::new(self.revision.unsigned_abs()),
            id: EventId::from_uuid(self.event_id),
            event_type: self.event_type,
            schema_version: self.schema_version.unsigned_abs(),
            data: RawValue::from_string(self.data).map_err(|source| corrupt(source.into()))?,
            metadata: serde_json::from_str(&self.metadata)
                .map_err(|source| corrupt(source.into()))?,
            recorded_at: self.recorded_at,
        })
    }
}
