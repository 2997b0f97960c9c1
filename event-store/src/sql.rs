//! What the engines on SQL databases share.

use crate::store::{Error, READ_EVENTS_MAX};

/// How many rows to ask for.
pub(crate) fn bounded(limit: usize) -> i64 {
    i64::try_from(limit.min(READ_EVENTS_MAX)).expect("READ_EVENTS_MAX fits in an i64")
}

/// The error of an engine that could not do something.
pub(crate) fn engine(action: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |source| Error::Engine {
        action,
        source: source.into(),
    }
}
