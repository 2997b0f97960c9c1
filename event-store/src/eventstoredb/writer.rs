//! Appends, and what became of them.

use eventstore::{AppendToStreamOptions, CurrentRevision, EventData, StreamState};
use futures::TryStreamExt;
use futures::stream;
use uuid::Uuid;

use super::claims::{self, Claim};
use super::connection::{Connection, failed};
use super::{record, streams};
use crate::event::{Idempotency, NewEvent, Revision, StreamId};
use crate::store::{Appended, Error, Expected};

/// Claims that are noted side by side.
const CLAIMS_AT_ONCE: usize = 16;

/// Appends events; when it returns, they are durable and can be read.
pub(super) async fn append(
    connection: &Connection,
    stream: &StreamId,
    expected: Expected,
    events: &[NewEvent],
) -> Result<Appended, Error> {
    check_types(events)?;
    note(connection, stream, expected, events).await?;
    let append = Uuid::new_v4();
    let events: Vec<EventData> = events
        .iter()
        .map(|event| record::to_send(event, append))
        .collect();
    let options = AppendToStreamOptions::default()
        .requires_leader(true)
        .stream_state(match expected {
            Expected::NoStream => StreamState::NoStream,
            Expected::Exact(revision) => StreamState::StreamRevision(revision.number()),
        });
    let written = connection.call(|client| {
        let (stream, options, events) = (stream.as_str(), options.clone(), events.clone());
        let stream = stream.to_owned();
        async move { client.append_to_stream(stream, &options, events).await }
    });
    match written.await {
        Ok(written) => {
            let last = Revision::new(written.next_expected_version);
            look(connection, stream, last, append).await
        }
        Err(eventstore::Error::WrongExpectedVersion { current, .. }) => Err(Error::Conflict {
            stream: stream.clone(),
            expected,
            current: match current {
                CurrentRevision::Current(revision) => Some(Revision::new(revision)),
                CurrentRevision::NoStream => None,
            },
        }),
        Err(error) => Err(failed("append")(error)),
    }
}

/// Types that begin with `$` are the server's own, and reads that leave those out leave empty ones out as well.
fn check_types(events: &[NewEvent]) -> Result<(), Error> {
    let is_own =
        |event: &NewEvent| event.event_type.starts_with('$') || event.event_type.is_empty();
    if events.iter().any(is_own) {
        return Err(Error::Engine {
            action: "append",
            source: "its server keeps event types that are empty or begin with $ for itself".into(),
        });
    }
    Ok(())
}

/// Notes the place of the first event of each keyed request. An append has more than one of them if it is a part of another
/// log.
async fn note(
    connection: &Connection,
    stream: &StreamId,
    expected: Expected,
    events: &[NewEvent],
) -> Result<(), Error> {
    let claims = events.iter().enumerate().filter_map(|(index, event)| {
        let key = event.metadata.idempotency.as_ref()?.key;
        let is_first = event.id == Idempotency::first_event_id(&key);
        is_first.then(|| (key, Claim::new(stream, expected, index)))
    });
    let claims: Vec<(Uuid, Claim)> = claims.collect();
    stream::iter(claims.into_iter().map(Ok))
        .try_for_each_concurrent(CLAIMS_AT_ONCE, async |(key, claim)| {
            claims::note(connection, &key, &claim).await
        })
        .await
}

/// What the server made of an append that it says has happened.
async fn look(
    connection: &Connection,
    stream: &StreamId,
    last: Revision,
    append: Uuid,
) -> Result<Appended, Error> {
    let there = streams::at(connection, stream, last).await?;
    let Some(recorded) = there else {
        return Err(Error::Missing {
            what: format!("stream {stream}"),
            expected: last.number(),
            found: last.next().number(),
        });
    };
    Ok(Appended {
        revision: last,
        position: recorded.event.position,
        repeated: recorded.append != append,
    })
}
