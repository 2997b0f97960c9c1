//! What the documentation of every command says, since a layer or an extractor sees to it for all of them.

use firefly_web::Document;
use serde_json::json;
use utoipa::openapi::OpenApi;

/// What a command may be refused with before, or while, it is decided.
const REFUSALS: [&str; 16] = [
    "400 malformed",
    "401 session-over",
    "401 token-expired",
    "401 token-invalid",
    "401 token-missing",
    "403 origin-foreign",
    "408 request-timeout",
    "409 idempotency-key-in-flight",
    "412 stale-revision",
    "413 body-too-large",
    "415 media-type-unsupported",
    "422 idempotency-key-reused",
    "500 history-unreadable",
    "500 internal",
    "503 contended",
    "503 log-unavailable",
];

/// What a sign-in may be refused with.
const SIGN_IN_REFUSALS: [&str; 8] = [
    "400 malformed",
    "403 origin-foreign",
    "408 request-timeout",
    "413 body-too-large",
    "415 media-type-unsupported",
    "500 internal",
    "503 contended",
    "503 log-unavailable",
];

/// Commands that record nothing, and so have no position.
const UNRECORDED: [&str; 3] = [
    "rebuild_projection",
    "cancel_projection",
    "retry_projection",
];

/// The names in the path of a project.
const NAMES: [&str; 3] = ["user", "owner", "repo"];

const IDEMPOTENCY_KEY: &str = "Chosen by the client, such as a UUID: with the same key a request is done once, however often \
    it is sent, and is answered the same. With another body or path the key is refused.";

const IF_MATCH: &str = "The ETag of what the command is about, as last seen: if it has changed since, nothing is done.";

const TRACEPARENT: &str =
    "W3C Trace Context; it is kept with the events that the request leads to.";

/// The documentation of commands, and of the sign-in.
pub fn document(commands: OpenApi, sign_in: OpenApi) -> Document {
    let mut document = Document::new(&commands);
    document.each(|operation| {
        operation.refuses(&REFUSALS);
        let key = json!({"type": "string", "pattern": r#"^[!#-\[\]-~]{1,255}$"#});
        operation.takes_header("Idempotency-Key", IDEMPOTENCY_KEY, &key);
        let etag = json!({"type": "string", "pattern": "^\"rev-[0-9]{1,18}\"$", "examples": ["\"rev-0\""]});
        operation.takes_header("If-Match", IF_MATCH, &etag);
        let traceparent = json!({"type": "string"});
        operation.takes_header("traceparent", TRACEPARENT, &traceparent);
    });
    let mut sign_in = Document::new(&sign_in);
    sign_in.each(|operation| operation.refuses(&SIGN_IN_REFUSALS));
    document.merge(sign_in);
    document.each(|operation| {
        if operation.path.contains("{user}") {
            let names = NAMES.map(|name| (name, format!("$request.path.{name}")));
            let names = names
                .each_ref()
                .map(|(name, place)| (*name, place.as_str()));
            operation.leads_to("get_project", &names);
            operation.leads_to("get_project_history", &names);
        }
        if operation.id() == "sign_in" {
            operation.leads_to("get_session", &[("id", "$response.body#/session")]);
            operation.leads_to("get_session_history", &[("id", "$response.body#/session")]);
        }
        if !UNRECORDED.contains(&operation.id()) {
            let position = json!({"type": "integer", "minimum": 0});
            operation.answers_header(
                "Firefly-Position",
                "Where in the log the decision stands; a query that names it sees the effect.",
                &position,
            );
            let etag = json!({"type": "string"});
            operation.answers_header(
                "ETag",
                "The revision after the decision; it goes into If-Match.",
                &etag,
            );
        }
    });
    document
}
