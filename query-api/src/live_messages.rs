//! The messages of live connections, for the documentation: `openapi.json` and `asyncapi.json` are made from these.

use utoipa::ToSchema;

use crate::past::session::SessionView;
use crate::terms::OpeningStep;
use crate::view::{EventView, ProjectView};

/// A message of a live connection; `type` tells them apart.
#[derive(ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[expect(dead_code, reason = "it documents what `live` sends")]
pub enum LiveMessage {
    /// What stands at a position; every change comes behind it. It is the first message if no position was named.
    Snapshot {
        position: u64,
        /// The caller's projects, or the one that is followed.
        projects: Vec<ProjectView>,
        /// The session that is followed, if one is.
        #[schema(required = false)]
        sessions: Vec<SessionView>,
    },
    /// An event, and what has become of what is followed. Each comes once, in order of position.
    Change {
        position: u64,
        event: EventView,
        #[schema(nullable = false)]
        project: Option<ProjectView>,
        #[schema(nullable = false)]
        session: Option<SessionView>,
    },
    /// A step at work. It is in no log and has no position, so it may be lost.
    Progress {
        /// `user/owner/repo`.
        project: String,
        generation: u64,
        step: OpeningStep,
        done: u64,
        /// None if nobody knows yet.
        total: Option<u64>,
        text: String,
    },
    /// Everything up to the position that concerns the subscription was sent. It comes every 15 seconds of silence.
    Heartbeat { position: u64 },
    /// The last message before the server ends the connection on purpose.
    Closing {
        /// Where to come back, with `after`.
        position: u64,
        code: ClosingCode,
        reason: String,
    },
}

/// Why the server ends a live connection.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
#[expect(dead_code, reason = "it documents what `live` sends")]
pub enum ClosingCode {
    /// The client reads too slowly; it comes back with the position.
    TooSlow,
    /// The token is no longer good; sign in again.
    SignedOut,
    /// What is followed is no longer the client's to see.
    NotAllowed,
    /// Firefly stops; it comes back with the position.
    Restarting,
    /// What is followed cannot be read.
    Failed,
}
