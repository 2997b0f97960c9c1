//! The documentation of the API, which the app host serves to whoever writes a client.
//!
//! `openapi.json` has the requests and their answers, `asyncapi.json` the messages of live connections, whose schemas it takes
//! from the former. Each service documents its own routes at its handlers. What every request may be refused with, whatever it is for, is the
//! gateway's, and added here.

mod asyncapi;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use firefly_web::Document;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde_json::{Value, json};
use utoipa::OpenApi;

/// What the gateway refuses, and what may go wrong anywhere.
const REFUSALS: [&str; 4] = [
    "400 host-malformed",
    "413 body-too-large",
    "421 host-unknown",
    "500 internal",
];

/// How the API is documented as a whole.
const ABOUT: &str = "Firefly opens projects of Montage Studio, each in a container with a live preview, and keeps a history of \
    everything that happened to them.\n\nCommands are posts. Their answer comes as soon as the command is decided and \
    durable, and names a position of the log in `Firefly-Position`; what follows is seen on the live socket, whose messages \
    `/asyncapi.json` describes. A query that sends the position as `Firefly-Min-Position` sees the command's effect.\n\n\
    Refusals are problem details (RFC 9457) with a `code` for programs, which never changes, and a `detail` for people. \
    Objects in bodies of requests have no fields but those that are named here, and queries no such parameters; answers may \
    get further fields.";

/// What this module serves.
#[derive(OpenApi)]
#[openapi(paths(openapi_json, asyncapi_json, metrics))]
struct Own;

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "get_openapi", tag = "health", security(()),
    responses((status = 200, body = Object, description = "OpenAPI 3.1.")),
)]
#[expect(dead_code, reason = "it documents what `routes` serves")]
fn openapi_json() {}

/// The live connections and their messages.
#[utoipa::path(
    get, path = "/asyncapi.json", operation_id = "get_asyncapi", tag = "health", security(()),
    responses((status = 200, body = Object, description = "AsyncAPI 3.0.")),
)]
#[expect(dead_code, reason = "it documents what `routes` serves")]
fn asyncapi_json() {}

/// What a Prometheus server scrapes, for requests of Firefly's own host. `docs/metrics.md` says what there is.
#[utoipa::path(
    get, path = "/metrics", operation_id = "get_metrics", tag = "health", security(()),
    responses((status = 200, body = String, content_type = "text/plain", description = "Prometheus's text format.")),
    extensions(("x-refusals" = json!(["403 metrics-elsewhere"]))),
)]
#[expect(dead_code, reason = "it documents what `up::metrics` serves")]
fn metrics() {}

/// The documentation of everything on the app host that is no page.
pub fn openapi() -> Value {
    let mut document = firefly_command_api::document();
    document.merge(firefly_query_api::document());
    document.merge(Document::new(&Own::openapi()));
    document.each(|operation| operation.refuses(&REFUSALS));
    document.under(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Firefly",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The app host, such as http://localhost:2440."}],
        "security": [{"bearer": []}, {"accessToken": []}],
        "tags": [
            {"name": "sessions", "description": "Signing in and out, and which projects are in hand."},
            {"name": "commands", "description": "What changes projects."},
            {"name": "queries", "description": "What there is now, or was at a moment."},
            {"name": "history", "description": "What happened."},
            {"name": "live", "description": "What happens."},
            {"name": "operations", "description": "Read models, for who looks after this Firefly."},
            {"name": "health", "description": "Whether it works, and what it can do."},
        ],
        "components": {"securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                "description": "The token that a sign-in gave, good for twelve hours or until its session ends."},
            "accessToken": {"type": "apiKey", "in": "header", "name": "x-access-token",
                "description": "The same token in a header of its own."},
        }},
    }))
}

/// Serves both documents.
pub fn routes() -> Router {
    let openapi = openapi();
    let asyncapi = asyncapi::document(&openapi).to_string();
    let openapi = openapi.to_string();
    Router::new()
        .route("/openapi.json", get(async move || json_file(openapi)))
        .route("/asyncapi.json", get(async move || json_file(asyncapi)))
}

fn json_file(text: String) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests;
