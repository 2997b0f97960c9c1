//! The answer to a command: what it came to, and where in the log that stands.

use axum::Json;
use axum::response::{IntoResponse, Response};
use firefly_event_store::{Position, Revision};
use firefly_web::etag;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

/// Tells a client the position that a reader must have reached to see its command's effect.
const FIREFLY_POSITION: HeaderName = HeaderName::from_static("firefly-position");

/// An answer with `Firefly-Position` and `ETag`.
#[derive(Debug)]
pub struct Outcome<T> {
    /// The status; 202 while the reactor has still to act on it.
    pub status: StatusCode,
    /// The position of the stream's last event.
    pub position: Position,
    /// The revision of the stream's last event.
    pub revision: Option<Revision>,
    /// The body.
    pub body: T,
}

impl<T: Serialize> IntoResponse for Outcome<T> {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        let headers = response.headers_mut();
        headers.insert(FIREFLY_POSITION, HeaderValue::from(self.position.number()));
        if let Some(revision) = self.revision
            && let Ok(etag) = HeaderValue::try_from(etag::of(revision.number()))
        {
            headers.insert(header::ETAG, etag);
        }
        response
    }
}
