//! Why a control request is not done, as problem+json (RFC 9457).

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::child;
use crate::tool::protocol::chain;

/// A control request that is refused or fails.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "the control key is missing or wrong; only the reactor that started this program has it"
    )]
    Key,
    #[error("the body is not what the request needs; see the contract of control requests")]
    Malformed(#[source] serde_json::Error),
    #[error("this project-server works on {0} already, and takes one assignment in its life")]
    OtherAssignment(String),
    #[error("this project-server is stopping; give the assignment to another one")]
    Stopping,
    #[error("the workspace cannot be inspected")]
    Inspect(#[source] child::Error),
    #[error("the workspace was not inspected in time; take its work for unsaved")]
    Slow,
}

impl Refusal {
    const fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Key => (StatusCode::UNAUTHORIZED, "key-refused"),
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed"),
            Self::OtherAssignment(_) => (StatusCode::CONFLICT, "other-assignment"),
            Self::Stopping => (StatusCode::CONFLICT, "stopping"),
            Self::Inspect(_) => (StatusCode::INTERNAL_SERVER_ERROR, "inspect-failed"),
            Self::Slow => (StatusCode::SERVICE_UNAVAILABLE, "inspect-slow"),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code) = self.status();
        if status.is_server_error() {
            tracing::error!(code, error = chain(&self), "a control request failed");
        }
        let problem = json!({
            "type": format!("about:blank#{code}"),
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "code": code,
            "detail": chain(&self),
        });
        let headers = [(CONTENT_TYPE, "application/problem+json")];
        (status, headers, Json(problem)).into_response()
    }
}
