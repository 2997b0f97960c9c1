//! Failed queries as HTTP answers.

use axum::response::{IntoResponse, Response};
use firefly_event_store::DecodeError;
use firefly_web::Problem;
use http::StatusCode;

/// Why a query came to nothing.
#[derive(Debug)]
pub struct Error(Problem);

impl Error {
    /// The read models have not reached the position that the client insists on.
    pub fn behind() -> Self {
        let detail =
            "the write was recorded, but the read models have not reached it yet; ask again";
        Problem::unavailable("projection-behind", detail).into()
    }

    /// As many live sockets or event streams are open as may be.
    pub fn too_many_subscribers() -> Self {
        let detail =
            "as many live connections are open as this server keeps; try again in a moment";
        Problem::unavailable("live-busy", detail).into()
    }

    /// A user has as many live connections as one may have.
    pub fn too_many_of_user(most: usize) -> Self {
        let detail = format!(
            "you have {most} live connections, the most that one user may have; close some, or follow more with each"
        );
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "live-too-many", detail).into()
    }

    /// As many exports are sent as may be.
    pub fn too_many_exports() -> Self {
        let detail =
            "as many exports are being sent as this server sends at once; try again in a moment";
        Problem::unavailable("export-busy", detail).into()
    }

    /// What is asked for depends on an event that this program cannot read.
    pub fn unreadable(error: &DecodeError) -> Self {
        tracing::error!(?error, "a query needs an event that cannot be read");
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Problem::new(status, "event-unreadable", error.to_string()).into()
    }

    /// The log does not answer.
    pub fn log(error: &firefly_event_store::Error) -> Self {
        tracing::error!(?error, "a query could not read the log");
        Problem::unavailable(
            "log-unavailable",
            "the event log does not answer; try again",
        )
        .into()
    }

    /// The read models do not answer.
    pub fn read_models(error: &firefly_read_models::Error) -> Self {
        tracing::error!(?error, "a query could not read the read models");
        Problem::unavailable(
            "read-models-unavailable",
            "the read models do not answer; try again",
        )
        .into()
    }

    /// What runs containers does not answer.
    pub fn containers(error: &crate::logs::Unreadable) -> Self {
        tracing::warn!(
            error = error as &dyn std::error::Error,
            "the output of a container could not be read"
        );
        Problem::unavailable(
            "containers-unavailable",
            "what runs containers does not answer; try again, and let `firefly doctor` look if it stays so",
        )
        .into()
    }

    /// Something that should not be.
    pub fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(?error, "a query failed");
        let detail =
            "the answer could not be made; the operator finds the reason in Firefly's output";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail).into()
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}
