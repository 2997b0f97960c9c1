//! What the documentation of every query says, since a layer or an extractor sees to it for all of them; and the messages of
//! live connections, which no operation answers with.

use firefly_web::Document;
use serde_json::json;
use utoipa::openapi::OpenApi;
use utoipa::{PartialSchema, ToSchema};

use crate::message::Message;

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

/// The documentation of queries, and of what is none.
pub fn document(queries: OpenApi, others: OpenApi) -> Document {
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
    document.merge(Document::new(&others));
    let mut messages = vec![(Message::name().into_owned(), Message::schema())];
    Message::schemas(&mut messages);
    document.defines(messages);
    document
}
