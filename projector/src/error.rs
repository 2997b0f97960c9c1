//! Why a projection does not go on.

use firefly_domain::EventId;
use firefly_event_store::Position;

/// What a projection needs has failed; trying again may help.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The read models failed.
    #[error("the read models failed")]
    ReadModels(#[from] firefly_read_models::Error),
    /// The log failed.
    #[error("the event log could not be read")]
    Log(#[source] firefly_event_store::Error),
}

impl Error {
    /// What the database says, if it does not take what was to be written, and would not the next time either.
    pub(crate) const fn refusal(&self) -> Option<&firefly_read_models::Error> {
        match self {
            Self::ReadModels(error @ firefly_read_models::Error::Refused { .. }) => Some(error),
            _ => None,
        }
    }
}

/// An event that a projection cannot take in. It stops there, for what comes behind may build on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Poison {
    pub(crate) event: EventId,
    pub(crate) position: Position,
    pub(crate) reason: String,
}

/// An error with everything that led to it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |error| error.source())
        .fold(error.to_string(), |text, source| {
            format!("{text}: {source}")
        })
}
