//! Reading one's own writes: `Firefly-Min-Position` with `Prefer: wait=N` (RFC 7240).

use std::time::Duration;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use firefly_event_store::Position;
use firefly_web::{Caller, Problem};
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::time::timeout;

use crate::App;
use crate::error::Error;

const MIN_POSITION: HeaderName = HeaderName::from_static("firefly-min-position");
const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The longest wait; a client that wants more asks again.
const WAIT_SECONDS_MAX: u64 = 10;

/// How far read models have come.
pub trait Freshness: Send + Sync + 'static {
    /// Ends when all read models have taken in the event at a position.
    fn reached(&self, position: Position) -> BoxFuture<'static, ()>;
}

/// Lets a query pass once the read models have reached what the client insists on.
pub async fn wait(State(app): State<App>, request: Request, next: Next) -> Result<Response, Error> {
    // What is no query is refused as such, whatever it insists on.
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return Ok(next.run(request).await);
    }
    let Some(position) = min_position(request.headers())? else {
        return Ok(next.run(request).await);
    };
    let (mut parts, body) = request.into_parts();
    // Strangers are not waited for.
    if let Err(refusal) = Caller::from_request_parts(&mut parts, &app).await {
        return Ok(refusal);
    }
    let request = Request::from_parts(parts, body);
    app.has_position(position)?;
    let seconds = preferred_wait(request.headers());
    let limit = Duration::from_secs(seconds.unwrap_or(0));
    timeout(limit, app.config.freshness.reached(position))
        .await
        .map_err(|_| Error::behind())?;
    let mut response = next.run(request).await;
    if let Some(seconds) = seconds
        && let Ok(applied) = HeaderValue::from_str(&format!("wait={seconds}"))
    {
        response.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
    Ok(response)
}

impl App {
    /// Refuses a position that the log does not have: it is another log's, or made up.
    pub fn has_position(&self, position: Position) -> Result<(), Problem> {
        let head = *self.store.head().borrow();
        if position <= head {
            return Ok(());
        }
        let detail = format!(
            "the log ends at position {head} and has no {position}; ask without a position to see what there is"
        );
        Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "position-unknown",
            detail,
        ))
    }
}

fn min_position(headers: &HeaderMap) -> Result<Option<Position>, Problem> {
    let Some(value) = headers.get(MIN_POSITION) else {
        return Ok(None);
    };
    let number = value
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse().ok());
    number
        .map(|number| Some(Position::new(number)))
        .ok_or_else(|| {
            let detail = "Firefly-Min-Position takes a position as Firefly-Position gives it";
            Problem::malformed(detail)
        })
}

/// Preferences that cannot be read are passed over, as RFC 7240 wants.
fn preferred_wait(headers: &HeaderMap) -> Option<u64> {
    headers
        .get_all(PREFER)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .find_map(|preference| preference.trim().strip_prefix("wait=")?.parse().ok())
        .map(|seconds: u64| seconds.min(WAIT_SECONDS_MAX))
}
