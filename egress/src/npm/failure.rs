//! Why something of the registry is not there, in a sentence for those who read the output of npm.

use std::io;

use http::StatusCode;

/// Why something of the registry is not there.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Nobody may ask for it.
    #[error("Firefly has no copy of {0}, and projects have no network here")]
    NotCached(String),
    /// The registry does not give it out.
    #[error("the registry has no {0} for Firefly (it answers {1})")]
    Absent(String, StatusCode),
    /// The registry does not answer.
    #[error("Firefly cannot get {0}: the registry is out of reach ({1})")]
    Unreachable(String, #[source] reqwest::Error),
    /// It answers that it cannot.
    #[error("Firefly cannot get {0}: the registry answers {1}")]
    Fails(String, StatusCode),
    /// What came is not what was asked for.
    #[error("Firefly cannot get {0}: what the registry sends {1}")]
    Broken(String, String),
    /// What came does not have the hash that it must have.
    #[error(
        "Firefly refuses {0}: what the registry sends does not have the hash that the registry says it has"
    )]
    Integrity(String),
    /// It takes too long.
    #[error("Firefly could not get {0} from the registry in time")]
    Slow(String),
    /// Too much is fetched already.
    #[error("Firefly fetches too many packages at once; try again in a moment")]
    Busy,
    /// Firefly ends.
    #[error("Firefly is being stopped")]
    Stopped,
    /// It can be had, but not kept.
    #[error("{0} cannot be kept: {1}")]
    Unkept(String, #[source] io::Error),
}

impl Failure {
    /// What is answered.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            // Not 504, after which npm would wait for a minute and ask again.
            Self::NotCached(_) => StatusCode::FORBIDDEN,
            Self::Slow(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Absent(_, status) => *status,
            Self::Unreachable(_, error) if error.is_timeout() => StatusCode::GATEWAY_TIMEOUT,
            Self::Unreachable(..) | Self::Fails(..) | Self::Broken(..) | Self::Integrity(_) => {
                StatusCode::BAD_GATEWAY
            }
            Self::Busy | Self::Stopped => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unkept(..) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Whether the registry only cannot say it now, so that what it said before still counts.
    pub(super) const fn is_outage(&self) -> bool {
        match self {
            Self::Unreachable(..)
            | Self::Fails(..)
            | Self::Broken(..)
            | Self::Slow(_)
            | Self::Busy
            | Self::Stopped => true,
            Self::NotCached(_) | Self::Absent(..) | Self::Integrity(_) | Self::Unkept(..) => false,
        }
    }
}
