//! What must be true of a log, and of the world once nothing fails any more. It knows the rules by itself, not from
//! `decide` or `evolve`, so that a mistake in those is not repeated here.

use std::collections::BTreeMap;
use std::sync::Arc;

use firefly_domain::project::{CloseReason, Event};
use firefly_domain::{Aggregate, ContainerId, Generation, Project, ProjectId};
use firefly_event_store::{RecordedEvent, Wire};

use super::log::Log;
use super::world::{Container, Doing, World};
use super::{POOL, keys};
use crate::runtime::Serves;

/// Where a project stands, as its events say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Nothing,
    Wanted,
    Started,
    Filled,
    Installed,
    Ready,
    Asleep,
    Waking,
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
        let state = self.world.state();
        let pooled = |it: &&Container| matches!(it.serves, Serves::Pool(_)) && !it.foreign;
        let pooled: Vec<&Container> = state.containers.values().filter(pooled).collect();
        let full = pooled.len() == POOL && pooled.iter().all(|it| it.doing == Doing::Running);
        let broken = (!full).then(|| format!("the pool is not as it should be: {pooled:?}"));
        drop(state);
        if let Some(broken) = broken {
            self.world.state().broken(broken);
        }
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
        let unwanted = |container: &Container| {
            let Serves::Project(project) = container.serves else {
                return !container.doing.is_alive();
            };
            match self.projects.get(&project).map(|told| told.at) {
                // What has ended is kept for the next opening.
                Some(At::Closed) => container.doing.is_alive(),
                Some(At::Failed | At::Deleted) => true,
                _ => false,
            }
        };
        let state = self.world.state();
        let ours = state.containers.iter().filter(|(_, it)| !it.foreign);
        ours.filter(|(_, it)| unwanted(it))
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
        .filter(|it| it.is_of(id))
        .collect();
    let key = keys().key(id, told.generation);
    let is = |it: &Container, doing| it.doing == doing && it.key.as_ref() == Some(&key);
    match told.at {
        At::Ready => match ours[..] {
            [only] if is(only, Doing::Running) => Ok(()),
            _ => Err(format!("it is ready, and there are {ours:?}")),
        },
        At::Asleep => match ours[..] {
            [only] if is(only, Doing::Paused) => Ok(()),
            _ => Err(format!("it is asleep, and there are {ours:?}")),
        },
        At::Failed | At::Closed | At::Deleted if ours.is_empty() => Ok(()),
        At::Closed if matches!(ours[..], [kept] if !kept.doing.is_alive()) => Ok(()),
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
            At::Wanted
                | At::Started
                | At::Filled
                | At::Installed
                | At::Ready
                | At::Asleep
                | At::Waking
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
            Event::Ready(_) => (matches!(from, At::Installed | At::Waking), At::Ready),
            Event::Paused(_) => (from == At::Ready, At::Asleep),
            Event::Woken(_) => (from == At::Asleep, At::Waking),
            Event::OpenFailed(_) => {
                let settled = matches!(from, At::Ready | At::Asleep | At::Waking);
                (open && !settled, At::FailedHolding)
            }
            Event::ContainerExited(_) => (runs, At::Exited),
            Event::Closed(closed) => {
                let to = match (closed.reason, from) {
                    (CloseReason::Deleted, _) => At::Deleting,
                    (_, At::Failed) => At::Closed,
                    _ => At::Closing,
                };
                let may = match closed.reason {
                    CloseReason::Crashed => from == At::Exited,
                    CloseReason::Idle => matches!(from, At::Ready | At::Asleep | At::Exited),
                    CloseReason::MemoryWanted => from == At::Asleep,
                    CloseReason::User => open || matches!(from, At::Failed | At::FailedHolding),
                    CloseReason::Deleted => !matches!(from, At::Nothing | At::Deleted | At::Exited),
                };
                (may, to)
            }
            Event::ContainerStopped(_) => (from == At::Closing, At::Closed),
            Event::ContainerRemoved(_) => match from {
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
