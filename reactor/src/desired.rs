//! What should be running: the fold of the log, as far as the reactor cares.
//!
//! It is folded from the first event at every start, so there is no second truth that could disagree with the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use firefly_domain::project::{Event, OpenCause, Phase, State};
use firefly_domain::{
    Aggregate, Branch, ContainerId, EventId, Generation, Project, ProjectId, ProjectKey, Session,
    SessionId, Source, session,
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
    /// When its container may be started: one that crashed has to wait.
    pub not_before: DateTime<Utc>,
    /// When its container was started, if it was.
    pub started_at: Option<DateTime<Utc>>,
    /// Whether a session that goes on has the project in hand.
    pub occupied: bool,
    /// Whether a container of before will not do.
    pub fresh: bool,
    /// Whether the workspace has files.
    pub filled: bool,
    /// When something last happened that somebody wanted.
    pub active_at: DateTime<Utc>,
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
    /// A container that is asleep, and goes on now.
    Awake {
        /// The container.
        container: ContainerId,
    },
    /// A container that sleeps.
    Asleep {
        /// The container.
        container: ContainerId,
    },
    /// The container's end, and word of it.
    Released {
        /// Whether it stays, to be started again.
        keep: bool,
    },
    /// The end of container and workspace.
    Deleted {
        /// Also if work would be lost.
        force: bool,
    },
    /// No container that runs; history knows that already.
    Nothing {
        /// Whether one that has ended may stay, to be started again.
        keep: bool,
    },
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
    /// Sessions that go on, and the projects they have in hand.
    sessions: BTreeMap<SessionId, BTreeSet<ProjectId>>,
    position: Position,
}

#[derive(Debug)]
struct Folded {
    state: State,
    unreadable: bool,
    since: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    active_at: DateTime<Utc>,
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
                    started_at: None,
                    active_at: recorded.recorded_at,
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
        if let (Session::CATEGORY, Some(id)) = (recorded.stream.category(), recorded.stream.uuid())
        {
            self.take_session(SessionId::from_uuid(id), recorded);
        }
        self.position = recorded.position;
    }

    /// Takes an event of a session in. One that cannot be read ends it here: nobody is known to be there.
    fn take_session(&mut self, id: SessionId, recorded: &RecordedEvent) {
        use session::Event;

        match Session::decode(recorded) {
            Ok(Event::Joined(joined)) => {
                self.sessions.entry(id).or_default().insert(joined.project);
            }
            Ok(Event::Left(left)) => {
                if let Some(projects) = self.sessions.get_mut(&id) {
                    projects.remove(&left.project);
                }
            }
            Ok(Event::Started(_)) => {}
            Ok(Event::Ended(_)) | Err(_) => drop(self.sessions.remove(&id)),
        }
    }

    /// What is wanted of each project that was ever opened.
    pub fn wanted(&self) -> BTreeMap<ProjectId, Wanted> {
        let occupied: BTreeSet<&ProjectId> = self.sessions.values().flatten().collect();
        self.projects
            .iter()
            .filter_map(|(id, folded)| Some((*id, folded.wanted(*id, occupied.contains(id))?)))
            .collect()
    }
}

impl Folded {
    fn take(&mut self, recorded: &RecordedEvent, event: &Event) {
        match event {
            Event::Opened(_) | Event::Closed(_) => {
                self.asked_by(recorded);
                self.started_at = None;
            }
            Event::Paused(_) | Event::Woken(_) => self.asked_by(recorded),
            Event::ContainerStarted(_) => self.started_at = Some(recorded.recorded_at),
            _ => {}
        }
        // What people change in the workspace shows as work that is not saved.
        if matches!(
            event,
            Event::Opened(_) | Event::Woken(_) | Event::Ready(_) | Event::UnsavedWorkChanged(_)
        ) {
            self.active_at = recorded.recorded_at;
        }
        self.state = Project::evolve(std::mem::take(&mut self.state), event);
    }

    fn asked_by(&mut self, recorded: &RecordedEvent) {
        self.since = recorded.recorded_at;
        self.cause = recorded.id;
        self.correlation_id = recorded.metadata.correlation_id;
    }

    fn wanted(&self, project: ProjectId, occupied: bool) -> Option<Wanted> {
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
            Phase::Waking { container } => Want::Awake {
                container: container.clone(),
            },
            Phase::Paused { container, .. } => Want::Asleep {
                container: container.clone(),
            },
            Phase::Closing { .. } => Want::Released { keep: true },
            Phase::Failed {
                releasing: true, ..
            } => Want::Released { keep: false },
            Phase::Deleting { force } => Want::Deleted { force: *force },
            Phase::Closed { .. } => Want::Nothing { keep: true },
            Phase::Failed {
                releasing: false, ..
            }
            | Phase::Deleted => Want::Nothing { keep: false },
        };
        let opening = Opening {
            project,
            key: known.key.clone(),
            source: known.source.clone(),
            branch: known.branch.clone(),
            generation: known.generation,
            since: self.since,
            not_before: self.since + wait_after(known.crashes),
            started_at: self.started_at,
            occupied,
            fresh: known.cause == OpenCause::Restarted,
            filled: known.workspace,
            active_at: self.active_at,
            cause: self.cause,
            correlation_id: self.correlation_id,
        };
        Some(Wanted {
            opening: Arc::new(opening),
            want,
        })
    }
}

/// How long a container that crashed waits before it is started again: a second, and twice as long each further time.
fn wait_after(crashes: u32) -> TimeDelta {
    match crashes.checked_sub(1) {
        None => TimeDelta::zero(),
        Some(doublings) => TimeDelta::seconds(1 << doublings.min(6)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_further_crash_waits_twice_as_long_up_to_a_minute() {
        let waits = [0, 1, 2, 3, 7, u32::MAX].map(|crashes| wait_after(crashes).num_seconds());
        assert_eq!(waits, [0, 1, 2, 4, 64, 64]);
    }
}
