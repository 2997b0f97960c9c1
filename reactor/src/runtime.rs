//! What runs project-servers: Docker containers, or plain child processes where there is no Docker.
//!
//! The reactor sees only [`ContainerRuntime`]. Both kinds obey one suite of tests, so that a rule proved on one
//! holds on the other. Suggested reading order: this file, `handshake`, [`process`], [`docker`], [`choice`].

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use firefly_domain::control::Unsaved;
use firefly_domain::failure::FailureCode;
use firefly_domain::{ContainerId, Endpoint, Generation, ProjectId, ProjectKey};
use futures::stream::BoxStream;

use crate::lease::{Fence, NotLeading};

mod handshake;
mod last_words;

pub mod choice;
pub mod directories;
pub mod docker;
pub mod environment;
pub mod process;

#[cfg(test)]
mod contract;

pub use choice::{Preference, choose};
pub use directories::Directories;

/// How long a project-server may take from its start to its first line; a cold disk needs a few seconds of it.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// How long an inspection of a workspace may take; `node_modules` can hold 100,000 files.
const INSPECTION_DEADLINE: Duration = Duration::from_secs(60);

/// Bytes that are read of an inspection's answer; the real one has about 30.
const INSPECTION_LENGTH_MAX: u64 = 64 * 1024;

/// Takes a sentence on what is being done now, for a person who waits.
pub type Progress<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// What runs project-servers.
///
/// Every operation is idempotent, and a time-out means "unknown": list again. Calls about the same project
/// must not overlap; calls about different projects may.
#[async_trait]
pub trait ContainerRuntime: Send + Sync + 'static {
    /// `docker` or `process`.
    fn kind(&self) -> &'static str;

    /// What containers are made of, as history records it: an image's name and id, or `local process`.
    fn image(&self) -> String;

    /// Whether containers go on when this process ends, and are then those of whichever process of the instance acts next.
    fn is_shared(&self) -> bool {
        true
    }

    /// Ends and removes what a process of this instance that acted before has left behind, and that no list shows. It is
    /// called when this process begins to act, before anything else.
    ///
    /// # Errors
    ///
    /// Something is left; the runtime may not be there.
    async fn take_over(&self, fence: &dyn Fence) -> Result<(), Error>;

    /// All containers of this instance, running or not. Nothing else on the host is seen or touched.
    async fn list(&self) -> Result<Vec<Observed>, Error>;

    /// Starts a project-server and returns once it accepts connections.
    ///
    /// A running container of the same project and generation is adopted, on the understanding that the same
    /// control key was handed over to it; one that does not run is removed and made anew. While a container of another
    /// generation is there, this is refused: no two ever work on one workspace, whoever asks for them. When this fails,
    /// nothing is left running.
    async fn start(&self, spec: &StartSpec) -> Result<Started, Error>;

    /// Asks a container to end, and ends it by force after `grace`. One that is gone already is fine.
    async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<(), Error>;

    /// Removes a container, by force if it still runs. The workspace stays.
    async fn remove(&self, id: &ContainerId) -> Result<(), Error>;

    /// The unsaved work in a workspace that no container uses; `None` if there is no workspace.
    async fn inspect_workspace(&self, project: ProjectId) -> Result<Option<Unsaved>, Error>;

    /// Deletes a workspace for ever. One that is gone already is fine.
    async fn remove_workspace(&self, project: ProjectId) -> Result<(), Error>;

    /// A nudge for each change. It begins with [`RuntimeEvent::Resynchronise`] and never ends.
    fn events(&self) -> BoxStream<'static, RuntimeEvent>;

    /// Gives back what is held beside containers, for the end of Firefly's life. Containers that run keep what they
    /// need, and a later [`start`](Self::start) makes it anew.
    async fn close(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// What a new container is for.
#[derive(Clone)]
pub struct StartSpec {
    /// The project; it names the workspace.
    pub project: ProjectId,
    /// The project's names.
    pub key: ProjectKey,
    /// The opening.
    pub generation: Generation,
    /// The bearer token that every control request will carry; the same one for the same generation.
    pub control_key: String,
    /// A repository on this host to clone from.
    pub local_source: Option<PathBuf>,
    /// Asked before each effect that a start has.
    pub fence: Arc<dyn Fence>,
}

impl fmt::Debug for StartSpec {
    /// Leaves the control key out, since what is debugged is logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartSpec")
            .field("project", &self.project)
            .field("key", &self.key)
            .field("generation", &self.generation)
            .field("local_source", &self.local_source)
            .finish_non_exhaustive()
    }
}

