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
pub(super) const CLAIMS_MAX: usize = 100;

/// How often a claim is tried while others claim the same key.
const NOTE_TRIES_MAX: usize = 10;

/// The place of a request's first event.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Claim {
    stream: String,
    revision: Revision,
}

impl Claim {
    /// Claims the place of one event of an append, counted from 0.
    pub(super) fn new(stream: &StreamId, expected: Expected, index: usize) -> Self {
        let first = match expected {
            Expected::NoStream => Revision::FIRST,
            Expected::Exact(last) => last.next(),
        };
        Self {
            stream: stream.as_str().to_owned(),
            revision: Revision::new(first.number().saturating_add(index as u64)),
        }
    }
}

/// Notes where a request's events would come to stand.
///
/// # Errors
///
/// [`Error::EventIdTaken`] if the request's events stand elsewhere already, or the server failed.
pub(super) async fn note(connection: &Connection, key: &Uuid, claim: &Claim) -> Result<(), Error> {
    for _ in 0..NOTE_TRIES_MAX {
        let noted = claims(connection, key).await?;
        if noted.claims.len() >= CLAIMS_MAX && !noted.claims.contains(claim) {
            return Err(refused("its key was claimed too often; use another one"));
        }
        for other in noted.claims.iter().filter(|noted| *noted != claim) {
            if let Some(event) = first_event(connection, key, other).await? {
                return Err(Error::EventIdTaken { id: event.id });
            }
        }
        if noted.claims.contains(claim) {
            return Ok(());
        }
        if add(connection, key, claim, noted.last).await? {
            return Ok(());
        }
    }
    Err(refused("others claim its key all the time; try again"))
}

/// Adds a claim behind the last one that is known; whether nobody else did.
async fn add(
    connection: &Connection,
    key: &Uuid,
    claim: &Claim,
    last: Option<u64>,
) -> Result<bool, Error> {
    let event = EventData::json("RequestClaimed", claim).expect("it has only string keys");
    let event = event.id(Uuid::new_v4());
    let expected = last.map_or(StreamState::NoStream, StreamState::StreamRevision);
    let options = AppendToStreamOptions::default()
        .requires_leader(true)
        .stream_state(expected);
    let append = connection.call(|client| {
        let (stream, event, options) = (of(key), event.clone(), options.clone());
        async move { client.append_to_stream(stream, &options, event).await }
    });
    match append.await {
        Ok(_) => Ok(true),
        Err(eventstore::Error::WrongExpectedVersion { .. }) => Ok(false),
        Err(error) => Err(failed("note a request")(error)),
    }
}

fn refused(reason: &'static str) -> Error {
    Error::Engine {
        action: "note a request",
        source: reason.into(),
    }
}

/// The first event that the request with a key recorded.
pub(super) async fn find(
    connection: &Connection,
    key: &Uuid,
) -> Result<Option<RecordedEvent>, Error> {
    for claim in &claims(connection, key).await?.claims {
        if let Some(event) = first_event(connection, key, claim).await? {
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

/// What was claimed under a key, oldest first.
struct Claims {
    claims: Vec<Claim>,
    /// The revision of the last one.
    last: Option<u64>,
}

/// All claims of a key. One that cannot be read might be the one that was followed by its append, so none is passed over.
async fn claims(connection: &Connection, key: &Uuid) -> Result<Claims, Error> {
    let options = ReadStreamOptions::default().max_count(CLAIMS_MAX + 1);
    let events = streams::raw(connection, &of(key), options).await;
    let events = events.map_err(failed("look up a request"))?;
    let corrupt = |detail: String| Error::Corrupt {
        what: format!("stream {}", of(key)),
        detail,
        position: None,
    };
    if events.len() > CLAIMS_MAX {
        return Err(corrupt(format!("it has more than {CLAIMS_MAX} claims")));
    }
    let claim = |event: &eventstore::RecordedEvent| {
        let revision = event.revision;
        event
            .as_json::<Claim>()
            .map_err(|error| corrupt(format!("its event {revision} is no claim: {error}")))
    };
    Ok(Claims {
        claims: events.iter().map(claim).collect::<Result<_, _>>()?,
        last: events.last().map(|event| event.revision),
    })
}

fn of(key: &Uuid) -> String {
    format!("{CATEGORY}-{key}")
}
