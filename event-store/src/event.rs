//! What is stored: events, where they stand, and what is known about how they came to be.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use firefly_domain::{Actor, EventId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

/// The name of a stream: `<category>-<uuid>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(Arc<str>);

impl StreamId {
    /// The stream of one aggregate.
    pub fn of(category: &str, id: &Uuid) -> Self {
        Self(format!("{category}-{id}").into())
    }

    /// Takes a name as it was stored.
    pub fn from_stored(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What comes before the first dash.
    pub fn category(&self) -> &str {
        self.0
            .split_once('-')
            .map_or(&*self.0, |(category, _)| category)
    }

    /// The UUID behind the first dash, if there is one.
    pub fn uuid(&self) -> Option<Uuid> {
        self.0.split_once('-').and_then(|(_, id)| id.parse().ok())
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where an event stands in its stream; the first is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(u64);

impl Revision {
    /// The first event's.
    pub const FIRST: Self = Self(0);

    /// Takes a number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where an event stands in the whole log; later events have greater ones. The order is total.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Position(u64);

impl Position {
    /// Before the first event.
    pub const START: Self = Self(0);

    /// Takes a number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number; the first event's is 1.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The one after it, in a log that counts without gaps.
    #[must_use]
    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How an event came to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Who caused it.
    pub actor: Actor,
    /// Shared by everything that follows from one request.
    pub correlation_id: Uuid,
    /// The event it is a reaction to, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<EventId>,
    /// The W3C trace context of the request, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The request that must not be done twice, if its sender said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<Idempotency>,
}

/// A request that its sender may repeat without it being done again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idempotency {
    /// Derived from the sender and the key it chose.
    pub key: Uuid,
    /// Tells requests of one key apart.
    pub fingerprint: String,
}

impl Idempotency {
    /// The id of an event that the request records, counted from 0: always the same, so the log can tell a repetition.
    pub(crate) fn event_id(&self, index: usize) -> EventId {
        derived(&self.key, index)
    }

    /// The id of the first event that a request with this key records.
    pub(crate) fn first_event_id(key: &Uuid) -> EventId {
        derived(key, 0)
    }
}

fn derived(key: &Uuid, index: usize) -> EventId {
    EventId::from_uuid(Uuid::new_v5(key, &(index as u64).to_be_bytes()))
}

/// An event to be appended.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Its id; appending the same ids again gives the first outcome.
    pub id: EventId,
    /// The name of its type on the wire.
    pub event_type: String,
    /// The version of its payload's schema; the first is 1.
    pub schema_version: u32,
    /// The payload.
    pub data: Box<RawValue>,
    /// How it came to be.
    pub metadata: Metadata,
    /// When another log took it, if it is copied from there; an event that is new has the time at which it is appended.
    pub recorded_at: Option<DateTime<Utc>>,
}

/// An event as the log holds it.
#[derive(Clone, Debug)]
pub struct RecordedEvent {
    /// Where it stands in the log.
    pub position: Position,
    /// Its stream.
    pub stream: StreamId,
    /// Where it stands in its stream.
    pub revision: Revision,
    /// Its id.
    pub id: EventId,
    /// The name of its type on the wire.
    pub event_type: String,
    /// The version of its payload's schema.
    pub schema_version: u32,
    /// The payload.
    pub data: Box<RawValue>,
    /// How it came to be.
    pub metadata: Metadata,
    /// When the log took it; never earlier than the event before it.
    pub recorded_at: DateTime<Utc>,
}
