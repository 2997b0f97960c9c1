//! What comes of what the reactor reports: each outcome counts only where it makes sense.

use crate::control::Unsaved;
use crate::{Failure, FailureCode, Generation, Step};

use super::command::{Origin, Outcome};
use super::decide::{Rejection, closed, reopened};
use super::event::{
    CloseReason, ContainerExited, ContainerRemoved, ContainerStarted, ContainerStopped,
    DependenciesInstalled, Event, ExitCause, OpenCause, OpenFailed, Paused, Ready,
    RepositoryCloned, TemplateApplied, UnsavedWorkChanged, WorkspaceDeleted, WorkspaceKept,
    WorkspaceResumed,
};
use super::state::{Known, Phase};

/// How often a container that crashed soon after its start is started again before its project has failed.
pub const CRASHES_MAX: u32 = 4;

pub(super) fn report(
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
        Outcome::ContainerStopped { detail } => container_stopped(project, detail),
        Outcome::ContainerRemoved => container_removed(project),
        Outcome::Quiet { quiet_ms } => match project.phase {
            Phase::Ready { .. } => vec![Event::Paused(Paused {
                generation,
                quiet_ms,
            })],
            _ => vec![],
        },
        Outcome::PutAway(reason) => match project.phase {
            Phase::Ready { .. } | Phase::Paused { .. } => vec![closed(project, reason, false)],
            _ => vec![],
        },
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
        Phase::Waking { .. } => Step::Preview,
        Phase::Closing { .. } if !project.workspace => Step::Source,
        _ => return vec![],
    };
    let event = match (step, outcome) {
        (
            Step::Container,
            Outcome::ContainerStarted {
                container,
                image,
                origin,
                duration_ms,
            },
        ) => Event::ContainerStarted(ContainerStarted {
            generation,
            container,
            image,
            from_pool: origin == Origin::Pool,
            kept: origin == Origin::Kept,
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
            | Phase::Paused { .. }
            | Phase::Waking { .. }
    );
    if !ran {
        // It was told to end, or was never known to run.
        return vec![];
    }
    let sleeps = matches!(project.phase, Phase::Paused { .. });
    let next = match exit.cause {
        // Nobody misses it: it sleeps on, more deeply.
        ExitCause::Interrupted if sleeps => closed(project, CloseReason::Idle, false),
        ExitCause::Interrupted => reopened(project, OpenCause::Interrupted),
        ExitCause::Crashed | ExitCause::OutOfMemory | ExitCause::Vanished => {
            if sleeps || !occupied {
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

fn container_stopped(project: &Known, detail: Option<String>) -> Vec<Event> {
    match project.phase {
        Phase::Closing { .. } => vec![Event::ContainerStopped(ContainerStopped {
            generation: project.generation,
            detail,
        })],
        _ => vec![],
    }
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
        | Phase::Paused { .. }
        | Phase::Waking { .. }
        | Phase::Failed {
            releasing: false, ..
        }
        | Phase::Closed { .. }
        | Phase::Deleting { .. }
        | Phase::Deleted => vec![],
    }
}

fn kept(project: &Known, unsaved: Unsaved, detail: Option<String>) -> Event {
    Event::WorkspaceKept(WorkspaceKept {
        generation: project.generation,
        unsaved,
        detail,
    })
}
