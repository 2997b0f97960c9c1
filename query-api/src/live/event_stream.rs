//! `/api/v1/events/stream`: a subscription as server-sent events (WHATWG HTML, "Server-sent events").
//!
//! How long a client may read nothing is the gateway's to say, as with every answer; the queue is bounded meanwhile.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use firefly_event_store::Position;
use firefly_web::Problem;
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderName};

use super::request::Asked;
use super::subscription::Subscription;
use crate::App;
use crate::error::Error;
use crate::message::{LiveEvent, Text};
use crate::parameters::Parameters;

/// Sent by a browser that comes back by itself.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How long a browser waits before it comes back; a restart takes about as long.
const RETRY: Duration = Duration::from_secs(2);

/// The same messages as server-sent events: `event` is the type, `id` the position, `data` the JSON.
#[utoipa::path(
    get, path = "/events/stream", operation_id = "follow_as_events", tag = "live",
    params(Asked, ("Last-Event-ID" = Option<u64>, Header, description = "A position; it goes before `after`.")),
    responses((status = 200, body = LiveEvent, content_type = "text/event-stream", description = "Events of this form, without an end.")),
    extensions(("x-refusals" = json!(["400 malformed", "400 position-unknown", "401 session-over",
        "401 token-expired", "401 token-invalid", "401 token-missing", "403 not-an-auditor", "404 session-not-found",
        "429 live-too-many", "500 internal", "503 live-busy", "503 log-unavailable", "503 projection-behind"]))),
)]
pub async fn open(
    State(app): State<App>,
    Parameters(asked): Parameters<Asked>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let last_seen = last_seen(&headers)?;
    let request = app
        .request(asked, &headers, last_seen, &app.stream_places)
        .await?;
    let subscription = Subscription::new(app, request);
    let messages = stream::unfold(subscription, async |mut subscription| {
        let text = subscription.next().await?;
        Some((event(&text), subscription))
    });
    let retry = stream::once(async { Event::default().retry(RETRY) });
    Ok(Sse::new(retry.chain(messages).map(Ok::<_, Infallible>)).into_response())
}

fn event(text: &Text) -> Event {
    let event = Event::default().event(text.kind).data(text.json.as_str());
    match text.position {
        Some(position) => event.id(position.to_string()),
        None => event,
    }
}

fn last_seen(headers: &HeaderMap) -> Result<Option<Position>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else {
        return Ok(None);
    };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    let position = number.map(Position::new).ok_or_else(|| {
        Problem::malformed("Last-Event-ID takes a position, as the id of an event gives it")
    })?;
    Ok(Some(position))
}