/// A container that accepts connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The runtime's name for it.
    pub id: ContainerId,
    /// Where its project-server answers.
    pub endpoint: Endpoint,
}

/// A container as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The runtime's name for it.
    pub id: ContainerId,
    /// The project it was made for.
    pub project: ProjectId,
    /// The opening it was made for.
    pub generation: Generation,
    /// What it does.
    pub status: Status,
}

/// What a container does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It runs. Whether its project-server answers is another question.
    Running {
        /// Where its project-server answers.
        endpoint: Endpoint,
    },
    /// It was made and has not run yet.
    Created,
    /// It has ended.
    Exited(Exit),
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The program's exit code, 128 + the signal's number for one ended by a signal; `None` if nobody knows.
    pub exit_code: Option<i64>,
    /// Whether something in it was killed for want of memory.
    pub oom: bool,
    /// When, if known.
    pub finished_at: Option<DateTime<Utc>>,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.oom, self.exit_code) {
            (true, _) => f.write_str("for want of memory"),
            (false, Some(code)) => write!(f, "with exit code {code}"),
            (false, None) => f.write_str("with an unknown exit code"),
        }
    }
}

/// A nudge. It says that looking again is worth while, not what to believe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuntimeEvent {
    /// A container ended or is gone.
    Exited {
        /// The runtime's name for it.
        id: ContainerId,
    },
    /// Nudges may have been missed: list again.
    Resynchronise,
}

/// Why a runtime did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Docker engine.
    #[error(transparent)]
    Docker(#[from] docker::Error),
    /// A child process.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// A directory on this host.
    #[error(transparent)]
    Directory(#[from] directories::Error),
    /// The project has a container of another opening.
    #[error(
        "project {project} still has container {container}; it must be removed before another one starts"
    )]
    Occupied {
        /// The project.
        project: ProjectId,
        /// What it has.
        container: ContainerId,
    },
    /// The program ended instead of listening.
    #[error(
        "the project-server of project {project} ended {exit} before it listened; its last words: {last_words}"
    )]
    Died {
        /// The project.
        project: ProjectId,
        /// How it ended.
        exit: Exit,
        /// The end of what it printed.
        last_words: String,
    },
    /// The program neither listened nor ended.
    #[error(
        "the project-server of project {project} did not listen within {} seconds and was ended; its last words: {last_words}",
        .deadline.as_secs()
    )]
    NoAnswer {
        /// The project.
        project: ProjectId,
        /// How long it had.
        deadline: Duration,
        /// The end of what it printed.
        last_words: String,
    },
    /// Another process took over in the middle of it.
    #[error("another process acts now")]
    NotLeading(#[from] NotLeading),
    /// The workspace's unsaved work is not known.
    #[error(
        "the workspace of project {project} could not be inspected: the tool ended {exit}; its last words: {last_words}"
    )]
    Inspection {
        /// The project.
        project: ProjectId,
        /// How the tool ended.
        exit: Exit,
        /// The end of what it printed.
        last_words: String,
    },
}

impl Error {
    /// The code that an opening that failed for this reason is recorded with.
    pub const fn code(&self) -> FailureCode {
        match self {
            Self::Docker(_) | Self::Process(_) | Self::Occupied { .. } | Self::NotLeading(_) => {
                FailureCode::EngineFailed
            }
            Self::Directory(directories::Error::Unreadable { .. }) => FailureCode::AccessDenied,
            Self::Directory(_) | Self::Inspection { .. } => FailureCode::WorkspaceFailed,
            Self::Died { .. } | Self::NoAnswer { .. } => FailureCode::NoAnswer,
        }
    }

    /// This error and what caused it, in one line for a person.
    pub fn with_causes(&self) -> String {
        let mut line = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            line.push_str(": ");
            line.push_str(&error.to_string());
            cause = error.source();
        }
        line
    }
}
