//! Who asks, and in what context: what every command but a sign-in begins with.

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use firefly_domain::Actor;
use firefly_event_store::{Context, Idempotency, Revision};
use firefly_web::{Caller, Problem, etag};
use http::request::Parts;
use http::{HeaderMap, header};
use uuid::Uuid;

use crate::App;

/// Longer trace contexts are none (W3C Trace Context has 55 characters in version 00).
const TRACEPARENT_LENGTH_MAX: usize = 128;

/// A signed-in caller's request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Who asks.
    pub caller: Caller,
    /// What the events it leads to will say about it.
    pub context: Context,
}

impl FromRequestParts<App> for Asked {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let caller = Caller::from_request_parts(parts, app).await?;
        let mut context = Context::new(Actor::User(caller.0.user.clone()), Uuid::now_v7());
        context.expected = expected(&parts.headers).map_err(IntoResponse::into_response)?;
        context.traceparent = traceparent(&parts.headers);
        context.idempotency = parts.extensions.get::<Idempotency>().cloned();
        Ok(Self { caller, context })
    }
}

fn traceparent(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("traceparent")?.to_str().ok()?;
    (value.len() <= TRACEPARENT_LENGTH_MAX).then(|| value.to_owned())
}

/// The revision in `If-Match`, as an `ETag` of ours gave it.
fn expected(headers: &HeaderMap) -> Result<Option<Revision>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    value
        .to_str()
        .ok()
        .and_then(etag::revision)
        .map(|number| Some(Revision::new(number)))
        .ok_or_else(|| {
            let detail = "If-Match takes one ETag as this API gives it, such as \"rev-3\"";
            Problem::malformed(detail)
        })
}
