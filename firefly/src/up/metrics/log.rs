//! The event log, with its appends measured.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use firefly_domain::EventId;
use firefly_event_store::store::Append;
use firefly_event_store::{
    Appended, Error, EventStore, Expected, NewEvent, Position, RecordedEvent, Revision, StreamId,
};
use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};
use tokio::sync::watch;
use uuid::Uuid;

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
impl EventStore for Measured {
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

    async fn read_stream(
        &self,
        stream: &StreamId,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        self.0.read_stream(stream, from, limit).await
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, Error> {
        self.0.read_all(after, limit).await
    }

    async fn read_stream_back(
        &self,
        stream: &StreamId,
        before: Option<Revision>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        self.0.read_stream_back(stream, before, limit).await
    }

    async fn read_all_back(
        &self,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        self.0.read_all_back(before, limit).await
    }

    async fn find_request(&self, key: &Uuid) -> Result<Option<RecordedEvent>, Error> {
        self.0.find_request(key).await
    }

    async fn taken(&self, ids: &[EventId]) -> Result<Vec<EventId>, Error> {
        self.0.taken(ids).await
    }

    fn id(&self) -> Uuid {
        self.0.id()
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.0.head()
    }
}
