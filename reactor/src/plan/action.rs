//! What can be done. Each action is idempotent, and none waits for another one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use firefly_domain::project::{CloseReason, ExitCause};
use firefly_domain::{ContainerId, Endpoint, EventId, Failure, ProjectId};
use uuid::Uuid;

use crate::desired::Opening;
use crate::runtime::{Observed, Slot};

/// What an action is about; two actions about one subject never run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A project.
    Project(ProjectId),
    /// A place in the pool.
    Pool(Slot),
}

impl Subject {
    /// Its id.
    pub const fn uuid(&self) -> &Uuid {
        match self {
            Self::Project(project) => project.as_uuid(),
            Self::Pool(slot) => slot.as_uuid(),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Project(project) => write!(f, "project {project}"),
            Self::Pool(slot) => write!(f, "place {slot} of the pool"),
        }
    }
}

/// What the container of an opening is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Nothing: a new one is made.
    Nothing,
    /// The container that the project has.
    Found(Observed),
    /// One that was started ahead.
    Pooled {
        /// The runtime's name for it.
        container: ContainerId,
        /// Its place.
        slot: Slot,
    },
}

/// A container to be stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The runtime's name for it.
    pub id: ContainerId,
    /// Where its project-server answers, if it is alive.
    pub endpoint: Option<Endpoint>,
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// See that a container of this opening runs, and say so.
    Start {
        /// The opening.
        opening: Arc<Opening>,
        /// What to begin with.
        basis: Basis,
    },
    /// Hand the assignment to a running container and follow what it reports.
    Link {
        /// The opening.
        opening: Arc<Opening>,
        /// Where the container's project-server answers.
        endpoint: Endpoint,
    },
    /// Say that nobody has used a project for a while.
    ReportQuiet {
        /// The opening.
        opening: Arc<Opening>,
        /// For how long.
        quiet: Duration,
    },
    /// Let a container sleep.
    Pause {
        /// The opening.
        opening: Arc<Opening>,
        /// Its container.
        container: ContainerId,
    },
    /// Let a container that sleeps go on, and say so.
    Wake {
        /// The opening.
        opening: Arc<Opening>,
        /// Its container.
        container: ContainerId,
        /// Where its project-server answers.
        endpoint: Endpoint,
    },
    /// Say that a project's container is to end, since nobody uses it.
    PutAway {
        /// The opening.
        opening: Arc<Opening>,
        /// Why now.
        reason: CloseReason,
    },
    /// Say that a container ended without being asked to.
    ReportExit {
        /// The opening it served.
        opening: Arc<Opening>,
        /// Its program's exit code.
        exit_code: Option<i64>,
        /// Whether the kernel killed it for its memory use.
        oom: bool,
        /// Why.
        cause: ExitCause,
        /// Whether it had run for [`STABLE`](super::STABLE).
        stable: bool,
    },
    /// Stop the container of an opening that is over, and say so.
    Release {
        /// The opening.
        opening: Arc<Opening>,
        /// Its containers, and where those that are alive answer.
        containers: Vec<Held>,
        /// Whether it stays, to be started again.
        keep: bool,
    },
    /// Stop and remove the container, then the workspace, unless work would be lost.
    Delete {
        /// The last opening.
        opening: Arc<Opening>,
        /// Its containers, and where those that are alive answer.
        containers: Vec<Held>,
        /// Also if work would be lost.
        force: bool,
    },
    /// Start a container ahead.
    Prepare(Slot),
    /// Stop and remove containers that nobody wants; nobody is told.
    Discard {
        /// Whom they worked for.
        subject: Subject,
        /// The containers.
        containers: Vec<ContainerId>,
    },
    /// End an opening that takes too long.
    GiveUp {
        /// The opening.
        opening: Arc<Opening>,
        /// What to say.
        failure: Failure,
    },
    /// Leave a container that does not end to itself: it is discarded as soon as that works.
    GiveUpRelease {
        /// The opening.
        opening: Arc<Opening>,
        /// Why it does not end.
        detail: String,
    },
    /// End a deletion that failed too often.
    GiveUpDeletion {
        /// The last opening.
        opening: Arc<Opening>,
        /// Whether it was one that may lose work.
        force: bool,
        /// Why it failed.
        detail: String,
    },
}

impl Action {
    /// What it is, in a word.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Link { .. } => "link",
            Self::ReportQuiet { .. } => "report-quiet",
            Self::Pause { .. } => "pause",
            Self::Wake { .. } => "wake",
            Self::PutAway { .. } => "put-away",
            Self::ReportExit { .. } => "report-exit",
            Self::Release { .. } => "release",
            Self::Delete { .. } => "delete",
            Self::Prepare(_) => "prepare",
            Self::Discard { .. } => "discard",
            Self::GiveUp { .. } => "give-up",
            Self::GiveUpRelease { .. } => "give-up-release",
            Self::GiveUpDeletion { .. } => "give-up-deletion",
        }
    }

    /// The opening it is about, if it is about one.
    pub fn opening(&self) -> Option<&Arc<Opening>> {
        match self {
            Self::Start { opening, .. }
            | Self::Link { opening, .. }
            | Self::ReportQuiet { opening, .. }
            | Self::Pause { opening, .. }
            | Self::Wake { opening, .. }
            | Self::PutAway { opening, .. }
            | Self::ReportExit { opening, .. }
            | Self::Release { opening, .. }
            | Self::Delete { opening, .. }
            | Self::GiveUp { opening, .. }
            | Self::GiveUpRelease { opening, .. }
            | Self::GiveUpDeletion { opening, .. } => Some(opening),
            Self::Prepare(_) | Self::Discard { .. } => None,
        }
    }

    /// The event that asked for it; what nobody asked for has none.
    pub fn cause(&self) -> Option<EventId> {
        self.opening().map(|opening| opening.cause)
    }

    /// What it is about.
    pub fn subject(&self) -> Subject {
        match self {
            Self::Prepare(slot) => Subject::Pool(*slot),
            Self::Discard { subject, .. } => *subject,
            // Every other one is about an opening.
            _ => self.opening().map_or_else(
                || unreachable!("an action about no opening names its subject"),
                |opening| Subject::Project(opening.project),
            ),
        }
    }

    /// A place in the pool that it takes, besides what it is about.
    pub const fn takes(&self) -> Option<Slot> {
        match self {
            Self::Start {
                basis: Basis::Pooled { slot, .. },
                ..
            } => Some(*slot),
            _ => None,
        }
    }
}
