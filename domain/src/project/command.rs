//! What can be asked of a project, and what the reactor reports to it.

use crate::control::Unsaved;
use crate::{Branch, ContainerId, Endpoint, Failure, Generation, ProjectKey, Source};

use super::event::{CloseReason, ExitCause, WakeCause};

/// A request to a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Give it a container.
    Open {
        /// Its names.
        key: ProjectKey,
        /// Where its files come from.
        source: Source,
        /// The branch to check out at first.
        branch: Option<Branch>,
    },
    /// Give it a container again, from where its files came before.
    Reopen {
        /// The branch that is expected, if any.
        branch: Option<Branch>,
    },
    /// Let it go on, if it only sleeps.
    Wake(WakeCause),
    /// End its container; keep the workspace.
    Close,
    /// Give it a new container.
    Restart,
    /// Take container and workspace away.
    Delete {
        /// Also if work would be lost.
        force: bool,
    },
    /// The reactor reports what became of an opening.
    Report {
        /// The opening it is about.
        generation: Generation,
        /// What became of it.
        outcome: Outcome,
    },
}

/// Where the container of an opening came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was made for the opening.
    New,
    /// It had been started ahead, for whichever project would come.
    Pool,
    /// It served an earlier opening of the project.
    Kept,
}

/// What became of an opening, as the reactor saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A container runs and its project-server answers.
    ContainerStarted {
        /// The engine's name for it.
        container: ContainerId,
        /// The image it runs.
        image: String,
        /// Where it came from.
        origin: Origin,
        /// How long starting it took, in milliseconds.
        duration_ms: u64,
    },
    /// The workspace was cloned.
    Cloned {
        /// The branch checked out.
        branch: String,
        /// The commit checked out.
        commit: String,
        /// How long it took, in milliseconds.
        duration_ms: u64,
    },
    /// The workspace was made from a template.
    TemplateApplied {
        /// The template's name.
        template: String,
        /// The first commit.
        commit: String,
        /// How long it took, in milliseconds.
        duration_ms: u64,
    },
    /// An earlier workspace was found.
    Resumed {
        /// The branch checked out.
        branch: Option<String>,
        /// The commit checked out.
        commit: Option<String>,
        /// How long it took, in milliseconds.
        duration_ms: u64,
    },
    /// The packages are there.
    Installed {
        /// How many.
        packages: u64,
        /// Whether npm had nothing to do.
        reused: bool,
        /// How long it took, in milliseconds.
        duration_ms: u64,
    },
    /// The preview is served.
    Ready {
        /// Where the project-server answers.
        endpoint: Endpoint,
        /// How long it took since the assignment, in milliseconds.
        duration_ms: u64,
    },
    /// The opening failed.
    Failed(Failure),
    /// The container ended without being asked to.
    Exited {
        /// Its program's exit code.
        exit_code: Option<i64>,
        /// Whether the kernel killed it for its memory use.
        oom: bool,
        /// Why.
        cause: ExitCause,
        /// Whether somebody is working on the project: then it comes back by itself.
        occupied: bool,
        /// Whether it had run for so long that what it did before says nothing about it.
        stable: bool,
    },
    /// Nobody has used the project for a while.
    Quiet {
        /// For how long, in milliseconds.
        quiet_ms: u64,
    },
    /// Its container is wanted for something better; the reason is one of those that
    /// [are sleep](CloseReason::is_sleep).
    PutAway(CloseReason),
    /// The container has ended, and is kept.
    ContainerStopped {
        /// Why it has not, if it was tried often enough.
        detail: Option<String>,
    },
    /// The container is gone.
    ContainerRemoved,
    /// Unsaved work appeared or went.
    UnsavedWork(Unsaved),
    /// Unsaved work was found at the last moment, so the workspace was not deleted.
    WorkspaceKept(Unsaved),
    /// The workspace could not be inspected or removed.
    DeletionFailed {
        /// Whether the attempt was one that may lose work.
        force: bool,
        /// Why, in words.
        detail: String,
    },
    /// The workspace is gone.
    WorkspaceDeleted,
}
