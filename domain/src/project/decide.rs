//! What comes of what people ask of a project.

use crate::control::Unsaved;
use crate::{Branch, Generation, ProjectKey, Source};

use super::command::Command;
use super::event::{CloseReason, Closed, Event, OpenCause, Opened, WakeCause, Woken};
use super::report::report;
use super::state::{Known, Phase, State};

/// Why a command to a project is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// There is no such project, or no longer.
    #[error("there is no such project; open it first")]
    NotFound,
    /// Its container is being stopped.
    #[error("the project is closing; try again when it is closed")]
    Closing,
    /// It is being deleted.
    #[error("the project is being deleted; open it again when it is gone")]
    Deleting,
    /// Its workspace belongs to another source.
    #[error(
        "the project's workspace was made from {current}; delete the project before opening it from elsewhere"
    )]
    OtherSource {
        /// Where the workspace came from.
        current: String,
    },
    /// Its workspace was opened at another branch.
    #[error(
        "the project's workspace was opened at {}; switch branches inside it, or delete the project before opening it at another",
        .current.as_deref().map_or_else(|| "the repository's default branch".to_owned(), |branch| format!("branch {branch}"))
    )]
    OtherBranch {
        /// The branch it was opened at, if one was named.
        current: Option<String>,
    },
    /// Nobody would wake it: it was closed, or it failed.
    #[error("the project does not sleep; open it")]
    NotAsleep,
    /// Deleting it would lose work.
    #[error("the workspace holds unsaved work: {0}; commit and push it, or force the deletion")]
    UnsavedWork(Unsaved),
    /// A report is about an opening that is not the current one.
    #[error(
        "the report is about generation {reported}, but the project is at generation {current}"
    )]
    Fenced {
        /// What the report was about.
        reported: Generation,
        /// Where the project is.
        current: Generation,
    },
}

impl Rejection {
    /// The stable code for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "project-not-found",
            Self::Closing => "project-closing",
            Self::Deleting => "project-deleting",
            Self::OtherSource { .. } => "other-source",
            Self::OtherBranch { .. } => "other-branch",
            Self::NotAsleep => "project-not-asleep",
            Self::UnsavedWork(_) => "unsaved-work",
            Self::Fenced { .. } => "fenced",
        }
    }
}

pub(super) fn decide(state: &State, command: Command) -> Result<Vec<Event>, Rejection> {
    match (state, command) {
        (
            State::Absent,
            Command::Open {
                key,
                source,
                branch,
            },
        ) => Ok(vec![opened(
            Generation::NONE.next(),
            key,
            source,
            branch,
            OpenCause::Asked,
        )]),
        (State::Absent, _) => Err(Rejection::NotFound),
        (
            State::Known(project),
            Command::Open {
                key,
                source,
                branch,
            },
        ) => open(project, key, source, branch),
        (State::Known(project), Command::Reopen { branch }) => reopen(project, branch),
        (State::Known(project), Command::Wake(cause)) => wake(project, cause),
        (State::Known(project), Command::Close) => close(project),
        (State::Known(project), Command::Restart) => restart(project),
        (State::Known(project), Command::Delete { force }) => delete(project, force),
        (
            State::Known(project),
            Command::Report {
                generation,
                outcome,
            },
        ) => report(project, generation, outcome),
    }
}

fn open(
    project: &Known,
    key: ProjectKey,
    source: Source,
    branch: Option<Branch>,
) -> Result<Vec<Event>, Rejection> {
    let other_source = source != project.source;
    let other_branch = branch.is_some() && branch != project.branch;
    let open = project.phase.is_open();
    match project.phase {
        Phase::Closing { .. } => Err(Rejection::Closing),
        Phase::Deleting { .. } => Err(Rejection::Deleting),
        // Files of one repository never turn into those of another behind somebody's back.
        _ if other_source && project.workspace => Err(Rejection::OtherSource {
            current: project.source.to_string(),
        }),
        // A workspace stays on the branch it is on, with the work that is on it.
        _ if other_branch && !other_source && (project.workspace || open) => {
            Err(Rejection::OtherBranch {
                current: project.branch.as_ref().map(ToString::to_string),
            })
        }
        Phase::Paused { .. } if !other_source => Ok(vec![woken(project, WakeCause::Asked)]),
        // It is open from there, or on its way.
        _ if open && !other_source => Ok(vec![]),
        Phase::Opening { .. }
        | Phase::Ready { .. }
        | Phase::Paused { .. }
        | Phase::Waking { .. }
        | Phase::Failed { .. }
        | Phase::Closed { .. }
        | Phase::Deleted => {
            let branch = if project.workspace {
                branch.or_else(|| project.branch.clone())
            } else {
                branch
            };
            Ok(vec![opened(
                project.generation.next(),
                key,
                source,
                branch,
                OpenCause::Asked,
            )])
        }
    }
}

