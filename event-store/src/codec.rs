//! Domain events to what is stored, and back.
//!
//! The names and versions below are data: a log written years ago carries them. They are never derived from a Rust
//! path, never reused, and each has a fixture in `codec/fixtures/` that is decoded for ever.

mod lease;
mod project;
mod projection;
mod session;

use firefly_domain::{Project, ProjectId, Session, SessionId};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::event::{Position, RecordedEvent};

/// A payload with its name and version.
#[derive(Debug)]
pub struct Encoded {
    /// The name of its type on the wire.
    pub event_type: &'static str,
    /// The version of its schema.
    pub schema_version: u32,
    /// The payload.
    pub data: Box<RawValue>,
}

/// Why a payload could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// This program knows no event of that name and version.
    #[error("this program knows no such event")]
    Unknown,
    /// It is not of the form its name and version promise.
    #[error("the payload is not of the form that its type and version promise")]
    Malformed(#[source] serde_json::Error),
}

/// An event that its reader needs could not be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "the event at position {position} (type {event_type}, version {schema_version}) cannot be read; \
     it may come from a newer Firefly: run that one"
)]
pub struct DecodeError {
    /// Where it stands.
    pub position: Position,
    /// Its type.
    pub event_type: String,
    /// Its version.
    pub schema_version: u32,
    /// Why.
    #[source]
    pub source: PayloadError,
}

/// An aggregate whose events the log can hold.
pub trait Wire: firefly_domain::Aggregate {
    /// Writes an event.
    fn encode(event: &Self::Event) -> Encoded;

    /// Reads a payload.
    ///
    /// # Errors
    ///
    /// The name and version are unknown, or the payload is not what they promise.
    fn decode_payload(
        event_type: &str,
        schema_version: u32,
        data: &RawValue,
    ) -> Result<Self::Event, PayloadError>;

    /// Reads a recorded event.
    ///
    /// # Errors
    ///
    /// As [`decode_payload`](Self::decode_payload), with the event's place.
    fn decode(event: &RecordedEvent) -> Result<Self::Event, DecodeError> {
        Self::decode_payload(&event.event_type, event.schema_version, &event.data).map_err(
            |source| DecodeError {
                position: event.position,
                event_type: event.event_type.clone(),
                schema_version: event.schema_version,
                source,
            },
        )
    }
}

/// An event of any stream that this program knows.
#[derive(Clone, Debug, PartialEq)]
pub enum DomainEvent {
    /// Of a project.
    Project(ProjectId, firefly_domain::project::Event),
    /// Of a session.
    Session(SessionId, firefly_domain::session::Event),
}

impl DomainEvent {
    /// Reads an event of a known category; `None` for streams of others, which are passed over.
    ///
    /// # Errors
    ///
    /// The stream is of a known category, but its event cannot be read.
    pub fn decode(event: &RecordedEvent) -> Result<Option<Self>, DecodeError> {
        use firefly_domain::Aggregate;

        let Some(id) = event.stream.uuid() else {
            return Ok(None);
        };
        match event.stream.category() {
            Project::CATEGORY => Ok(Some(Self::Project(
                ProjectId::from_uuid(id),
                Project::decode(event)?,
            ))),
            Session::CATEGORY => Ok(Some(Self::Session(
                SessionId::from_uuid(id),
                Session::decode(event)?,
            ))),
            _ => Ok(None),
        }
    }
}

fn encoded(
    event_type: &'static str,
    schema_version: u32,
    payload: &impl serde::Serialize,
) -> Encoded {
    let data = serde_json::value::to_raw_value(payload).expect("payloads have only string keys");
    Encoded {
        event_type,
        schema_version,
        data,
    }
}

/// Turns the payload of one version into that of the next. Pure, and as lasting as the events it reads.
pub(crate) type Upcast = fn(serde_json::Value) -> serde_json::Value;

/// Reads the payload of a version, older ones by the steps that lead from each to the next, the first from version 1.
fn decoded<T: DeserializeOwned>(
    data: &RawValue,
    version: u32,
    current: u32,
    steps: &[Upcast],
) -> Result<T, PayloadError> {
    if version == current {
        return serde_json::from_str(data.get()).map_err(PayloadError::Malformed);
    }
    let steps = version
        .checked_sub(1)
        .and_then(|passed| steps.get(passed as usize..))
        .filter(|_| version < current)
        .ok_or(PayloadError::Unknown)?;
    let written = serde_json::from_str(data.get()).map_err(PayloadError::Malformed)?;
    let upcast = steps.iter().fold(written, |payload, step| step(payload));
    serde_json::from_value(upcast).map_err(PayloadError::Malformed)
}

/// Maps the variants of an aggregate's event to their names and current versions on the wire, and says how older versions
/// are read: `Renamed => "NoteRenamed" v 3 from [step_to_2, step_to_3]`.
macro_rules! wire {
    ($aggregate:ty: $($variant:ident => $name:literal v $version:literal $(from [$($step:path),+])?,)+) => {
        impl $crate::codec::Wire for $aggregate {
            fn encode(event: &Self::Event) -> $crate::codec::Encoded {
                type Event = <$aggregate as firefly_domain::Aggregate>::Event;
                match event {
                    $(Event::$variant(payload) => $crate::codec::encoded($name, $version, payload),)+
                }
            }

            fn decode_payload(
                event_type: &str,
                schema_version: u32,
                data: &serde_json::value::RawValue,
            ) -> Result<Self::Event, $crate::codec::PayloadError> {
                type Event = <$aggregate as firefly_domain::Aggregate>::Event;
                match event_type {
                    $($name => {
                        const STEPS: &[$crate::codec::Upcast] = &[$($($step),+)?];
                        // Every older version can be read, or the program does not compile.
                        const { assert!(STEPS.len() + 1 == $version) };
                        $crate::codec::decoded(data, schema_version, $version, STEPS).map(Event::$variant)
                    })+
                    _ => Err($crate::codec::PayloadError::Unknown),
                }
            }
        }
    };
}
use wire;

#[cfg(test)]
mod upcasting;

#[cfg(test)]
mod fixtures;
