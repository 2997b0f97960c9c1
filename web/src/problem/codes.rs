//! Every code that a problem may have: its status, and what it means.
//!
//! This list is the documentation of codes. A problem that is not in it is made nowhere: tests, which run with debug
//! assertions, end at one.

use http::StatusCode;

/// A code under the status that it comes with.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    /// The status.
    pub status: u16,
    /// The code.
    pub code: &'static str,
    /// What it means, in half a sentence.
    pub meaning: &'static str,
}

const fn code(status: u16, code: &'static str, meaning: &'static str) -> Code {
    Code {
        status,
        code,
        meaning,
    }
}

/// All of them, by status.
pub const CODES: &[Code] = &[
    code(
        200,
        "preview-host",
        "the preview host was asked for no project",
    ),
    code(
        400,
        "host-malformed",
        "there is not exactly one Host header with a host name in it",
    ),
    code(
        400,
        "malformed",
        "the request cannot be read; the detail says what is wrong with it",
    ),
    code(
        400,
        "moment-before-beginning",
        "the log had no event yet at that moment",
    ),
    code(400, "moment-in-future", "that time has not come yet"),
    code(
        400,
        "position-unknown",
        "the log has no such position: it is another log's, or made up",
    ),
    code(
        400,
        "reason-missing",
        "an event is passed over for a reason only, of 1 to 500 characters",
    ),
    code(
        400,
        "revision-unknown",
        "the project or session has no such revision yet",
    ),
    code(
        401,
        "session-over",
        "the token's session has ended; sign in again",
    ),
    code(401, "token-expired", "the token has expired; sign in again"),
    code(401, "token-invalid", "this is no token of this Firefly"),
    code(401, "token-missing", "no token was sent"),
    code(
        403,
        "local-sign-in-off",
        "nobody signs in without a password here",
    ),
    code(
        403,
        "metrics-elsewhere",
        "metrics are for this host here; they have an address of their own for others",
    ),
    code(
        403,
        "not-an-auditor",
        "only an auditor may read what is about others",
    ),
    code(
        403,
        "not-an-operator",
        "only the user of Firefly's own host looks after projections",
    ),
    code(403, "not-your-project", "the project is somebody else's"),
    code(403, "origin-foreign", "a page of another site asked"),
    code(
        404,
        "container-not-found",
        "the opening has had no container",
    ),
    code(404, "not-found", "there is nothing at this path"),
    code(
        404,
        "preview-unavailable",
        "no project of these names is open",
    ),
    code(
        404,
        "project-not-found",
        "the project was never opened, or not by then",
    ),
    code(
        404,
        "projection-not-found",
        "there is no projection of this name",
    ),
    code(
        404,
        "session-not-found",
        "there is no such session, or was none by then",
    ),
    code(
        404,
        "workspace-not-found",
        "the project has had no workspace",
    ),
    code(
        405,
        "method-not-allowed",
        "the path does not take this method; Allow lists those it takes",
    ),
    code(
        406,
        "not-acceptable",
        "events cannot be had in a form that Accept names",
    ),
    code(408, "request-timeout", "the body did not come in time"),
    code(
        409,
        "fenced",
        "what is reported is of an opening that is over",
    ),
    code(
        409,
        "idempotency-key-in-flight",
        "a request with this key is being decided; ask again",
    ),
    code(
        409,
        "not-stopped",
        "the projection has not stopped at that event",
    ),
    code(
        409,
        "other-branch",
        "there is a workspace at another branch; delete the project first",
    ),
    code(
        409,
        "other-source",
        "there is a workspace of another source; delete the project first",
    ),
    code(
        409,
        "project-closing",
        "the project is being closed; ask again when it is",
    ),
    code(
        409,
        "project-deleting",
        "the project is being deleted; ask again when it is",
    ),
    code(
        409,
        "project-not-asleep",
        "the project was closed, or failed; open it",
    ),
    code(
        409,
        "rebuild-at-work",
        "the projection is being rebuilt already",
    ),
    code(
        409,
        "session-already-started",
        "the session was started before",
    ),
    code(409, "session-over", "the session has ended"),
    code(
        409,
        "too-many-projects",
        "the session has as many projects in hand as it may",
    ),
    code(
        409,
        "unsaved-work",
        "the workspace has work that is nowhere else; force deletes it too",
    ),
    code(
        412,
        "stale-revision",
        "what If-Match names is not the latest revision",
    ),
    code(
        413,
        "body-too-large",
        "the body is larger than is taken, or broke off",
    ),
    code(
        415,
        "media-type-unsupported",
        "the body is not sent as application/json",
    ),
    code(
        421,
        "host-unknown",
        "this server does not answer for that host",
    ),
    code(
        422,
        "idempotency-key-reused",
        "the key was sent before, with another request",
    ),
    code(
        422,
        "unprocessable",
        "the request can be read, but not be carried out",
    ),
    code(426, "upgrade-required", "this path answers WebSockets only"),
    code(
        429,
        "live-too-many",
        "one user has as many live connections as one may have; close some",
    ),
    code(
        500,
        "event-unreadable",
        "an event that this needs cannot be read by this Firefly",
    ),
    code(
        500,
        "history-unreadable",
        "the history of this cannot be read by this Firefly",
    ),
    code(500, "internal", "a fault of Firefly; its output says more"),
    code(
        502,
        "preview-unreachable",
        "the project's container cannot be reached",
    ),
    code(
        503,
        "containers-unavailable",
        "what runs containers does not answer; try again",
    ),
    code(
        503,
        "contended",
        "others changed the same at the same time; try again",
    ),
    code(
        503,
        "export-busy",
        "as many exports are being sent as may be; try again",
    ),
    code(
        503,
        "live-busy",
        "as many live connections are open as may be; try again",
    ),
    code(
        503,
        "log-unavailable",
        "the event log does not answer; nothing was acknowledged; try again",
    ),
    code(503, "preview-failed", "the project could not be opened"),
    code(
        503,
        "preview-opening",
        "the project is being opened; try again",
    ),
    code(
        503,
        "preview-waking",
        "the project slept, and is waking up; try again",
    ),
    code(
        503,
        "previews-busy",
        "the previews are asked for more than can be passed on; try again",
    ),
    code(
        503,
        "projection-behind",
        "the read models have not reached that position yet; try again",
    ),
    code(
        503,
        "read-models-unavailable",
        "the read models do not answer; try again",
    ),
    code(
        504,
        "preview-slow",
        "the project's container has not answered in time",
    ),
];

/// What a code means under a status, if they are a problem of ours.
pub fn meaning(status: u16, code: &str) -> Option<&'static str> {
    let mut known = CODES.iter();
    let found = known.find(|known| known.status == status && known.code == code);
    found.map(|known| known.meaning)
}

/// Whether a problem is in the list.
pub(super) fn is_listed(status: StatusCode, code: &str) -> bool {
    meaning(status.as_u16(), code).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_listed_once_under_a_status_and_in_order() {
        let keys: Vec<_> = CODES.iter().map(|code| (code.status, code.code)).collect();
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(keys, sorted);
    }
}
