//! Firefly's own line. Its names are those of the log's columns and never change.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use firefly_domain::EventId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Line, LineError, Parts};
use crate::event::{Idempotency, RecordedEvent};
use crate::stored;

/// A line that came from a newer Firefly with more fields is refused: they would be lost.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Event<'a> {
    position: u64,
    stream: Cow<'a, str>,
    revision: u64,
    id: EventId,
    #[serde(rename = "type")]
    event_type: Cow<'a, str>,
    version: u32,
    recorded_at: DateTime<Utc>,
    actor: Cow<'a, str>,
    correlation_id: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    causation_id: Option<EventId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idempotency: Option<Idempotency>,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl<'a> Event<'a> {
    pub(super) fn of(event: &'a RecordedEvent, data: &'a RawValue) -> Self {
        let metadata = &event.metadata;
        Self {
            position: event.position.number(),
            stream: event.stream.as_str().into(),
            revision: event.revision.number(),
            id: event.id,
            event_type: event.event_type.as_str().into(),
            version: event.schema_version,
            recorded_at: event.recorded_at,
            actor: stored::actor_text(&metadata.actor).into(),
            correlation_id: metadata.correlation_id,
            causation_id: metadata.causation_id,
            traceparent: metadata.traceparent.as_deref().map(Cow::Borrowed),
            idempotency: metadata.idempotency.clone(),
            data,
        }
    }

    pub(super) fn into_line(self) -> Result<Line, LineError> {
        Parts {
            stream: self.stream,
            revision: self.revision,
            id: self.id,
            event_type: self.event_type,
            version: self.version,
            recorded_at: Some(self.recorded_at),
            actor: self.actor,
            correlation_id: self.correlation_id,
            causation_id: self.causation_id,
            traceparent: self.traceparent,
            idempotency: self.idempotency,
            data: self.data,
        }
        .into_line()
    }
}
