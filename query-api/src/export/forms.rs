//! What an export holds, for its documentation: the event store writes the lines themselves.

use chrono::{DateTime, Utc};
use utoipa::ToSchema;

/// An event with Firefly's own names, which stay.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents what `transfer::lines` writes")]
pub struct ExportedEvent {
    position: u64,
    stream: String,
    revision: u64,
    #[schema(format = Uuid)]
    id: String,
    r#type: String,
    version: u32,
    recorded_at: DateTime<Utc>,
    /// `user:NAME`, `system:ROLE` or `anonymous`.
    actor: String,
    #[schema(format = Uuid)]
    correlation_id: String,
    #[schema(format = Uuid, nullable = false)]
    causation_id: Option<String>,
    #[schema(nullable = false)]
    traceparent: Option<String>,
    #[schema(nullable = false)]
    idempotency: Option<ExportedKey>,
    #[schema(value_type = Object)]
    data: (),
}

/// The idempotency key of the request that led to an event.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents what `transfer::lines` writes")]
struct ExportedKey {
    #[schema(format = Uuid)]
    key: String,
    fingerprint: String,
}

/// An event as a CloudEvent 1.0.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents what `transfer::lines` writes")]
pub struct CloudEvent {
    #[schema(pattern = "^1\\.0$")]
    specversion: String,
    #[schema(format = Uuid)]
    id: String,
    /// The log, as `urn:uuid:…`.
    source: String,
    r#type: String,
    /// The stream.
    subject: String,
    time: DateTime<Utc>,
    #[schema(pattern = "^application/json$")]
    datacontenttype: String,
    /// A number as text.
    #[schema(pattern = "^[0-9]+$")]
    fireflyposition: String,
    /// A number as text.
    #[schema(pattern = "^[0-9]+$")]
    fireflyrevision: String,
    fireflyversion: u32,
    actor: String,
    #[schema(format = Uuid)]
    correlationid: String,
    #[schema(format = Uuid, nullable = false)]
    causationid: Option<String>,
    #[schema(nullable = false)]
    traceparent: Option<String>,
    #[schema(format = Uuid, nullable = false)]
    idempotencykey: Option<String>,
    #[schema(nullable = false)]
    idempotencyprint: Option<String>,
    #[schema(value_type = Object)]
    data: (),
}
