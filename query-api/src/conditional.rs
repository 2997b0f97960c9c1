//! Answers that a client may know already (RFC 9110, section 13.1.2).

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::IntoParams;

/// The header of who has something already.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it documents what `unless_known` reads")]
pub struct Known {
    /// Tags that are known; if one of them is that of the answer, it is not sent again.
    #[param(rename = "If-None-Match", example = "\"rev-3\"")]
    if_none_match: Option<String>,
}

/// The answer with its tag, or 304 if `If-None-Match` names the tag.
pub fn unless_known(headers: &HeaderMap, etag: &str, answer: &impl Serialize) -> Response {
    let known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == etag || tag == "*");
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Json(answer).into_response()
    };
    if let Ok(etag) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_not_sent_again() {
        for (sent, status) in [
            ("\"rev-3\"", 304),
            ("\"rev-2\", W/\"rev-3\"", 304),
            ("*", 304),
            ("\"rev-2\"", 200),
            ("rev-3", 200),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, sent.parse().unwrap());
            let response = unless_known(&headers, "\"rev-3\"", &7);
            assert_eq!(response.status(), status, "{sent}");
            assert_eq!(response.headers()[header::ETAG], "\"rev-3\"");
        }
        assert_eq!(
            unless_known(&HeaderMap::new(), "\"rev-3\"", &7).status(),
            200
        );
    }
}
