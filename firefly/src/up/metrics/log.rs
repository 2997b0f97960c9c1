//! The event log, with its appends measured.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use firefly_event_store::{
    Append, Appended, Error, EventStore, Expected, Layer, NewEvent, StreamId,
};
use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

const APPENDS: &str = "firefly_log_appends_total";
const EVENTS: &str = "firefly_log_appended_events_total";
const SECONDS: &str = "firefly_log_append_seconds";

/// Says what they mean.
pub fn describe() {
    describe_counter!(
        APPENDS,
        Unit::Count,
        "Appends to the log, by `outcome`: `appended`, `repeated` (the same had happened before), `conflict` (somebody else was \
         first; it is decided anew), or `failed`."
    );
    describe_counter!(EVENTS, Unit::Count, "Events that were appended to the log.");
    describe_histogram!(
        SECONDS,
        Unit::Seconds,
        "From handing an append to the log to its being durable, or to its failure."
    );
}

/// A log that counts.
pub struct Measured(pub Arc<dyn EventStore>);

fn counted(events: usize, begun: Instant, outcome: &'static str) {
    histogram!(SECONDS).record(begun.elapsed());
    counter!(APPENDS, "outcome" => outcome).increment(1);
    if outcome == "appended" {
        counter!(EVENTS).increment(events as u64);
    }
}

const fn failure(error: &Error) -> &'static str {
    match error {
        Error::Conflict { .. } => "conflict",
        _ => "failed",
    }
}

#[async_trait]
impl Layer for Measured {
    fn behind(&self) -> &dyn EventStore {
        &*self.0
    }

    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, Error> {
        let (begun, count) = (Instant::now(), events.len());
        let appended = self.0.append(stream, expected, events).await;
        let outcome = match &appended {
            Ok(appended) if appended.repeated => "repeated",
            Ok(_) => "appended",
            Err(error) => failure(error),
        };
        counted(count, begun, outcome);
        appended
    }

    async fn append_in_order(&self, appends: Vec<Append>) -> Result<(), Error> {
        let begun = Instant::now();
        let count = appends.iter().map(|append| append.events.len()).sum();
        let appended = self.0.append_in_order(appends).await;
        let outcome = appended.as_ref().map_or_else(failure, |()| "appended");
        counted(count, begun, outcome);
        appended
    }
}
