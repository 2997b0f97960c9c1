//! Refused and failed commands as HTTP answers; the one place where they meet.

use axum::response::{IntoResponse, Response};
use firefly_domain::{project, projection, session};
use firefly_event_store::CommandError;
use firefly_web::Problem;
use http::StatusCode;

/// A rule's refusal, as HTTP sees it.
pub trait Refusal: std::error::Error + Send + Sync + 'static {
    /// The stable code for programs.
    fn code(&self) -> &'static str;

    /// 404 for what does not exist, 409 for what a rule forbids now.
    fn status(&self) -> StatusCode;
}

impl Refusal for project::Rejection {
    fn code(&self) -> &'static str {
        self.code()
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Closing
            | Self::Deleting
            | Self::OtherSource { .. }
            | Self::OtherBranch { .. }
            | Self::NotAsleep
            | Self::UnsavedWork(_)
            | Self::Fenced { .. } => StatusCode::CONFLICT,
        }
    }
}

impl Refusal for session::Rejection {
    fn code(&self) -> &'static str {
        self.code()
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Over | Self::AlreadyStarted | Self::TooManyProjects => StatusCode::CONFLICT,
        }
    }
}

impl Refusal for projection::Rejection {
    fn code(&self) -> &'static str {
        self.code()
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Reason => StatusCode::BAD_REQUEST,
        }
    }
}

/// Why a request came to nothing.
#[derive(Debug)]
pub struct Error(Response);

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self(problem.into_response())
    }
}

impl<R: Refusal> From<CommandError<R>> for Error {
    fn from(error: CommandError<R>) -> Self {
        match &error {
            CommandError::Rejected(refusal) => {
                Problem::new(refusal.status(), refusal.code(), refusal.to_string()).into()
            }
            CommandError::Stale { .. } => Problem::new(
                StatusCode::PRECONDITION_FAILED,
                "stale-revision",
                error.to_string(),
            )
            .into(),
            CommandError::KeyReused => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                error.to_string(),
            )
            .into(),
            CommandError::Contended => Problem::unavailable("contended", error.to_string()).into(),
            CommandError::Log(_) => {
                tracing::error!(error = ?error, "a command could not be recorded");
                let detail = "the event log does not answer; nothing was acknowledged, try again";
                Problem::unavailable("log-unavailable", detail).into()
            }
            CommandError::Unreadable(_) => {
                tracing::error!(error = ?error, "a stream cannot be read");
                let detail =
                    "the history of this cannot be read; the operator finds the event in the log";
                Problem::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "history-unreadable",
                    detail,
                )
                .into()
            }
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        self.0
    }
}
