//! The rules of a project.

use crate::control::Unsaved;
use crate::{Branch, Failure, FailureCode, Generation, ProjectKey, Source, Step};

use super::command::{Command, Outcome};
use super::event::{
    CloseReason, Closed, ContainerExited, ContainerRemoved, ContainerStarted,
    DependenciesInstalled, Event, ExitCause, OpenCause, OpenFailed, Opened, Ready,
    RepositoryCloned, TemplateApplied, UnsavedWorkChanged, WorkspaceDeleted, WorkspaceKept,
    WorkspaceResumed,
};
use super::state::{Known, Phase, State};

/// How often a container that crashed soon after its start is started again before its project has failed.
pub const CRASHES_MAX: u32 = 4;

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
    let open = matches!(project.phase, Phase::Opening { .. } | Phase::Ready { .. });
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
        // It is open from there, or on its way.
        _ if open && !other_source => Ok(vec![]),
        Phase::Opening { .. }
        | Phase::Ready { .. }
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

fn close(project: &Known) -> Result<Vec<Event>, Rejection> {
    match project.phase {
        Phase::Opening { .. } | Phase::Ready { .. } | Phase::Failed { .. } => {
            Ok(vec![closed(project, CloseReason::User, false)])
        }
        Phase::Closing { .. } | Phase::Closed { .. } => Ok(vec![]),
        Phase::Deleting { .. } => Err(Rejection::Deleting),
        Phase::Deleted => Err(Rejection::NotFound),
    }
}

fn restart(project: &Known) -> Result<Vec<Event>, Rejection> {
    match project.phase {
        Phase::Opening { .. }
        | Phase::Ready { .. }
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
        | Phase::Failed { .. }
        | Phase::Closing { .. }
        | Phase::Closed { .. }
        | Phase::Deleting { .. } => Ok(vec![closed(project, CloseReason::Deleted, force)]),
    }
}

fn report(
    project: &Known,
    generation: Generation,
    outcome: Outcome,
) -> Result<Vec<Event>, Rejection> {
    if generation != project.generation {
        return Err(Rejection::Fenced {
            reported: generation,
            current: project.generation,
        });
    }
    let events = match outcome {
        Outcome::ContainerRemoved => container_removed(project),
        Outcome::UnsavedWork(unsaved) if unsaved == project.unsaved => vec![],
        Outcome::UnsavedWork(unsaved) => {
            vec![Event::UnsavedWorkChanged(UnsavedWorkChanged {
                generation,
                unsaved,
            })]
        }
        Outcome::WorkspaceKept(unsaved) => match project.phase {
            Phase::Deleting { force: false } => vec![kept(project, unsaved, None)],
            _ => vec![],
        },
        // Once it is forced, what an attempt came to that was not yet ends nothing.
        Outcome::DeletionFailed {
            force: attempted,
            detail,
        } => match project.phase {
            Phase::Deleting { force } if force == attempted => {
                vec![kept(project, project.unsaved, Some(detail))]
            }
            _ => vec![],
        },
        Outcome::WorkspaceDeleted => match project.phase {
            Phase::Deleting { .. } => {
                vec![Event::WorkspaceDeleted(WorkspaceDeleted { generation })]
            }
            _ => vec![],
        },
        Outcome::Exited {
            exit_code,
            oom,
            cause,
            occupied,
            stable,
        } => {
            let exit = ContainerExited {
                generation,
                exit_code,
                oom,
                cause,
            };
            exited(project, exit, occupied, stable)
        }
        Outcome::Failed(failure) => failed(project, failure),
        step => progressed(project, step),
    };
    Ok(events)
}

