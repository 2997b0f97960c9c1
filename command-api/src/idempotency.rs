//! `Idempotency-Key`: a request with a key is done once, however often it is sent
//! (draft-ietf-httpapi-idempotency-key-header-07).
//!
//! The key goes into the events that the request records, in the same append, so a repetition is recognised for as long as
//! the log lives, also after a crash. One that found nothing to do leaves an event of its own. A refused one may be repeated.

use std::collections::HashSet;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use firefly_event_store::Idempotency;
use firefly_web::{Caller, Problem, body};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::App;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The namespace under which keys are derived from their senders and what those chose. It never changes.
const NAMESPACE: Uuid = Uuid::from_u128(0x5f2c_9d0a_77e1_5b1f_8c46_d3a1_0b6e_f1f1);

/// Characters of a key; a UUID has 36.
const KEY_LENGTH_MAX: usize = 255;

/// The keys whose requests are being decided.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<Mutex<HashSet<Uuid>>>);

/// Takes a key out again, whatever became of its request.
struct Claim {
    in_flight: InFlight,
    key: Uuid,
}

impl InFlight {
    fn claim(&self, key: Uuid) -> Option<Claim> {
        let claimed = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key);
        claimed.then(|| Claim {
            in_flight: self.clone(),
            key,
        })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.in_flight
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.key);
    }
}

/// Reads the key, if there is one, and keeps the same key from being decided twice at once.
pub async fn layer(State(app): State<App>, request: Request, next: Next) -> Response {
    // What is no command is refused as such, whatever its key.
    if request.method() != Method::POST || !request.headers().contains_key(IDEMPOTENCY_KEY) {
        return next.run(request).await;
    }
    let (mut parts, unread) = request.into_parts();
    let caller = match Caller::from_request_parts(&mut parts, &app).await {
        Ok(caller) => caller,
        Err(refusal) => return refusal,
    };
    let chosen = match chosen(&parts.headers) {
        Ok(chosen) => chosen,
        Err(problem) => return problem.into_response(),
    };
    let body = match body::read(unread).await {
        Ok(body) => body,
        Err(problem) => return problem.into_response(),
    };
    let key = Uuid::new_v5(
        &NAMESPACE,
        format!("{}\n{chosen}", caller.0.user).as_bytes(),
    );
    let Some(_claim) = app.in_flight.claim(key) else {
        let detail =
            "a request with this idempotency key is being decided; ask again when it has been";
        return Problem::new(StatusCode::CONFLICT, "idempotency-key-in-flight", detail)
            .into_response();
    };
    let fingerprint = fingerprint(parts.uri.path(), &body);
    parts.extensions.insert(Idempotency { key, fingerprint });
    next.run(Request::from_parts(parts, Body::from(body))).await
}

/// The key as a structured-field string, or bare.
fn chosen(headers: &HeaderMap) -> Result<String, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let key = values
        .next()
        .and_then(|value| value.to_str().ok())
        .map(str::trim)
        .unwrap_or_default();
    let bare = key
        .strip_prefix('"')
        .and_then(|key| key.strip_suffix('"'))
        .unwrap_or(key);
    let plain = !bare.is_empty() && bare.len() <= KEY_LENGTH_MAX && !bare.contains(['"', '\\']);
    if plain && values.next().is_none() {
        return Ok(bare.to_owned());
    }
    let detail = format!(
        "Idempotency-Key takes one key of 1 to {KEY_LENGTH_MAX} characters, without quotes in it"
    );
    Err(Problem::malformed(detail))
}

fn fingerprint(path: &str, body: &[u8]) -> String {
    let digest = Sha256::new()
        .chain_update(path)
        .chain_update([0])
        .chain_update(body)
        .finalize();
    digest
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a string takes what is written to it");
            text
        })
}
