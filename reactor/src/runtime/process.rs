//! Project-servers as plain child processes, for machines without Docker.
//!
//! There is no isolation here beyond a short environment and a process group of its own: whoever can make a
//! project run code can do what Firefly can. A child dies with its parent because its standard input ends then;
//! what has not ended by the time somebody acts anew is ended from the records in the run directory.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use firefly_domain::control::{Hello, Unsaved};
use firefly_domain::{ContainerId, Endpoint, Generation, ProjectId};
use futures::stream::{self, BoxStream, StreamExt};
use tokio::process::Command;
use tokio::sync::broadcast;

use super::directories::{Directories, Owner};
use super::last_words::LastWords;
use super::{
    ContainerRuntime, Exit, Observed, RuntimeEvent, StartSpec, Started, Status, handshake,
};
use crate::lease::Fence;

mod child;
mod error;
mod inspect;
mod record;

pub use error::Error;
pub(super) use record::end_leftovers;

use child::{Child, Spawned};

/// Nudges that may wait for a slow listener; beyond them it is told to list again.
const EVENTS_MAX: usize = 256;

/// How long a program that did not listen may take to end once asked.
const GIVE_UP_GRACE: Duration = Duration::from_secs(1);

/// What child processes are made of.
#[derive(Clone, Debug)]
pub struct Config {
    /// The program and its first arguments; it acts as a project-server.
    pub command: Vec<OsString>,
    /// Workspaces and npm caches.
    pub directories: Directories,
    /// Where children are recorded, so that whoever acts later can end what this process left behind.
    pub run_directory: PathBuf,
    /// The whole environment of children; see [`environment::of_processes`](super::environment::of_processes).
    pub environment: Vec<(String, OsString)>,
    /// How long a child may take to listen; [`ANSWER_DEADLINE`](super::ANSWER_DEADLINE) unless there is a reason.
    pub answer_deadline: Duration,
}

/// Runs project-servers as child processes.
pub struct ProcessRuntime {
    config: Config,
    children: Children,
    events: broadcast::Sender<RuntimeEvent>,
}

/// A child that has listened once, and the opening it serves.
struct Entry {
    project: ProjectId,
    generation: Generation,
    endpoint: Endpoint,
    child: Child,
}

#[derive(Clone, Default)]
struct Children(Arc<Mutex<BTreeMap<ContainerId, Entry>>>);

impl Children {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ContainerId, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProcessRuntime {
    /// Gets ready; nothing runs yet, and nothing can before this process has taken over.
    ///
    /// # Errors
    ///
    /// There is no program to run.
    pub fn new(config: Config) -> Result<Self, Error> {
        if config.command.is_empty() {
            return Err(Error::NoProgram);
        }
        Ok(Self {
            config,
            children: Children::default(),
            events: broadcast::Sender::new(EVENTS_MAX),
        })
    }

    /// The program with its first arguments and the allowed environment, in a process group of its own so that
    /// Ctrl-C in a terminal reaches Firefly alone.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.config.command[0]);
        command
            .args(&self.config.command[1..])
            .env_clear()
            .envs(
                self.config
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// A running child of this opening. One that has ended is forgotten.
    fn adopt(&self, spec: &StartSpec) -> Result<Option<Started>, super::Error> {
        let mut children = self.children.lock();
        let found = children
            .iter()
            .find(|(_, entry)| entry.project == spec.project)
            .map(|(id, entry)| (id.clone(), entry.generation, entry.child.exit().is_none()));
        let Some((id, generation, running)) = found else {
            return Ok(None);
        };
        if generation != spec.generation {
            return Err(super::Error::Occupied {
                project: spec.project,
                container: id,
            });
        }
        if running {
            let endpoint = children[&id].endpoint.clone();
            return Ok(Some(Started { id, endpoint }));
        }
        children.remove(&id);
        Ok(None)
    }

    async fn spawn(&self, spec: &StartSpec) -> Result<Spawned, super::Error> {
        let owner = Owner::this_process();
        let directories = &self.config.directories;
        let workspace = directories.make_workspace(spec.project, owner).await?;
        let npm_cache = directories.make_npm_cache(&spec.key.user, owner).await?;
        let mut command = self.command();
        command
            .args(["--listen", "127.0.0.1:0", "--workspace"])
            .arg(workspace)
            .arg("--npm-cache")
            .arg(npm_cache)
            .arg("--exit-on-stdin-eof")
            .stdin(Stdio::piped());
        let spawned = child::spawn(
            command,
            &self.config.run_directory,
            self.events.clone(),
            spec.project,
        )?;
        Ok(spawned)
    }
}

#[async_trait]
impl ContainerRuntime for ProcessRuntime {
    fn kind(&self) -> &'static str {
        "process"
    }

