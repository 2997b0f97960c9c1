//! Failed queries as HTTP answers.

use axum::response::{IntoResponse, Response};
use firefly_web::Problem;
use http::{HeaderValue, StatusCode, header};

/// What a client that was told 503 should wait, in seconds.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// Why a query came to nothing.
#[derive(Debug)]
pub struct Error {
    problem: Problem,
    retry: bool,
}

impl Error {
    /// The read models have not reached the position that the client insists on.
    pub fn behind() -> Self {
        let detail =
            "the write was recorded, but the read models have not reached it yet; ask again";
        Self::unavailable("projection-behind", detail)
    }

    /// As many live sockets are open as may be.
    pub fn too_many_sockets() -> Self {
        let detail = "as many live sockets are open as this server keeps; try again in a moment";
        Self::unavailable("live-busy", detail)
    }

    /// The log does not answer.
    pub fn log(error: &firefly_event_store::Error) -> Self {
        tracing::error!(?error, "a query could not read the log");
        Self::unavailable(
            "log-unavailable",
            "the event log does not answer; try again",
        )
    }

    /// The read models do not answer.
    pub fn read_models(error: &sqlx::Error) -> Self {
        tracing::error!(?error, "a query could not read the read models");
        Self::unavailable(
            "read-models-unavailable",
            "the read models do not answer; try again",
        )
    }

    /// Something that should not be.
    pub fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(?error, "a query failed");
        let detail =
            "the answer could not be made; the operator finds the reason in Firefly's output";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail).into()
    }

    fn unavailable(code: &'static str, detail: &str) -> Self {
        Self {
            problem: Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail),
            retry: true,
        }
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            retry: false,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = self.problem.into_response();
        if self.retry {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        response
    }
}
