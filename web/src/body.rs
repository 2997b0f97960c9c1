//! JSON bodies, read strictly: the right content type, a bounded size, in bounded time, no unknown fields.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::problem::Problem;

/// Bytes that a command's body may have. The largest field, a URL, is bounded at 2 KiB.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// How long a client may take to send a body; [`BODY_BYTES_MAX`] need a second on the slowest of lines.
const BODY_READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a whole body.
///
/// # Errors
///
/// 413 if it has more than [`BODY_BYTES_MAX`] bytes or breaks off, 408 if its sender stops halfway.
pub async fn read(body: Body) -> Result<Bytes, Problem> {
    read_within(BODY_READ_TIMEOUT, body).await
}

async fn read_within(limit: Duration, body: Body) -> Result<Bytes, Problem> {
    match timeout(limit, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => {
            let detail = format!("the body has more than {BODY_BYTES_MAX} bytes, or broke off");
            Err(Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                detail,
            ))
        }
        Err(_) => {
            let detail = format!(
                "the body did not come within {} seconds; send it at once",
                limit.as_secs()
            );
            Err(Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "request-timeout",
                detail,
            ))
        }
    }
}

/// A body of JSON. Types read with it deny unknown fields.
#[derive(Clone, Copy, Debug)]
pub struct StrictJson<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for StrictJson<T> {
    type Rejection = Response;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Response> {
        // Only a script of our own origin can send this type across without being asked first (CORS).
        let json = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .and_then(|kind| kind.split(';').next())
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
        if !json {
            let detail = "send the body as application/json";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Problem::new(status, "media-type-unsupported", detail).into_response());
        }
        let body = read(request.into_body())
            .await
            .map_err(IntoResponse::into_response)?;
        // Read by position, an array would do for an object with fields that nobody named.
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(Problem::malformed("the body is not a JSON object").into_response());
        }
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            Problem::malformed(format!("the body cannot be read: {error}")).into_response()
        })
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        count: u32,
    }

    async fn parse(content_type: &str, body: impl Into<Body>) -> Result<u32, StatusCode> {
        let request = Request::builder()
            .header(CONTENT_TYPE, content_type)
            .body(body.into())
            .unwrap();
        match StrictJson::<Order>::from_request(request, &()).await {
            Ok(StrictJson(order)) => Ok(order.count),
            Err(response) => Err(response.status()),
        }
    }

    #[tokio::test]
    async fn only_what_was_asked_for_is_read() {
        assert_eq!(
            parse("application/json; charset=utf-8", r#"{"count":3}"#).await,
            Ok(3)
        );
        for malformed in [
            "",
            "{",
            "[]",
            "[3]",
            "3",
            r#"{"count":-1}"#,
            r#"{"count":1,"more":2}"#,
            "{\"count\":1}\0",
            "\u{feff}{}",
        ] {
            assert_eq!(
                parse("application/json", malformed).await,
                Err(StatusCode::BAD_REQUEST),
                "{malformed:?}"
            );
        }
        assert_eq!(
            parse("text/plain", r#"{"count":3}"#).await,
            Err(StatusCode::UNSUPPORTED_MEDIA_TYPE)
        );
        let huge = format!(r#"{{"count":3{}}}"#, " ".repeat(BODY_BYTES_MAX));
        assert_eq!(
            parse("application/json", huge).await,
            Err(StatusCode::PAYLOAD_TOO_LARGE)
        );
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up() {
        let first = futures::stream::iter([Ok::<_, std::io::Error>("{")]);
        let silent = futures::StreamExt::chain(first, futures::stream::pending());
        let refused = read_within(Duration::from_millis(20), Body::from_stream(silent)).await;
        assert_eq!(
            refused.unwrap_err().into_response().status(),
            StatusCode::REQUEST_TIMEOUT
        );
    }
}
