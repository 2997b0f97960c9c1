//! The console: a few static files inside the program, so that there is nothing to install beside it.

use std::collections::HashMap;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/console");

const INDEX: &str = "index.html";

/// Nothing from elsewhere, nothing inline, in no one's frame; the live socket is on the page's own host.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'; object-src 'none'",
);

/// The console's files by path.
#[derive(Debug)]
pub(crate) struct Console(HashMap<String, File>);

#[derive(Debug)]
struct File {
    bytes: &'static [u8],
    content_type: HeaderValue,
    etag: HeaderValue,
}

impl Console {
    pub(crate) fn new() -> Self {
        let files = FILES.files().filter_map(|file| {
            let name = file.path().to_str()?;
            let path = if name == INDEX {
                "/"
            } else {
                &format!("/{name}")
            };
            Some((path.to_owned(), File::new(name, file.contents())?))
        });
        Self(files.collect())
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// The file at a path, or 304 to one who has it already.
    pub(crate) fn answer(&self, path: &str, request: &HeaderMap) -> Response {
        let Some(file) = self.0.get(path) else {
            return StatusCode::NOT_FOUND.into_response();
        };
        let mut response = if file.is_known(request) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let mut whole = Response::new(Body::from(Bytes::from_static(file.bytes)));
            whole
                .headers_mut()
                .insert(CONTENT_TYPE, file.content_type.clone());
            whole
        };
        let headers = response.headers_mut();
        headers.insert(ETAG, file.etag.clone());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(CONTENT_SECURITY_POLICY, POLICY);
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        response
    }
}

impl File {
    fn new(name: &str, bytes: &'static [u8]) -> Option<Self> {
        let guess = mime_guess::from_path(name).first_or_octet_stream();
        let content_type = match guess.type_() {
            mime_guess::mime::TEXT => format!("{guess}; charset=utf-8"),
            _ => guess.to_string(),
        };
        let digest = Sha256::digest(bytes);
        // Half of the digest tells the versions of a handful of files apart.
        let etag: String = digest[..16]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Some(Self {
            bytes,
            content_type: content_type.try_into().ok()?,
            etag: format!("\"{etag}\"").try_into().ok()?,
        })
    }

    fn is_known(&self, request: &HeaderMap) -> bool {
        let known = request.get_all(IF_NONE_MATCH).iter();
        known
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|tag| tag.trim().trim_start_matches("W/"))
            .any(|tag| tag == "*" || tag.as_bytes() == self.etag.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_its_type_and_may_not_be_guessed() {
        let console = Console::new();
        let types = [
            ("/", "text/html; charset=utf-8"),
            ("/console.js", "text/javascript; charset=utf-8"),
            ("/console.css", "text/css; charset=utf-8"),
            ("/favicon.svg", "image/svg+xml"),
        ];
        for (path, content_type) in types {
            let answer = console.answer(path, &HeaderMap::new());
            assert_eq!(answer.headers()[CONTENT_TYPE], content_type, "{path}");
            assert!(
                answer.headers().contains_key(CONTENT_SECURITY_POLICY),
                "{path}"
            );
        }
    }

    #[test]
    fn a_known_file_is_not_sent_again() {
        let console = Console::new();
        let first = console.answer("/", &HeaderMap::new());
        let mut request = HeaderMap::new();
        let tags = format!("\"other\", W/{}", first.headers()[ETAG].to_str().unwrap());
        request.insert(IF_NONE_MATCH, tags.parse().unwrap());
        assert_eq!(
            console.answer("/", &request).status(),
            StatusCode::NOT_MODIFIED
        );
        request.insert(IF_NONE_MATCH, "\"other\"".parse().unwrap());
        assert_eq!(console.answer("/", &request).status(), StatusCode::OK);
    }
}
