//! Where to find what a keyed request recorded, on a server that has no index of event ids.
//!
//! Before a keyed append, the place that its first event would have is noted in a stream of the key's own. Whether it
//! happened is told by that place alone: the request's event stands there or it does not. So a claim without an append does
//! no harm, and there is no append without its claim.
//!
//! Two requests that use one key for different streams, on two processes and at the same moment, are both carried out: each
//! finds the other's claim only before the other's append. One process answers the second of them with a conflict.

use eventstore::{AppendToStreamOptions, EventData, ReadStreamOptions, StreamState};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::connection::{Connection, failed};
use super::streams;
use crate::event::{Idempotency, RecordedEvent, Revision, StreamId};
use crate::store::{Error, Expected};

/// The category of the streams that claims are in. What is in them is not Firefly's log.
const CATEGORY: &str = "firefly-request";

/// Claims that one key can have: a request is tried again only a few times after conflicts.
const CLAIMS_MAX: usize = 1_000;

/// The place of a request's first event.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Claim {
    stream: String,
    revision: Revision,
}

impl Claim {
    pub(super) fn new(stream: &StreamId, expected: Expected) -> Self {
        Self {
            stream: stream.as_str().to_owned(),
            revision: match expected {
                Expected::NoStream => Revision::FIRST,
                Expected::Exact(last) => last.next(),
            },
        }
    }
}

/// Notes where a request's events would come to stand.
///
/// # Errors
///
/// [`Error::EventIdTaken`] if the request's events stand elsewhere already, or the server failed.
pub(super) async fn note(connection: &Connection, key: &Uuid, claim: &Claim) -> Result<(), Error> {
    let noted = claims(connection, key).await?;
    for other in noted.iter().filter(|noted| *noted != claim) {
        if let Some(event) = first_event(connection, key, other).await? {
            return Err(Error::EventIdTaken { id: event.id });
        }
    }
    if noted.contains(claim) {
        return Ok(());
    }
    let event = EventData::json("RequestClaimed", claim).expect("it has only string keys");
    let event = event.id(Uuid::new_v4());
    let options = AppendToStreamOptions::default()
        .requires_leader(true)
        .stream_state(StreamState::Any);
    let append = connection.call(|client| {
        let (stream, event, options) = (of(key), event.clone(), options.clone());
        async move { client.append_to_stream(stream, &options, event).await }
    });
    append.await.map_err(failed("note a request"))?;
    Ok(())
}

/// The first event that the request with a key recorded.
pub(super) async fn find(
    connection: &Connection,
    key: &Uuid,
) -> Result<Option<RecordedEvent>, Error> {
    for claim in claims(connection, key).await? {
        if let Some(event) = first_event(connection, key, &claim).await? {
            return Ok(Some(event));
        }
    }
    Ok(None)
}

async fn first_event(
    connection: &Connection,
    key: &Uuid,
    claim: &Claim,
) -> Result<Option<RecordedEvent>, Error> {
    let stream = StreamId::from_stored(claim.stream.as_str());
    let there = streams::at(connection, &stream, claim.revision).await?;
    let event = there.map(|recorded| recorded.event);
    Ok(event.filter(|event| event.id == Idempotency::first_event_id(key)))
}

async fn claims(connection: &Connection, key: &Uuid) -> Result<Vec<Claim>, Error> {
    let options = ReadStreamOptions::default()
        .requires_leader(true)
        .max_count(CLAIMS_MAX);
    let read = connection.call(|client| {
        let (stream, options) = (of(key), options.clone());
        async move {
            let mut events = client.read_stream(stream, &options).await?;
            let mut claims = Vec::new();
            while let Some(resolved) = events.next().await? {
                let claim = resolved.get_original_event().as_json::<Claim>();
                claims.extend(claim.ok());
            }
            Ok(claims)
        }
    });
    match read.await {
        Ok(claims) => Ok(claims),
        Err(eventstore::Error::ResourceNotFound) => Ok(Vec::new()),
        Err(error) => Err(failed("look up a request")(error)),
    }
}

fn of(key: &Uuid) -> String {
    format!("{CATEGORY}-{key}")
}
