//! Keyed requests that found everything as they wanted it: they leave no event in their aggregate's stream, and still must be
//! answered the same when they are repeated, whatever happened since.
//!
//! Each leaves one event in the stream `request-<key>`, under the id that its first event would have had. A request that is
//! refused leaves none: it has changed nothing, and may succeed when it is repeated.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{CommandError, Context, Handled, first_outcome};
use crate::codec::Wire;
use crate::event::{Metadata, NewEvent, RecordedEvent, Revision, StreamId};
use crate::store::{Error, EventStore, Expected};

const CATEGORY: &str = "request";
const EVENT_TYPE: &str = "RequestFoundNothingToDo";
const SCHEMA_VERSION: u32 = 1;

/// What a request was about that found nothing to do.
#[derive(Debug)]
pub(crate) struct Satisfied {
    pub(super) stream: StreamId,
    /// The last revision that it saw.
    pub(super) revision: Option<Revision>,
}

#[derive(Deserialize, Serialize)]
struct Payload {
    stream: String,
    revision: Option<Revision>,
}

/// What a request's first event says, if it is one of these.
pub(crate) fn satisfied(event: &RecordedEvent) -> Option<Satisfied> {
    let payload = (event.event_type == EVENT_TYPE)
        .then(|| serde_json::from_str::<Payload>(event.data.get()).ok())??;
    Some(Satisfied {
        stream: StreamId::from_stored(payload.stream),
        revision: payload.revision,
    })
}

/// Records that a keyed request found nothing to do; other requests pass. If the same request was answered meanwhile, its
/// first answer counts.
///
/// # Errors
///
/// The log failed: the request must not be answered, since a repetition might be answered otherwise.
pub(crate) async fn remember<A: Wire>(
    store: &dyn EventStore,
    stream: &StreamId,
    handled: Handled<A>,
    context: &Context,
) -> Result<Handled<A>, CommandError<A::Rejection>> {
    let Some(idempotency) = &context.idempotency else {
        return Ok(handled);
    };
    if !handled.events.is_empty() {
        return Ok(handled);
    }
    let payload = Payload {
        stream: stream.as_str().to_owned(),
        revision: handled.revision,
    };
    let event = NewEvent {
        id: idempotency.event_id(0),
        event_type: EVENT_TYPE.to_owned(),
        schema_version: SCHEMA_VERSION,
        data: serde_json::value::to_raw_value(&payload).expect("it has only string keys"),
        metadata: Metadata {
            actor: context.actor.clone(),
            correlation_id: context.correlation_id,
            causation_id: context.causation_id,
            traceparent: context.traceparent.clone(),
            idempotency: Some(idempotency.clone()),
        },
        recorded_at: None,
    };
    match store
        .append(&of(&idempotency.key), Expected::NoStream, vec![event])
        .await
    {
        Ok(appended) if !appended.repeated => Ok(handled),
        Ok(_) | Err(Error::Conflict { .. } | Error::EventIdTaken { .. }) => {
            let first = first_outcome(store, stream, context).await?;
            first.ok_or(CommandError::KeyReused)
        }
        Err(error) => Err(CommandError::Log(error)),
    }
}

fn of(key: &Uuid) -> StreamId {
    StreamId::of(CATEGORY, key)
}