    fn image(&self) -> String {
        "local process".to_owned()
    }

    fn is_shared(&self) -> bool {
        false
    }

    /// Ends the children of every other process, also of one that lives: it does not act any more, and would only hold on
    /// to their workspaces.
    async fn take_over(&self, fence: &dyn Fence) -> Result<(), super::Error> {
        let ours: HashSet<ContainerId> = self.children.lock().keys().cloned().collect();
        let left = record::others(&self.config.run_directory, ours).await?;
        fence.check().await?;
        Ok(left.end().await?)
    }

    async fn list(&self) -> Result<Vec<Observed>, super::Error> {
        let observe = |(id, entry): (&ContainerId, &Entry)| Observed {
            id: id.clone(),
            project: entry.project,
            generation: entry.generation,
            status: entry.child.exit().map_or_else(
                || Status::Running {
                    endpoint: entry.endpoint.clone(),
                },
                Status::Exited,
            ),
        };
        Ok(self.children.lock().iter().map(observe).collect())
    }

    async fn start(&self, spec: &StartSpec) -> Result<Started, super::Error> {
        if let Some(started) = self.adopt(spec)? {
            return Ok(started);
        }
        spec.fence.check().await?;
        let Spawned {
            mut child,
            mut stdout,
            last_words,
        } = self.spawn(spec).await?;
        let hello = Hello {
            control_key: spec.control_key.clone(),
        };
        let deadline = self.config.answer_deadline;
        let answer = tokio::time::timeout(
            deadline,
            handshake::hand_over(&mut child.stdin, &mut stdout, &hello, &last_words),
        )
        .await;
        let listening = match answer {
            Ok(Some(listening)) => listening,
            Ok(None) => return Err(died(child, spec.project, last_words).await?),
            Err(_) => {
                child.stop(GIVE_UP_GRACE).await?;
                return Err(super::Error::NoAnswer {
                    project: spec.project,
                    deadline,
                    last_words: last_words.to_string(),
                });
            }
        };
        child::log_output(stdout, spec.project);
        let started = Started {
            id: child.id.clone(),
            endpoint: Endpoint::new(format!("127.0.0.1:{}", listening.port)),
        };
        let entry = Entry {
            project: spec.project,
            generation: spec.generation,
            endpoint: started.endpoint.clone(),
            child,
        };
        self.children.lock().insert(started.id.clone(), entry);
        Ok(started)
    }

    async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<(), super::Error> {
        let stopping = self.children.lock().get(id).map(|it| it.child.stop(grace));
        match stopping {
            Some(stopping) => Ok(stopping.await?),
            None => Ok(()),
        }
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), super::Error> {
        self.stop(id, Duration::ZERO).await?;
        self.children.lock().remove(id);
        Ok(())
    }

    async fn inspect_workspace(&self, project: ProjectId) -> Result<Option<Unsaved>, super::Error> {
        match self
            .config
            .directories
            .filled_workspace(project, Owner::this_process())
            .await?
        {
            Some(workspace) => inspect::inspect(self.command(), &workspace, project)
                .await
                .map(Some),
            None => Ok(None),
        }
    }

    async fn remove_workspace(&self, project: ProjectId) -> Result<(), super::Error> {
        Ok(self.config.directories.remove_workspace(project).await?)
    }

    fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        // The sender travels along, so that the stream outlives the runtime as the trait promises.
        let state = (self.events.subscribe(), self.events.clone());
        let changes = stream::unfold(state, |(mut receiver, sender)| async move {
            let event = match receiver.recv().await {
                Ok(event) => event,
                Err(_) => RuntimeEvent::Resynchronise,
            };
            Some((event, (receiver, sender)))
        });
        stream::once(async { RuntimeEvent::Resynchronise })
            .chain(changes)
            .boxed()
    }
}

/// The error for a child whose output ended before it listened.
async fn died(
    child: Child,
    project: ProjectId,
    last_words: LastWords,
) -> Result<super::Error, Error> {
    child.stop(GIVE_UP_GRACE).await?;
    child.output_ended().await;
    let unknown = Exit {
        exit_code: None,
        oom: false,
        finished_at: None,
    };
    Ok(super::Error::Died {
        project,
        exit: child.exit().unwrap_or(unknown),
        last_words: last_words.to_string(),
    })
}
