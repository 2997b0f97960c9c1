//! Appends, and what became of them.

use eventstore::{AppendToStreamOptions, CurrentRevision, EventData, StreamState};
use uuid::Uuid;

use super::claims::{self, Claim};
use super::connection::{Connection, failed};
use super::{record, streams};
use crate::event::{NewEvent, Revision, StreamId};
use crate::store::{Appended, Error, Expected};

/// Appends events; when it returns, they are durable and can be read.
pub(super) async fn append(
    connection: &Connection,
    stream: &StreamId,
    expected: Expected,
    events: &[NewEvent],
) -> Result<Appended, Error> {
    if let Some(request) = events
        .first()
        .and_then(|event| event.metadata.idempotency.as_ref())
    {
        let claim = Claim::new(stream, expected);
        claims::note(connection, &request.key, &claim).await?;
    }
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
