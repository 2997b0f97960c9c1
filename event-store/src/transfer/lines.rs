//! One event, one line: NDJSON with names of our own, or CloudEvents 1.0 in structured mode.
//!
//! The names of the fields are a promise: what was exported years ago is imported. A payload is kept to the letter; only
//! line breaks between its tokens become spaces.

mod cloudevents;
mod ndjson;

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use firefly_domain::EventId;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::event::{Idempotency, Metadata, NewEvent, RecordedEvent, Revision, StreamId};
use crate::store::EVENT_DATA_BYTES_MAX;
use crate::stored;

/// Bytes that a line may have: the largest payload, and ample room for what is around it.
pub const LINE_BYTES_MAX: usize = EVENT_DATA_BYTES_MAX + 64 * 1024;

/// How a line is written. Reading tells them apart by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A JSON object with Firefly's names.
    Ndjson,
    /// A CloudEvent 1.0 in structured mode.
    CloudEvents,
}

/// Why a line is no event.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// It is not JSON, or a field is missing or of another kind.
    #[error("it cannot be read as an event")]
    Malformed(#[source] serde_json::Error),
    /// It is a CloudEvent of a version from another time.
    #[error("it is a CloudEvent of version {0:?}, and 1.0 is the one that can be read")]
    SpecVersion(String),
    /// Its payload is of another kind.
    #[error("its payload is {0:?}, not application/json")]
    ContentType(String),
    /// Its actor is none.
    #[error("{0}")]
    Actor(String),
    /// Its payload is larger than a log takes.
    #[error("its payload has {0} bytes; {EVENT_DATA_BYTES_MAX} is the limit")]
    TooLarge(usize),
}

/// An event of another log, with its place in its stream.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its stream.
    pub stream: StreamId,
    /// Where it stood there.
    pub revision: Revision,
    /// The event, with the time at which it was recorded.
    pub event: NewEvent,
}

impl From<RecordedEvent> for Line {
    fn from(event: RecordedEvent) -> Self {
        Self {
            stream: event.stream,
            revision: event.revision,
            event: NewEvent {
                id: event.id,
                event_type: event.event_type,
                schema_version: event.schema_version,
                data: event.data,
                metadata: event.metadata,
                recorded_at: Some(event.recorded_at),
            },
        }
    }
}

/// Writes an event of a log as a line, with its end.
pub fn encode(event: &RecordedEvent, log: &Uuid, format: Format, line: &mut Vec<u8>) {
    let data = on_one_line(&event.data);
    let written = match format {
        Format::Ndjson => serde_json::to_writer(&mut *line, &ndjson::Event::of(event, &data)),
        Format::CloudEvents => {
            serde_json::to_writer(&mut *line, &cloudevents::Event::of(event, log, &data))
        }
    };
    written.expect("memory takes everything, and all keys are strings");
    line.push(b'\n');
}

/// Reads a line of either format.
///
/// # Errors
///
/// See [`LineError`].
pub fn decode(line: &[u8]) -> Result<Line, LineError> {
    #[derive(Deserialize)]
    struct Probe {
        specversion: Option<String>,
    }
    let probe: Probe = serde_json::from_slice(line).map_err(LineError::Malformed)?;
    let line = match probe.specversion.as_deref() {
        None => parse::<ndjson::Event<'_>>(line)?.into_line(),
        Some("1.0") => parse::<cloudevents::Event<'_>>(line)?.into_line(),
        Some(other) => Err(LineError::SpecVersion(other.to_owned())),
    }?;
    match line.event.data.get().len() {
        bytes if bytes > EVENT_DATA_BYTES_MAX => Err(LineError::TooLarge(bytes)),
        _ => Ok(line),
    }
}

fn parse<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, LineError> {
    serde_json::from_slice(line).map_err(LineError::Malformed)
}

/// The payload without line breaks. In JSON they stand between tokens only.
fn on_one_line(data: &RawValue) -> Cow<'_, RawValue> {
    if data.get().contains(['\n', '\r']) {
        let flat = data.get().replace(['\n', '\r'], " ");
        Cow::Owned(RawValue::from_string(flat).expect("white space for white space"))
    } else {
        Cow::Borrowed(data)
    }
}

/// What both formats have, under whatever names.
struct Parts<'a> {
    stream: Cow<'a, str>,
    revision: u64,
    id: EventId,
    event_type: Cow<'a, str>,
    version: u32,
    recorded_at: Option<DateTime<Utc>>,
    actor: Cow<'a, str>,
    correlation_id: Uuid,
    causation_id: Option<EventId>,
    traceparent: Option<Cow<'a, str>>,
    idempotency: Option<Idempotency>,
    data: &'a RawValue,
}

impl Parts<'_> {
    fn into_line(self) -> Result<Line, LineError> {
        Ok(Line {
            stream: StreamId::from_stored(&*self.stream),
            revision: Revision::new(self.revision),
            event: NewEvent {
                id: self.id,
                event_type: self.event_type.into_owned(),
                schema_version: self.version,
                data: self.data.to_owned(),
                metadata: Metadata {
                    actor: stored::actor(&self.actor).map_err(LineError::Actor)?,
                    correlation_id: self.correlation_id,
                    causation_id: self.causation_id,
                    traceparent: self.traceparent.map(Cow::into_owned),
                    idempotency: self.idempotency,
                },
                recorded_at: self.recorded_at,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NDJSON: &str = r#"{"position":7,"stream":"project-1","revision":3,"id":"00000000-0000-0000-0000-000000000001","type":"ProjectOpened","version":2,"recorded_at":"2026-11-23T10:00:00.000001Z","actor":"user:alice","correlation_id":"00000000-0000-0000-0000-000000000002","data":{"x": "ü\n"}}"#;

    #[test]
    fn a_line_of_ours_is_read_to_the_letter() {
        let line = decode(NDJSON.as_bytes()).unwrap();
        assert_eq!(line.stream.as_str(), "project-1");
        assert_eq!(line.revision, Revision::new(3));
        assert_eq!(line.event.data.get(), r#"{"x": "ü\n"}"#);
        let at = line.event.recorded_at.unwrap();
        assert_eq!(at.timestamp_subsec_micros(), 1);
    }

    #[test]
    fn what_is_no_event_is_told_why() {
        let said = |line: &str| decode(line.as_bytes()).unwrap_err();
        assert!(matches!(said("{"), LineError::Malformed(_)));
        assert!(matches!(said("{}"), LineError::Malformed(_)));
        assert!(matches!(
            said(r#"{"specversion":"0.3"}"#),
            LineError::SpecVersion(_)
        ));
        assert!(matches!(
            said(&NDJSON.replace("user:alice", "alice")),
            LineError::Actor(_)
        ));
        // A field of a newer Firefly would be lost.
        assert!(matches!(
            said(&NDJSON.replace("\"data\"", "\"new\":1,\"data\"")),
            LineError::Malformed(_)
        ));
        let large = format!("\"{}\"", "x".repeat(EVENT_DATA_BYTES_MAX));
        assert!(matches!(
            said(&NDJSON.replace(r#"{"x": "ü\n"}"#, &large)),
            LineError::TooLarge(_)
        ));
    }

    #[test]
    fn a_payload_of_several_lines_becomes_one() {
        let data = RawValue::from_string("{\n  \"a\":\r\n 1}".to_owned()).unwrap();
        assert_eq!(on_one_line(&data).get(), "{   \"a\":   1}");
    }
}
