//! What must be true of a log, and of the world once nothing fails any more. It knows the rules by itself, not from
//! `decide` or `evolve`, so that a mistake in those is not repeated here.

use std::collections::BTreeMap;
use std::sync::Arc;

use firefly_domain::project::{CloseReason, Event};
use firefly_domain::{Aggregate, ContainerId, Generation, Project, ProjectId};
use firefly_event_store::{RecordedEvent, Wire};

use super::log::Log;
use super::world::{Container, Doing, World};

/// Where a project stands, as its events say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Nothing,
    Wanted,
    Started,
    Filled,
    Installed,
    Ready,
    /// Its container ended, and the next event says what comes of it.
    Exited,
    FailedHolding,
    Failed,
    Closing,
    Closed,
    Deleting,
    Deleted,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    at: At,
    generation: Generation,
    filled: bool,
}

/// Reads along.
pub struct Auditor {
    world: Arc<World>,
    log: Log,
    projects: BTreeMap<ProjectId, Told>,
    read: usize,
}

impl Auditor {
    pub fn new(world: &Arc<World>, log: &Log) -> Self {
        Self {
            world: Arc::clone(world),
            log: log.clone(),
            projects: BTreeMap::new(),
            read: 0,
        }
    }

    /// Checks that the world is as the log says, once nothing changes any more.
    pub fn end(&mut self) {
        self.read();
        for (id, told) in &self.projects {
            if let Err(why) = settled(&self.world, *id, *told) {
                let mut state = self.world.state();
                state.broken(format_args!("project {id} has not settled: {why}"));
            }
        }
    }

    /// Containers that no project wants, as the log has it now.
    pub fn strays(&mut self) -> Vec<ContainerId> {
        self.read();
        let unwanted = |project: &ProjectId| {
            self.projects
                .get(project)
                .is_some_and(|told| matches!(told.at, At::Failed | At::Closed | At::Deleted))
        };
        let state = self.world.state();
        let ours = state.containers.iter().filter(|(_, it)| !it.foreign);
        ours.filter(|(_, it)| unwanted(&it.project))
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Reads on in the log, in which nothing impossible must be.
    fn read(&mut self) {
        for recorded in self.log.events_from(self.read) {
            self.read += 1;
            if recorded.stream.category() != Project::CATEGORY {
                continue;
            }
            let id = ProjectId::from_uuid(recorded.stream.uuid().unwrap());
            let told = self.projects.entry(id).or_insert(Told {
                at: At::Nothing,
                generation: Generation::NONE,
                filled: false,
            });
            if let Err(why) = told.take(&recorded) {
                let mut state = self.world.state();
                state.broken(format_args!(
                    "impossible in the log at {}: {why}",
                    recorded.position
                ));
            }
        }
    }
}

/// Whether a project stands still, with the containers that it should have.
fn settled(world: &World, id: ProjectId, told: Told) -> Result<(), String> {
    let state = world.state();
    let ours: Vec<&Container> = state
        .containers
        .values()
        .filter(|it| it.project == id && !it.foreign)
        .collect();
    match told.at {
        At::Ready => match ours[..] {
            [only] if only.doing == Doing::Running && only.generation == told.generation => Ok(()),
            _ => Err(format!("it is ready, and there are {ours:?}")),
        },
        At::Failed | At::Closed | At::Deleted if ours.is_empty() => Ok(()),
        At::Failed | At::Closed | At::Deleted => {
            Err(format!("it is {:?}, and there are {ours:?}", told.at))
        }
        at => Err(format!("it is {at:?} for ever")),
    }
}

impl Told {
    fn take(&mut self, recorded: &RecordedEvent) -> Result<(), String> {
        let event = Project::decode(recorded).map_err(|error| error.to_string())?;
        let from = self.at;
        let open = matches!(
            from,
            At::Wanted | At::Started | At::Filled | At::Installed | At::Ready
        );
        let runs = open && from != At::Wanted;
        let (allowed, to) = match &event {
            Event::Opened(opened) => {
                let next = opened.generation == self.generation.next();
                self.generation = opened.generation;
                let may = !matches!(from, At::Closing | At::Deleting);
                (next && may, At::Wanted)
            }
            Event::ContainerStarted(_) => (from == At::Wanted, At::Started),
            Event::RepositoryCloned(_) | Event::TemplateApplied(_) | Event::WorkspaceResumed(_) => {
                // A deletion that seemed to fail may have emptied the workspace all the same.
                let late = from == At::Closing && !self.filled;
                self.filled = true;
                let to = if late { At::Closing } else { At::Filled };
                (late || from == At::Started, to)
            }
            Event::DependenciesInstalled(_) => (from == At::Filled, At::Installed),
            Event::Ready(_) => (from == At::Installed, At::Ready),
            Event::OpenFailed(_) => (open && from != At::Ready, At::FailedHolding),
            Event::ContainerExited(_) => (runs, At::Exited),
            Event::Closed(closed) => {
                let to = match (closed.reason, from) {
                    (CloseReason::Deleted, _) => At::Deleting,
                    (_, At::Failed) => At::Closed,
                    _ => At::Closing,
                };
                let may = match closed.reason {
                    CloseReason::Crashed => from == At::Exited,
                    CloseReason::User => open || matches!(from, At::Failed | At::FailedHolding),
                    CloseReason::Deleted => !matches!(from, At::Nothing | At::Deleted | At::Exited),
                };
                (may, to)
            }
            Event::ContainerRemoved(_) => match from {
                At::Closing => (true, At::Closed),
                At::FailedHolding => (true, At::Failed),
                _ => (false, from),
            },
            Event::UnsavedWorkChanged(_) => (from != At::Nothing, from),
            Event::WorkspaceKept(_) => (from == At::Deleting, At::Closed),
            Event::WorkspaceDeleted(_) => {
                self.filled = false;
                (from == At::Deleting, At::Deleted)
            }
        };
        self.at = to;
        if allowed {
            Ok(())
        } else {
            Err(format!(
                "{event:?} while it is {from:?} in generation {}",
                self.generation
            ))
        }
    }
}
