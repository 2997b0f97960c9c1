//! Answers that Firefly gives itself: one sentence for whoever reads the output of git or npm.

use std::error::Error as StdError;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Body as HttpBody;
use tower_http::timeout::TimeoutBody;

/// What may break a body off.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// The body of every answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// The answer to one request.
pub(crate) type Answer = Response<Body>;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Tells an answer of Firefly itself from one that is passed on (RFC 9209).
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
const FIREFLY: HeaderValue = HeaderValue::from_static("firefly");

/// A body that is at hand.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// No body.
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(full(Bytes::new()));
    *answer.status_mut() = status;
    answer
}

/// A sentence.
pub(crate) fn sentence(status: StatusCode, sentence: &str) -> Answer {
    let mut answer = Response::new(full(format!("{sentence}\n")));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, TEXT);
    answer.headers_mut().insert(PROXY_STATUS, FIREFLY);
    answer
}

/// A body that is broken off when nothing of it comes for `idle`; `held` is let go of at its end.
pub(crate) fn bounded<B>(body: B, idle: Duration, held: impl Send + 'static) -> Body
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    TimeoutBody::new(idle, body)
        .map_frame(move |frame| {
            let _held = &held;
            frame
        })
        .boxed_unsync()
}