fn reopen(project: &Known, branch: Option<Branch>) -> Result<Vec<Event>, Rejection> {
    // A deleted project keeps its source too: no other repository takes over its name unasked.
    let branch = branch.or_else(|| project.branch.clone());
    open(project, project.key.clone(), project.source.clone(), branch)
}

/// One that sleeps wakes; one that somebody closed, or that failed, waits for somebody to open it.
fn wake(project: &Known, cause: WakeCause) -> Result<Vec<Event>, Rejection> {
    match &project.phase {
        Phase::Paused { .. } => Ok(vec![woken(project, cause)]),
        Phase::Closed { reason } if reason.is_sleep() => {
            Ok(vec![reopened(project, OpenCause::Woken)])
        }
        Phase::Opening { .. } | Phase::Ready { .. } | Phase::Waking { .. } => Ok(vec![]),
        Phase::Closing { .. } => Err(Rejection::Closing),
        Phase::Deleting { .. } => Err(Rejection::Deleting),
        Phase::Failed { .. } | Phase::Closed { .. } => Err(Rejection::NotAsleep),
        Phase::Deleted => Err(Rejection::NotFound),
    }
}

fn close(project: &Known) -> Result<Vec<Event>, Rejection> {
    match project.phase {
        Phase::Opening { .. }
        | Phase::Ready { .. }
        | Phase::Paused { .. }
        | Phase::Waking { .. }
        | Phase::Failed { .. } => Ok(vec![closed(project, CloseReason::User, false)]),
        Phase::Closing { .. } | Phase::Closed { .. } => Ok(vec![]),
        Phase::Deleting { .. } => Err(Rejection::Deleting),
        Phase::Deleted => Err(Rejection::NotFound),
    }
}

fn restart(project: &Known) -> Result<Vec<Event>, Rejection> {
    match project.phase {
        Phase::Opening { .. }
        | Phase::Ready { .. }
        | Phase::Paused { .. }
        | Phase::Waking { .. }
        | Phase::Failed { .. }
        | Phase::Closed { .. } => Ok(vec![reopened(project, OpenCause::Restarted)]),
        Phase::Closing { .. } => Err(Rejection::Closing),
        Phase::Deleting { .. } => Err(Rejection::Deleting),
        Phase::Deleted => Err(Rejection::NotFound),
    }
}

fn delete(project: &Known, force: bool) -> Result<Vec<Event>, Rejection> {
    match project.phase {
        Phase::Deleted => Err(Rejection::NotFound),
        // Only a deletion that may now lose work says more than the one at work.
        Phase::Deleting { force: already } if already || !force => Ok(vec![]),
        _ if project.unsaved.any() && !force => Err(Rejection::UnsavedWork(project.unsaved)),
        Phase::Opening { .. }
        | Phase::Ready { .. }
        | Phase::Paused { .. }
        | Phase::Waking { .. }
        | Phase::Failed { .. }
        | Phase::Closing { .. }
        | Phase::Closed { .. }
        | Phase::Deleting { .. } => Ok(vec![closed(project, CloseReason::Deleted, force)]),
    }
}

fn opened(
    generation: Generation,
    key: ProjectKey,
    source: Source,
    branch: Option<Branch>,
    cause: OpenCause,
) -> Event {
    Event::Opened(Opened {
        generation,
        key,
        source,
        branch,
        cause,
    })
}

pub(super) fn reopened(project: &Known, cause: OpenCause) -> Event {
    opened(
        project.generation.next(),
        project.key.clone(),
        project.source.clone(),
        project.branch.clone(),
        cause,
    )
}

pub(super) fn closed(project: &Known, reason: CloseReason, force: bool) -> Event {
    Event::Closed(Closed {
        generation: project.generation,
        reason,
        force,
    })
}

fn woken(project: &Known, cause: WakeCause) -> Event {
    Event::Woken(Woken {
        generation: project.generation,
        cause,
    })
}
