//! An event as the server keeps it: the payload to the letter, and everything else in its metadata.
//!
//! Correlation and causation stand under the names that the server's own projections know. What else Firefly says about an
//! event stands in an object `firefly`, and whatever has no such object is not Firefly's.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use eventstore::{AppendToStreamOptions, EventData, ReadStreamOptions, StreamState};
use firefly_domain::EventId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::all::NUMBER_MAX;
use super::connection::{Connection, failed};
use super::streams;
use crate::event::{Idempotency, Metadata, NewEvent, Position, RecordedEvent, Revision, StreamId};
use crate::store::Error;
use crate::stored::{actor, actor_text};

/// The stream that holds the log's id.
const LOG_STREAM: &str = "firefly-log";

/// Ticks of the server's clock, as it writes them, in a microsecond.
const TICKS_PER_MICROSECOND: i64 = 10;

#[derive(Deserialize, Serialize)]
struct Stored {
    #[serde(rename = "$correlationId")]
    correlation_id: Uuid,
    #[serde(
        rename = "$causationId",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    causation_id: Option<EventId>,
    firefly: Own,
}

#[derive(Deserialize, Serialize)]
struct Own {
    actor: String,
    schema_version: u32,
    /// Drawn anew for every append.
    append: Uuid,
    /// Microseconds since 1970-01-01 UTC, if another log took the event before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recorded_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idempotency: Option<Idempotency>,
}

/// An event of Firefly's, and the append that brought it.
pub(super) struct Recorded {
    pub(super) event: RecordedEvent,
    pub(super) append: Uuid,
}

/// What is sent for an event.
pub(super) fn to_send(event: &NewEvent, append: Uuid) -> EventData {
    let metadata = &event.metadata;
    let stored = Stored {
        correlation_id: metadata.correlation_id,
        causation_id: metadata.causation_id,
        firefly: Own {
            actor: actor_text(&metadata.actor),
            schema_version: event.schema_version,
            append,
            recorded_at: event.recorded_at.map(|at| at.timestamp_micros()),
            traceparent: metadata.traceparent.clone(),
            idempotency: metadata.idempotency.clone(),
        },
    };
    let stored = serde_json::to_vec(&stored).expect("the metadata has only string keys");
    EventData::json(&event.event_type, &event.data)
        .expect("a payload is JSON already")
        .id(*event.id.as_uuid())
        .metadata(Bytes::from(stored))
}

/// What was stored, if it is Firefly's.
pub(super) fn read(event: &eventstore::RecordedEvent) -> Result<Option<Recorded>, Error> {
    let stored = match serde_json::from_slice::<Stored>(&event.custom_metadata) {
        Ok(stored) => stored,
        Err(error) if is_marked(&event.custom_metadata) => {
            return Err(corrupt(event, error.to_string()));
        }
        Err(_) => return Ok(None),
    };
    check_position(event)?;
    match recorded(event, stored) {
        Ok(recorded) => Ok(Some(recorded)),
        Err(detail) => Err(corrupt(event, detail)),
    }
}

/// Whether an event is Firefly's, even if it is damaged.
pub(super) fn is_own(event: &eventstore::RecordedEvent) -> bool {
    !matches!(read(event), Ok(None))
}

/// Servers before 22.6 do not say where the events of a stream stand in `$all`, and looking for each of them would take the
/// whole log. So they are refused, before anything is written to them.
fn check_position(event: &eventstore::RecordedEvent) -> Result<(), Error> {
    if event.position.commit <= NUMBER_MAX {
        return Ok(());
    }
    Err(Error::Engine {
        action: "learn where an event stands",
        source:
            "its server does not say so for the events of a stream; use EventStoreDB 22.6 or newer"
                .into(),
    })
}

fn is_marked(metadata: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Marked {
        #[serde(rename = "firefly")]
        _firefly: serde::de::IgnoredAny,
    }
    serde_json::from_slice::<Marked>(metadata).is_ok()
}

fn recorded(event: &eventstore::RecordedEvent, stored: Stored) -> Result<Recorded, String> {
    let own = stored.firefly;
    let data = std::str::from_utf8(&event.data).map_err(|error| error.to_string())?;
    let recorded_at = match own.recorded_at {
        Some(micros) => DateTime::from_timestamp_micros(micros),
        None => created(event),
    };
    Ok(Recorded {
        append: own.append,
        event: RecordedEvent {
            position: Position::new(event.position.commit),
            stream: StreamId::from_stored(event.stream_id()),
            revision: Revision::new(event.revision),
            id: EventId::from_uuid(event.id),
            event_type: event.event_type.clone(),
            schema_version: own.schema_version,
            data: RawValue::from_string(data.to_owned()).map_err(|error| error.to_string())?,
            metadata: Metadata {
                actor: actor(&own.actor)?,
                correlation_id: stored.correlation_id,
                causation_id: stored.causation_id,
                traceparent: own.traceparent,
                idempotency: own.idempotency,
            },
            recorded_at: recorded_at.ok_or("its time cannot be read")?,
        },
    })
}

/// When the server took it. The client's own field for this has whole seconds only.
fn created(event: &eventstore::RecordedEvent) -> Option<DateTime<Utc>> {
    let ticks: i64 = event.metadata.get("created")?.parse().ok()?;
    DateTime::from_timestamp_micros(ticks / TICKS_PER_MICROSECOND)
}

fn corrupt(event: &eventstore::RecordedEvent, detail: String) -> Error {
    Error::Corrupt {
        what: format!("the event at position {}", event.position.commit),
        detail,
        position: Some(Position::new(event.position.commit)),
    }
}

#[derive(Deserialize, Serialize)]
struct LogCreated {
    id: Uuid,
}

/// The log's id, drawn when the database is first opened; of several that open it at once, one wins.
pub(super) async fn log_id(connection: &Connection) -> Result<Uuid, Error> {
    if let Some(id) = stored_log_id(connection).await? {
        return Ok(id);
    }
    let created = LogCreated { id: Uuid::new_v4() };
    let event = EventData::json("LogCreated", &created).expect("it has only string keys");
    let event = event.id(created.id);
    let options = AppendToStreamOptions::default()
        .requires_leader(true)
        .stream_state(StreamState::NoStream);
    let append = connection.call(|client| {
        let (event, options) = (event.clone(), options.clone());
        async move { client.append_to_stream(LOG_STREAM, &options, event).await }
    });
    match append.await {
        Ok(_) | Err(eventstore::Error::WrongExpectedVersion { .. }) => {}
        Err(error) => return Err(failed("give it an id")(error)),
    }
    let id = stored_log_id(connection).await?;
    id.ok_or_else(|| Error::Corrupt {
        what: format!("stream {LOG_STREAM}"),
        detail: "it does not hold the log's id".to_owned(),
        position: None,
    })
}

async fn stored_log_id(connection: &Connection) -> Result<Option<Uuid>, Error> {
    let options = ReadStreamOptions::default().max_count(1);
    let events = streams::raw(connection, LOG_STREAM, options).await;
    let events = events.map_err(failed("find its id"))?;
    let Some(event) = events.first() else {
        return Ok(None);
    };
    check_position(event)?;
    let created = event.as_json::<LogCreated>();
    Ok(created.ok().map(|created| created.id))
}
