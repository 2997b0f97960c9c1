//! Project-servers as plain child processes, for machines without Docker.
//!
//! There is no isolation here beyond a short environment and a process group of its own: whoever can make a
//! project run code can do what Firefly can. A child dies with its parent because its standard input ends then;
//! what has not ended by the next start is ended from the records in the run directory.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use firefly_domain::control::{Hello, Unsaved};
use firefly_domain::{ContainerId, Endpoint, ProjectId};
use futures::stream::{self, BoxStream, StreamExt};
use rustix::process::Signal;
use tokio::process::Command;
use tokio::sync::broadcast;

use super::directories::{Directories, Owner};
use super::last_words::LastWords;
use super::{
    ContainerRuntime, Exit, Observed, PrepareSpec, RuntimeEvent, Serves, Slot, StartSpec, Started,
    Status, handshake,
};

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
    /// Where children are recorded, so that a later start can end what this one left behind.
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

/// A child that has listened once, and the project it serves.
struct Entry {
    project: ProjectId,
    endpoint: Endpoint,
    /// Whether it was told to stand still.
    paused: bool,
    child: Child,
}

impl Entry {
    fn status(&self) -> Status {
        let endpoint = self.endpoint.clone();
        match self.child.exit() {
            Some(exit) => Status::Exited(exit),
            None if self.paused => Status::Paused { endpoint },
            None => Status::Running { endpoint },
        }
    }
}

#[derive(Clone, Default)]
struct Children(Arc<Mutex<BTreeMap<ContainerId, Entry>>>);

impl Children {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ContainerId, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProcessRuntime {
    /// Makes the run directory and ends what an earlier life of this instance left behind.
    pub async fn begin(config: Config) -> Result<Self, Error> {
        if config.command.is_empty() {
            return Err(Error::NoProgram);
        }
        record::end_leftovers(&config.run_directory).await?;
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

    /// Sees that no child of the project runs. One that has ended is forgotten.
    fn make_way(&self, project: ProjectId) -> Result<(), super::Error> {
        let mut children = self.children.lock();
        let found = children
            .iter()
            .find(|(_, entry)| entry.project == project)
            .map(|(id, entry)| (id.clone(), entry.child.exit().is_none()));
        match found {
            None => Ok(()),
            Some((container, true)) => Err(super::Error::Occupied { project, container }),
            Some((id, false)) => {
                children.remove(&id);
                Ok(())
            }
        }
    }

    /// Sends a signal to a child with all that it started, and notes whether it stands still from here on.
    async fn signal(&self, id: &ContainerId, signal: Signal, paused: bool) {
        let Some(signalled) = self.children.lock().get(id).map(|it| it.child.signal(signal)) else {
            return;
        };
        signalled.await;
        if let Some(entry) = self.children.lock().get_mut(id) {
            entry.paused = paused;
        }
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

    async fn list(&self) -> Result<Vec<Observed>, super::Error> {
        let observe = |(id, entry): (&ContainerId, &Entry)| Observed {
            id: id.clone(),
            serves: Serves::Project(entry.project),
            status: entry.status(),
        };
        Ok(self.children.lock().iter().map(observe).collect())
    }

    async fn start(&self, spec: &StartSpec) -> Result<Started, super::Error> {
        self.make_way(spec.project)?;
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
                    serves: Serves::Project(spec.project),
                    deadline,
                    last_words: last_words.to_string(),
                });
            }
        };
        child::log_output(stdout, spec.project);
        let started = Started {
            id: child.id.clone(),
            endpoint: listening.endpoint,
            kept: false,
        };
        let entry = Entry {
            project: spec.project,
            endpoint: started.endpoint.clone(),
            paused: false,
            child,
        };
        self.children.lock().insert(started.id.clone(), entry);
        Ok(started)
    }

    /// A process starts so fast that none need be started ahead.
    async fn prepare(&self, _: &PrepareSpec) -> Result<Started, super::Error> {
        Err(Error::NoPool.into())
    }

    async fn claim(
        &self,
        _: &ContainerId,
        _: Slot,
        _: &StartSpec,
    ) -> Result<Option<Started>, super::Error> {
        Err(Error::NoPool.into())
    }

    async fn pause(&self, id: &ContainerId) -> Result<(), super::Error> {
        self.signal(id, Signal::STOP, true).await;
        Ok(())
    }

    async fn unpause(&self, id: &ContainerId) -> Result<(), super::Error> {
        self.signal(id, Signal::CONT, false).await;
        Ok(())
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
        serves: Serves::Project(project),
        exit: child.exit().unwrap_or(unknown),
        last_words: last_words.to_string(),
    })
}
