//! A CloudEvent 1.0 in structured mode (github.com/cloudevents/spec, v1.0.2).
//!
//! Names of attributes are lower-case letters and digits. An integer of that specification has 32 bits, so positions and
//! revisions are texts; numbers are taken too.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use firefly_domain::EventId;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Line, LineError, Parts};
use crate::event::{Idempotency, RecordedEvent};
use crate::stored;

const SPEC_VERSION: &str = "1.0";
const JSON: &str = "application/json";

#[derive(Deserialize, Serialize)]
pub(super) struct Event<'a> {
    specversion: Cow<'a, str>,
    id: EventId,
    /// The log, as `urn:uuid:…`: together with the id it names the event in the world.
    source: Cow<'a, str>,
    #[serde(rename = "type")]
    event_type: Cow<'a, str>,
    /// The stream.
    subject: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    datacontenttype: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fireflyposition: Option<Long>,
    fireflyrevision: Long,
    fireflyversion: u32,
    actor: Cow<'a, str>,
    correlationid: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    causationid: Option<EventId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idempotencykey: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idempotencyprint: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl<'a> Event<'a> {
    pub(super) fn of(event: &'a RecordedEvent, log: &Uuid, data: &'a RawValue) -> Self {
        let metadata = &event.metadata;
        let idempotency = metadata.idempotency.as_ref();
        Self {
            specversion: SPEC_VERSION.into(),
            id: event.id,
            source: format!("urn:uuid:{log}").into(),
            event_type: event.event_type.as_str().into(),
            subject: event.stream.as_str().into(),
            time: Some(event.recorded_at),
            datacontenttype: Some(JSON.into()),
            fireflyposition: Some(Long(event.position.number())),
            fireflyrevision: Long(event.revision.number()),
            fireflyversion: event.schema_version,
            actor: stored::actor_text(&metadata.actor).into(),
            correlationid: metadata.correlation_id,
            causationid: metadata.causation_id,
            traceparent: metadata.traceparent.as_deref().map(Cow::Borrowed),
            idempotencykey: idempotency.map(|request| request.key),
            idempotencyprint: idempotency.map(|request| request.fingerprint.as_str().into()),
            data,
        }
    }

    pub(super) fn into_line(self) -> Result<Line, LineError> {
        if let Some(kind) = self.datacontenttype.filter(|kind| kind != JSON) {
            return Err(LineError::ContentType(kind.into_owned()));
        }
        let fingerprint = self.idempotencyprint.unwrap_or_default().into_owned();
        Parts {
            stream: self.subject,
            revision: self.fireflyrevision.0,
            id: self.id,
            event_type: self.event_type,
            version: self.fireflyversion,
            recorded_at: self.time,
            actor: self.actor,
            correlation_id: self.correlationid,
            causation_id: self.causationid,
            traceparent: self.traceparent,
            idempotency: self
                .idempotencykey
                .map(|key| Idempotency { key, fingerprint }),
            data: self.data,
        }
        .into_line()
    }
}

/// A number that may not fit in 32 bits.
struct Long(u64);

impl Serialize for Long {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Long {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(u64),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Number(number) => Ok(Self(number)),
            Either::Text(text) => text.parse().map(Self).map_err(serde::de::Error::custom),
        }
    }
}
