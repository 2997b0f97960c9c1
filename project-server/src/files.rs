//! Serves the files of the workspace below `/static/`, and nothing else of this machine.
//!
//! Every file is opened through a directory handle that refuses to leave the workspace, whatever `..`, absolute names
//! and symbolic links say. A Montage page asks for about 140 files, so a request costs one trip to a blocking thread
//! and no more system calls than are needed.

mod answer;
mod conditional;
mod content_type;
mod inject;
mod path;
mod range;
mod visitor;

use std::sync::Arc;
use std::sync::OnceLock;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{OriginalUri, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, LOCATION, UPGRADE,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use cap_std::fs::Dir;
use firefly_domain::ProjectKey;

use crate::preview::Preview;
use path::Wanted;

/// The path below which everything here lives.
pub(crate) const PREFIX: &str = "/static/";

/// Our own script in the pages, which knows how to refresh them.
const PREVIEW_SCRIPT: &str = include_str!("../client/preview.js");

/// The files of one workspace.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub directory: Arc<Dir>,
    /// Where the directory is, with no symbolic link left in it.
    pub real_path: Arc<std::path::Path>,
    /// Known from the assignment on; pages get no script before.
    pub project: Arc<OnceLock<ProjectKey>>,
    pub preview: Arc<Preview>,
}

/// Answers every request below [`PREFIX`]: a preview socket, our script, or a file.
pub(crate) async fn serve(
    State(files): State<Files>,
    OriginalUri(uri): OriginalUri,
    method: Method,
    headers: HeaderMap,
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    if !visitor::is_expected(&headers, files.project.get()) {
        let refusal = text(
            StatusCode::MISDIRECTED_REQUEST,
            "this is not the project asked for; ask the gateway",
        );
        return with_common_headers(refusal);
    }
    if headers.contains_key(UPGRADE) {
        return match socket {
            Ok(upgrade) => files.preview.accept(upgrade),
            Err(rejection) => rejection.into_response(),
        };
    }
    if method != Method::GET && method != Method::HEAD {
        let refusal = text(StatusCode::METHOD_NOT_ALLOWED, "files are only read here");
        return with_common_headers(([(ALLOW, "GET, HEAD")], refusal).into_response());
    }
    let raw = uri.path().strip_prefix(PREFIX).unwrap_or_default();
    let response = match path::read(raw) {
        None => not_found(),
        Some(Wanted::Script) => script(&headers),
        Some(Wanted::Path(wanted)) => {
            let slash = redirect_target(raw, uri.query());
            let job = move || answer::file(&files, &method, &headers, &wanted, slash);
            tokio::task::spawn_blocking(job)
                .await
                .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
        }
    };
    with_common_headers(response)
}

/// The same directory with a slash, relative to the request, so that any prefix a proxy took off stays off.
fn redirect_target(raw: &str, query: Option<&str>) -> String {
    let last = raw.rsplit('/').next().unwrap_or_default();
    match query {
        Some(query) => format!("./{last}/?{query}"),
        None => format!("./{last}/"),
    }
}

fn script(headers: &HeaderMap) -> Response {
    let etag = concat!("\"preview-", env!("CARGO_PKG_VERSION"), "\"");
    if conditional::matches(headers.get_all(IF_NONE_MATCH).iter(), etag) {
        return (StatusCode::NOT_MODIFIED, [(ETAG, etag)]).into_response();
    }
    let headers = [(CONTENT_TYPE, content_type::JAVASCRIPT), (ETAG, etag)];
    (headers, PREVIEW_SCRIPT).into_response()
}

fn not_found() -> Response {
    text(
        StatusCode::NOT_FOUND,
        "there is no such file in the project",
    )
}

fn moved(location: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(location) else {
        return not_found();
    };
    let status = StatusCode::PERMANENT_REDIRECT;
    (status, [(LOCATION, location)]).into_response()
}

fn text(status: StatusCode, sentence: &'static str) -> Response {
    (
        status,
        [(CONTENT_TYPE, content_type::TEXT)],
        format!("{sentence}\n"),
    )
        .into_response()
}

fn with_common_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
