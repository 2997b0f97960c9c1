//! What the documentation of every query says, since a layer or an extractor sees to it for all of them; and the live
//! connections, which are no queries.

use firefly_web::Document;
use serde_json::json;
use utoipa::openapi::OpenApi;
use utoipa::{IntoParams, OpenApi as _};

use crate::live_messages::LiveMessage;

/// What a query may be refused with before it is answered.
const REFUSALS: [&str; 9] = [
    "400 malformed",
    "400 position-unknown",
    "401 session-over",
    "401 token-expired",
    "401 token-invalid",
    "401 token-missing",
    "500 internal",
    "503 projection-behind",
    "503 read-models-unavailable",
];

const MIN_POSITION: &str = "A position that `Firefly-Position` gave: the answer is made from read models that have reached it, \
    or is 503.";

const PREFER: &str = "`wait=N` waits up to N seconds, 10 at most, for the position of `Firefly-Min-Position` (RFC 7240).";

/// The documentation of queries, health checks and live connections.
pub fn document(queries: OpenApi, health: OpenApi) -> Document {
    let mut document = Document::new(&queries);
    document.each(|operation| {
        operation.refuses(&REFUSALS);
        if operation.path.ends_with("}/history") {
            operation.refuses_parameters(&["project", "session", "user"]);
        }
        let position = json!({"type": "integer", "minimum": 0, "maximum": i64::MAX});
        operation.takes_header("Firefly-Min-Position", MIN_POSITION, &position);
        operation.takes_header(
            "Prefer",
            PREFER,
            &json!({"type": "string", "examples": ["wait=2"]}),
        );
    });
    document.merge(Document::new(&health));
    document.merge(Document::new(&Live::openapi()));
    document
}

/// The live connections; `asyncapi.json` has their messages.
#[derive(utoipa::OpenApi)]
#[openapi(paths(live), components(schemas(LiveMessage)))]
struct Live;

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it documents what `live` reads")]
struct LiveParameters {
    /// A token, as a browser cannot set headers on a WebSocket.
    token: String,
    /// The position behind which to go on; without it, a snapshot comes first.
    after: Option<u64>,
}

/// A WebSocket that gives a snapshot, then every change once and in order.
#[utoipa::path(
    get, path = "/api/v1/live", operation_id = "follow", tag = "live", params(LiveParameters), security(()),
    responses((status = 101, description = "The WebSocket is open.")),
    extensions(("x-refusals" = json!(["400 malformed", "400 position-unknown", "401 session-over", "401 token-expired",
        "401 token-invalid", "401 token-missing", "403 origin-foreign", "426 upgrade-required", "500 internal",
        "503 live-busy", "503 log-unavailable", "503 projection-behind"]))),
)]
#[expect(dead_code, reason = "it documents `live::open`")]
fn live() {}