/// A step's outcome counts while that step is at work. That a workspace was made counts to the last: its files are there,
/// and must not be taken for those of another source.
fn progressed(project: &Known, outcome: Outcome) -> Vec<Event> {
    let generation = project.generation;
    let step = match project.phase {
        Phase::Opening { step, .. } => step,
        Phase::Closing { .. } if !project.workspace => Step::Source,
        _ => return vec![],
    };
    let event = match (step, outcome) {
        (
            Step::Container,
            Outcome::ContainerStarted {
                container,
                image,
                from_pool,
                duration_ms,
            },
        ) => Event::ContainerStarted(ContainerStarted {
            generation,
            container,
            image,
            from_pool,
            duration_ms,
        }),
        (
            Step::Source,
            Outcome::Cloned {
                branch,
                commit,
                duration_ms,
            },
        ) => Event::RepositoryCloned(RepositoryCloned {
            generation,
            branch,
            commit,
            duration_ms,
        }),
        (
            Step::Source,
            Outcome::TemplateApplied {
                template,
                commit,
                duration_ms,
            },
        ) => Event::TemplateApplied(TemplateApplied {
            generation,
            template,
            commit,
            duration_ms,
        }),
        (
            Step::Source,
            Outcome::Resumed {
                branch,
                commit,
                duration_ms,
            },
        ) => Event::WorkspaceResumed(WorkspaceResumed {
            generation,
            branch,
            commit,
            duration_ms,
        }),
        (
            Step::Install,
            Outcome::Installed {
                packages,
                reused,
                duration_ms,
            },
        ) => Event::DependenciesInstalled(DependenciesInstalled {
            generation,
            packages,
            reused,
            duration_ms,
        }),
        (
            Step::Preview,
            Outcome::Ready {
                endpoint,
                duration_ms,
            },
        ) => Event::Ready(Ready {
            generation,
            endpoint,
            duration_ms,
        }),
        _ => return vec![],
    };
    vec![event]
}

fn failed(project: &Known, failure: Failure) -> Vec<Event> {
    match project.phase {
        Phase::Opening { .. } => vec![Event::OpenFailed(OpenFailed {
            generation: project.generation,
            failure,
        })],
        // Somebody closed it first, or it was ready: then only an exit can end it.
        _ => vec![],
    }
}

fn exited(project: &Known, exit: ContainerExited, occupied: bool, stable: bool) -> Vec<Event> {
    let ran = matches!(
        project.phase,
        Phase::Opening {
            container: Some(_),
            ..
        } | Phase::Ready { .. }
    );
    if !ran {
        // It was told to end, or was never known to run.
        return vec![];
    }
    let next = match exit.cause {
        ExitCause::Interrupted => reopened(project, OpenCause::Interrupted),
        ExitCause::Crashed | ExitCause::OutOfMemory | ExitCause::Vanished => {
            if !occupied {
                closed(project, CloseReason::Crashed, false)
            } else if stable {
                reopened(project, OpenCause::Crashed)
            } else if project.crashes < CRASHES_MAX {
                reopened(project, OpenCause::CrashedAgain)
            } else {
                Event::OpenFailed(OpenFailed {
                    generation: project.generation,
                    failure: crash_loop(&exit),
                })
            }
        }
    };
    vec![Event::ContainerExited(exit), next]
}

/// Somebody has to look at it.
fn crash_loop(last: &ContainerExited) -> Failure {
    let how = match (last.cause, last.exit_code) {
        (ExitCause::OutOfMemory, _) => ", the last time for want of memory".to_owned(),
        (ExitCause::Vanished, _) => ", the last time since it was removed from outside".to_owned(),
        (_, Some(code)) => format!(", the last time with exit code {code}"),
        (_, None) => String::new(),
    };
    let detail = format!(
        "the container ended {} times, each time soon after it was started{how}; mend what ends it, then open the project \
         again",
        CRASHES_MAX + 1
    );
    Failure::new(Step::Container, FailureCode::CrashLoop, detail)
}

fn container_removed(project: &Known) -> Vec<Event> {
    match project.phase {
        Phase::Closing { .. }
        | Phase::Failed {
            releasing: true, ..
        } => {
            vec![Event::ContainerRemoved(ContainerRemoved {
                generation: project.generation,
            })]
        }
        Phase::Opening { .. }
        | Phase::Ready { .. }
        | Phase::Failed {
            releasing: false, ..
        }
        | Phase::Closed { .. }
        | Phase::Deleting { .. }
        | Phase::Deleted => vec![],
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

fn reopened(project: &Known, cause: OpenCause) -> Event {
    opened(
        project.generation.next(),
        project.key.clone(),
        project.source.clone(),
        project.branch.clone(),
        cause,
    )
}

fn closed(project: &Known, reason: CloseReason, force: bool) -> Event {
    Event::Closed(Closed {
        generation: project.generation,
        reason,
        force,
    })
}

fn kept(project: &Known, unsaved: Unsaved, detail: Option<String>) -> Event {
    Event::WorkspaceKept(WorkspaceKept {
        generation: project.generation,
        unsaved,
        detail,
    })
}
