//! Events that somebody said a projection is to pass over. They are in the log, with who said so and why, and so hold for
//! every rebuild too.

use std::collections::HashSet;

use firefly_domain::{Aggregate, EventId, Projection as Said};
use firefly_event_store::{EventStore, Revision, StreamId, Wire};

use crate::error::{Error, chain};
use crate::projection::Projection;

/// Events of the stream that are read at a time.
const PAGE_EVENTS: usize = 512;

/// Those of a projection.
pub(crate) async fn of<P: Projection>(store: &dyn EventStore) -> Result<HashSet<EventId>, Error> {
    let stream = StreamId::of(Said::CATEGORY, &Said::id(P::NAME));
    let mut state = firefly_domain::projection::State::default();
    let mut from = Revision::FIRST;
    loop {
        let page = store.read_stream(&stream, from, PAGE_EVENTS).await;
        let page = page.map_err(Error::Log)?;
        for recorded in &page {
            match Said::decode(recorded) {
                Ok(event) => state = Said::evolve(state, &event),
                // What it says is not known; the projection stops at the event then, which is safe.
                Err(error) => {
                    tracing::warn!(projection = P::NAME, error = %chain(&error), "what was said is passed over");
                }
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE_EVENTS => from = last.revision.next(),
            _ => return Ok(state.skipped.into_iter().collect()),
        }
    }
}
