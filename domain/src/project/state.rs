//! What is known of a project: the fold of its events.

use crate::control::Unsaved;
use crate::{Branch, ContainerId, Endpoint, Failure, Generation, ProjectKey, Source, Step};

use super::event::{CloseReason, Event, OpenCause};

/// The state of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It was never opened.
    #[default]
    Absent,
    /// It was opened at least once.
    Known(Box<Known>),
}

/// What is known of a project that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its names.
    pub key: ProjectKey,
    /// Where its files come from.
    pub source: Source,
    /// The branch asked for.
    pub branch: Option<Branch>,
    /// The latest opening.
    pub generation: Generation,
    /// Whether there is a workspace with files to lose.
    pub workspace: bool,
    /// The unsaved work last seen in it.
    pub unsaved: Unsaved,
    /// How often in a row its container crashed soon after it was started, and was started again.
    pub crashes: u32,
    /// Why it was opened the last time.
    pub cause: OpenCause,
    /// Where it stands.
    pub phase: Phase,
}

/// Where a project stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A container is wanted and on its way.
    Opening {
        /// The step at work.
        step: Step,
        /// The container, once it runs.
        container: Option<ContainerId>,
    },
    /// The preview is served.
    Ready {
        /// The container.
        container: ContainerId,
        /// Where its project-server answers.
        endpoint: Endpoint,
    },
    /// Nobody uses it: its container sleeps, and keeps its memory.
    Paused {
        /// The container.
        container: ContainerId,
        /// Where its project-server answers when it is awake.
        endpoint: Endpoint,
    },
    /// Its container is being woken.
    Waking {
        /// The container.
        container: ContainerId,
    },
    /// The opening failed.
    Failed {
        /// How.
        failure: Failure,
        /// Whether its container has still to be removed.
        releasing: bool,
    },
    /// The container is being stopped and removed.
    Closing {
        /// Why.
        reason: CloseReason,
    },
    /// There is no container; the workspace is kept.
    Closed {
        /// Why.
        reason: CloseReason,
    },
    /// Container and workspace are being removed.
    Deleting {
        /// Also if work would be lost.
        force: bool,
    },
    /// Container and workspace are gone.
    Deleted,
}

impl Phase {
    /// The name on the wire and in the read models.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Opening { .. } => "opening",
            Self::Ready { .. } => "ready",
            Self::Paused { .. } => "paused",
            Self::Waking { .. } => "waking",
            Self::Failed { .. } => "failed",
            Self::Closing { .. } => "closing",
            Self::Closed { .. } => "closed",
            Self::Deleting { .. } => "deleting",
            Self::Deleted => "deleted",
        }
    }

    /// Whether the project has a container, or one is on its way.
    pub const fn is_open(&self) -> bool {
        matches!(
            self,
            Self::Opening { .. } | Self::Ready { .. } | Self::Paused { .. } | Self::Waking { .. }
        )
    }
}

impl State {
    /// What is known, if it was ever opened.
    pub const fn known(&self) -> Option<&Known> {
        match self {
            Self::Absent => None,
            Self::Known(project) => Some(project),
        }
    }
}

pub(super) fn evolve(state: State, event: &Event) -> State {
    match (state, event) {
        (State::Absent, Event::Opened(opened)) => State::Known(Box::new(Known {
            key: opened.key.clone(),
            source: opened.source.clone(),
            branch: opened.branch.clone(),
            generation: opened.generation,
            workspace: false,
            unsaved: Unsaved::NONE,
            crashes: 0,
            cause: opened.cause,
            phase: Phase::Opening {
                step: Step::Container,
                container: None,
            },
        })),
        // No command records anything else first; a log that says otherwise is read without inventing a project.
        (State::Absent, _) => State::Absent,
        (State::Known(mut project), event) => {
            project.take(event);
            State::Known(project)
        }
    }
}

impl Known {
    fn take(&mut self, event: &Event) {
        match event {
            Event::Opened(opened) => {
                self.source = opened.source.clone();
                self.branch = opened.branch.clone();
                self.generation = opened.generation;
                self.crashes = match opened.cause {
                    OpenCause::Asked
                    | OpenCause::Restarted
                    | OpenCause::Interrupted
                    | OpenCause::Crashed
                    | OpenCause::Woken => 0,
                    OpenCause::CrashedAgain => self.crashes.saturating_add(1),
                };
                self.cause = opened.cause;
                self.phase = Phase::Opening {
                    step: Step::Container,
                    container: None,
                };
            }
            Event::ContainerStarted(started) => {
                self.phase = Phase::Opening {
                    step: Step::Source,
                    container: Some(started.container.clone()),
                };
            }
            Event::RepositoryCloned(_) | Event::TemplateApplied(_) | Event::WorkspaceResumed(_) => {
                self.workspace = true;
                self.advance(Step::Install);
            }
            Event::DependenciesInstalled(_) => self.advance(Step::Preview),
            Event::Ready(ready) => {
                if let Phase::Opening {
                    container: Some(container),
                    ..
                }
                | Phase::Waking { container } = &self.phase
                {
                    self.phase = Phase::Ready {
                        container: container.clone(),
                        endpoint: ready.endpoint.clone(),
                    };
                }
            }
            Event::Paused(_) => {
                if let Phase::Ready {
                    container,
                    endpoint,
                } = &self.phase
                {
                    self.phase = Phase::Paused {
                        container: container.clone(),
                        endpoint: endpoint.clone(),
                    };
                }
            }
            Event::Woken(_) => {
                if let Phase::Paused { container, .. } = &self.phase {
                    self.phase = Phase::Waking {
                        container: container.clone(),
                    };
                }
            }
            Event::OpenFailed(failed) => {
                self.phase = Phase::Failed {
                    failure: failed.failure.clone(),
                    releasing: true,
                };
            }
            // The event that follows says what comes of it: closed, or opened anew.
            Event::ContainerExited(_) => {}
            Event::Closed(closed) => self.close(closed.reason, closed.force),
            Event::ContainerStopped(_) | Event::ContainerRemoved(_) => self.release(),
            Event::UnsavedWorkChanged(changed) => self.unsaved = changed.unsaved,
            Event::WorkspaceKept(kept) => {
                self.unsaved = kept.unsaved;
                self.phase = Phase::Closed {
                    reason: CloseReason::Deleted,
                };
            }
            Event::WorkspaceDeleted(_) => {
                self.workspace = false;
                self.unsaved = Unsaved::NONE;
                self.phase = Phase::Deleted;
            }
        }
    }

    fn advance(&mut self, next: Step) {
        if let Phase::Opening { step, .. } = &mut self.phase {
            *step = next;
        }
    }

    fn close(&mut self, reason: CloseReason, force: bool) {
        self.phase = match (&self.phase, reason) {
            (_, CloseReason::Deleted) => Phase::Deleting { force },
            // A failed opening has given its container back already.
            (
                Phase::Failed {
                    releasing: false, ..
                },
                _,
            ) => Phase::Closed { reason },
            _ => Phase::Closing { reason },
        };
    }

    fn release(&mut self) {
        match &mut self.phase {
            Phase::Failed { releasing, .. } => *releasing = false,
            Phase::Closing { reason } => self.phase = Phase::Closed { reason: *reason },
            // A container of an older generation may be removed while the next one is already wanted.
            Phase::Opening { .. }
            | Phase::Ready { .. }
            | Phase::Paused { .. }
            | Phase::Waking { .. }
            | Phase::Closed { .. }
            | Phase::Deleting { .. }
            | Phase::Deleted => {}
        }
    }
}
