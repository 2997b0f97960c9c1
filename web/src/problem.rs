//! Errors as programs read them: problem details of RFC 9457.

pub mod codes;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

/// The prefix of every problem's `type`; the code follows.
const TYPE_PREFIX: &str = "urn:firefly:problem:";

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// What a client that was told 503 should wait, in seconds.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// The code of a request that cannot be read.
const MALFORMED: &str = "malformed";

/// Longer plain-text explanations of a refusal are dropped, not passed on as a detail.
const DETAIL_BYTES_MAX: usize = 4_096;

/// One refused or failed request, as problem details of RFC 9457.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// A URN that ends in the code.
    #[serde(rename = "type")]
    kind: String,
    /// The status in words.
    title: String,
    #[serde(serialize_with = "status_number")]
    #[schema(value_type = u16, minimum = 400, maximum = 599)]
    status: StatusCode,
    /// For people: what happened, to what, and what to do.
    detail: String,
    /// For programs; it never changes.
    code: &'static str,
    #[serde(skip)]
    retry_soon: bool,
}

impl Problem {
    /// A problem: `code` is for programs and never changes, `detail` says to a person what happened and what to do.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        debug_assert!(
            codes::is_listed(status, code),
            "{status} {code} is not in web/src/problem/codes.rs"
        );
        Self {
            kind: format!("{TYPE_PREFIX}{code}"),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status,
            detail: detail.into(),
            code,
            retry_soon: false,
        }
    }

    /// 400: the request cannot be read.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, MALFORMED, detail)
    }

    /// 503: something does not answer that will soon, so the client is told when to try again.
    pub fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            retry_soon: true,
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
        }
    }

    /// The same under a title of its own.
    pub fn titled(mut self, title: &str) -> Self {
        title.clone_into(&mut self.title);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, retry_soon) = (self.status, self.retry_soon);
        let mut response = (status, axum::Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, PROBLEM_JSON);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if retry_soon {
            headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        response
    }
}

/// Gives a refusal that a router made in plain text, or without a word, the form of all others.
pub async fn from_plain(response: Response) -> Response {
    let Some(code) = plain_code(&response) else {
        return response;
    };
    let (mut parts, body) = response.into_parts();
    let text = axum::body::to_bytes(body, DETAIL_BYTES_MAX).await;
    let detail = text
        .ok()
        .and_then(|bytes| String::from_utf8(bytes.to_vec()).ok())
        .filter(|text| !text.trim().is_empty());
    let detail = detail.unwrap_or_else(|| plain_detail(parts.status).to_owned());
    let problem = Problem::new(parts.status, code, detail).into_response();
    parts.headers.remove(CONTENT_LENGTH);
    let (problem_parts, body) = problem.into_parts();
    parts.headers.extend(problem_parts.headers);
    Response::from_parts(parts, Body::new(body))
}

/// The code for a refusal that has none yet.
fn plain_code(response: &Response) -> Option<&'static str> {
    let plain = match response.headers().get(CONTENT_TYPE) {
        None => true,
        Some(kind) => kind.as_bytes().starts_with(b"text/plain"),
    };
    if !plain {
        return None;
    }
    match response.status() {
        StatusCode::BAD_REQUEST => Some(MALFORMED),
        StatusCode::NOT_FOUND => Some("not-found"),
        StatusCode::METHOD_NOT_ALLOWED => Some("method-not-allowed"),
        StatusCode::REQUEST_TIMEOUT => Some("request-timeout"),
        StatusCode::PAYLOAD_TOO_LARGE => Some("body-too-large"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Some("media-type-unsupported"),
        StatusCode::UNPROCESSABLE_ENTITY => Some("unprocessable"),
        StatusCode::UPGRADE_REQUIRED => Some("upgrade-required"),
        _ => None,
    }
}

fn plain_detail(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "there is nothing at this path",
        StatusCode::METHOD_NOT_ALLOWED => {
            "this path does not take this method; the Allow header lists those it takes"
        }
        StatusCode::PAYLOAD_TOO_LARGE => "the request's body is larger than this server takes",
        _ => "the request was refused",
    }
}

fn status_number<S: serde::Serializer>(
    status: &StatusCode,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn json(response: Response) -> serde_json::Value {
        assert_eq!(response.headers()[CONTENT_TYPE], PROBLEM_JSON);
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX)
            .await
            .unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[tokio::test]
    async fn a_problem_has_the_five_fields() {
        let problem = Problem::new(StatusCode::NOT_FOUND, "not-found", "no such page");
        assert_eq!(
            json(problem.into_response()).await,
            serde_json::json!({
                "type": "urn:firefly:problem:not-found",
                "title": "Not Found",
                "status": 404,
                "detail": "no such page",
                "code": "not-found",
            })
        );
    }

    #[test]
    fn what_will_answer_soon_says_when_to_try_again() {
        let busy = Problem::unavailable("contended", "try again").into_response();
        assert_eq!(
            (busy.status().as_u16(), &busy.headers()[RETRY_AFTER]),
            (503, &RETRY_AFTER_SECONDS)
        );
        let malformed = Problem::malformed("no JSON").into_response();
        assert!(!malformed.headers().contains_key(RETRY_AFTER));
    }

    #[tokio::test]
    async fn a_plain_refusal_becomes_a_problem_and_keeps_its_fields() {
        let plain = (StatusCode::METHOD_NOT_ALLOWED, [("allow", "GET")]).into_response();
        let problem = from_plain(plain).await;
        assert_eq!(problem.headers()["allow"], "GET");
        assert_eq!(json(problem).await["code"], "method-not-allowed");

        let spoken = (StatusCode::BAD_REQUEST, "the body is no JSON").into_response();
        assert_eq!(
            json(from_plain(spoken).await).await["detail"],
            "the body is no JSON"
        );
    }

    #[tokio::test]
    async fn answers_that_are_no_plain_refusals_stay_as_they_are() {
        let ready = (StatusCode::SERVICE_UNAVAILABLE, "not ready").into_response();
        let kept = from_plain(ready).await;
        assert!(
            kept.headers()[CONTENT_TYPE]
                .as_bytes()
                .starts_with(b"text/plain")
        );
    }
}
