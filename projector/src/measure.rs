//! What live projections tell of their work, as metrics. How far they are is in the builds, for everybody to see.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

const EVENTS: &str = "firefly_projection_events_total";
const COMMIT_SECONDS: &str = "firefly_projection_commit_seconds";
const BATCH_EVENTS: &str = "firefly_projection_batch_events";
const RETRIES: &str = "firefly_projection_retries_total";

/// Says what they mean.
pub fn describe() {
    describe_counter!(
        EVENTS,
        Unit::Count,
        "Events that a live projection has taken in since the start, by `projection`; those that it does not need count too."
    );
    describe_histogram!(
        COMMIT_SECONDS,
        Unit::Seconds,
        "From having read a batch of events to the commit of what a live projection makes of them, by `projection`."
    );
    describe_histogram!(
        BATCH_EVENTS,
        Unit::Count,
        "Events that a live projection takes in with one commit, by `projection`."
    );
    describe_counter!(
        RETRIES,
        Unit::Count,
        "Times that a live projection began again after the log or the read models failed, by `projection`."
    );
}

/// A batch was committed.
pub(crate) fn committed(projection: &'static str, events: i64, took: Duration) {
    let events = u32::try_from(events).unwrap_or(u32::MAX);
    counter!(EVENTS, "projection" => projection).increment(events.into());
    histogram!(COMMIT_SECONDS, "projection" => projection).record(took);
    histogram!(BATCH_EVENTS, "projection" => projection).record(events);
}

/// It failed, and tries again.
pub(crate) fn failed(projection: &'static str) {
    counter!(RETRIES, "projection" => projection).increment(1);
}
