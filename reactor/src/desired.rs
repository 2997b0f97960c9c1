//! What should be running: the fold of the log, as far as the reactor cares.
//!
//! It is folded from the first event at every start, so there is no second truth that could disagree with the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use firefly_domain::project::{Event, Phase, State};
use firefly_domain::{
    Aggregate, Branch, ContainerId, EventId, Generation, Project, ProjectId, ProjectKey, Source,
};
use firefly_event_store::{Position, RecordedEvent, Wire};
use uuid::Uuid;

/// One opening of a project, with what a container needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The project.
    pub project: ProjectId,
    /// Its names.
    pub key: ProjectKey,
    /// Where its files come from.
    pub source: Source,
    /// The branch asked for.
    pub branch: Option<Branch>,
    /// Which opening it is.
    pub generation: Generation,
    /// When it was asked for.
    pub since: DateTime<Utc>,
    /// The event that asked for what is wanted now.
    pub cause: EventId,
    /// Shared by everything that follows from the same request.
    pub correlation_id: Uuid,
}

/// What is wanted of a project's latest opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// A container that runs.
    Running {
        /// The container that history says runs.
        started: Option<ContainerId>,
        /// Whether its preview is served already.
        ready: bool,
    },
    /// The container's end, and word of it.
    Released,
    /// The end of container and workspace.
    Deleted {
        /// Also if work would be lost.
        force: bool,
    },
    /// No container; history knows that already.
    Nothing,
    /// Nobody can tell: its history has an event that this program cannot read. What runs is left alone.
    Unknown,
}

/// A project as the reactor sees it.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its latest opening.
    pub opening: Arc<Opening>,
    /// What is wanted of it.
    pub want: Want,
}

/// All projects, folded from the log.
#[derive(Debug, Default)]
pub struct Desired {
    projects: BTreeMap<ProjectId, Folded>,
    position: Position,
}

#[derive(Debug)]
struct Folded {
    state: State,
    unreadable: bool,
    since: DateTime<Utc>,
    cause: EventId,
    correlation_id: Uuid,
}

impl Desired {
    /// How far the log is folded in.
    pub const fn position(&self) -> Position {
        self.position
    }

    /// Takes the next event of the log in. A project with an event that cannot be read is left alone from there on.
    pub fn take(&mut self, recorded: &RecordedEvent) {
        if let (Project::CATEGORY, Some(id)) = (recorded.stream.category(), recorded.stream.uuid())
        {
            let folded = self
                .projects
                .entry(ProjectId::from_uuid(id))
                .or_insert_with(|| Folded {
                    state: State::default(),
                    unreadable: false,
                    since: recorded.recorded_at,
                    cause: recorded.id,
                    correlation_id: recorded.metadata.correlation_id,
                });
            match Project::decode(recorded) {
                Ok(event) => folded.take(recorded, &event),
                Err(error) => {
                    tracing::error!(%error, stream = %recorded.stream, "a project is left alone, since its history cannot be read");
                    folded.unreadable = true;
                }
            }
        }
        self.position = recorded.position;
    }

    /// What is wanted of each project that was ever opened.
    pub fn wanted(&self) -> BTreeMap<ProjectId, Wanted> {
        self.projects
            .iter()
            .filter_map(|(id, folded)| Some((*id, folded.wanted(*id)?)))
            .collect()
    }
}

impl Folded {
    fn take(&mut self, recorded: &RecordedEvent, event: &Event) {
        if matches!(event, Event::Opened(_) | Event::Closed(_)) {
            self.since = recorded.recorded_at;
            self.cause = recorded.id;
            self.correlation_id = recorded.metadata.correlation_id;
        }
        self.state = Project::evolve(std::mem::take(&mut self.state), event);
    }

    fn wanted(&self, project: ProjectId) -> Option<Wanted> {
        let known = self.state.known()?;
        let want = match &known.phase {
            _ if self.unreadable => Want::Unknown,
            Phase::Opening { container, .. } => Want::Running {
                started: container.clone(),
                ready: false,
            },
            Phase::Ready { container, .. } => Want::Running {
                started: Some(container.clone()),
                ready: true,
            },
            Phase::Closing { .. }
            | Phase::Failed {
                releasing: true, ..
            } => Want::Released,
            Phase::Deleting { force } => Want::Deleted { force: *force },
            Phase::Failed {
                releasing: false, ..
            }
            | Phase::Closed { .. }
            | Phase::Deleted => Want::Nothing,
        };
        let opening = Opening {
            project,
            key: known.key.clone(),
            source: known.source.clone(),
            branch: known.branch.clone(),
            generation: known.generation,
            since: self.since,
            cause: self.cause,
            correlation_id: self.correlation_id,
        };
        Some(Wanted {
            opening: Arc::new(opening),
            want,
        })
    }
}
