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
use firefly_domain::{ContainerId, Endpoint, ProjectId, ProjectKey};
use futures::stream::BoxStream;
use uuid::Uuid;

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

    /// All containers of this instance, running or not. Nothing else on the host is seen or touched.
    async fn list(&self) -> Result<Vec<Observed>, Error>;

    /// Starts a project-server and returns once it accepts connections.
    ///
    /// A container of the project that does not run is started again, or made anew if it is not as one would be made
    /// today. While one runs, this is refused: no two ever work on one workspace, whoever asks for them. When this
    /// fails, nothing is left running.
    async fn start(&self, spec: &StartSpec) -> Result<Started, Error>;

    /// Whether containers can be started ahead.
    fn has_pool(&self) -> bool {
        false
    }

    /// Starts a container ahead, which knows nothing of any project, and returns once it accepts connections.
    async fn prepare(&self, spec: &PrepareSpec) -> Result<Started, Error>;

    /// Makes a container that was started ahead a project's own, with its workspace. The key of its control port is still
    /// the one that it was prepared with.
    ///
    /// `None` says that the project has files already, which such a container cannot be given; it is removed then. While
    /// the project has another container, this is refused.
    async fn claim(
        &self,
        container: &ContainerId,
        slot: Slot,
        spec: &StartSpec,
    ) -> Result<Option<Started>, Error>;

    /// Lets a container's programs stand still, with all that they have in memory. One that does so already is fine.
    async fn pause(&self, id: &ContainerId) -> Result<(), Error>;

    /// Lets them go on. One that runs already is fine.
    async fn unpause(&self, id: &ContainerId) -> Result<(), Error>;

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
}

/// What a new container is for.
#[derive(Clone)]
pub struct StartSpec {
    /// The project; it names the workspace.
    pub project: ProjectId,
    /// The project's names.
    pub key: ProjectKey,
    /// The bearer token that every control request will carry.
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
            .field("local_source", &self.local_source)
            .finish_non_exhaustive()
    }
}

/// A place in the pool of containers that are started ahead. Its container takes the project's name when it is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(Uuid);

impl Slot {
    /// Names a place.
    pub const fn from_uuid(id: Uuid) -> Self {
        Self(id)
    }

    /// The name.
    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a container that is started ahead is told: a key, and nothing else.
#[derive(Clone)]
pub struct PrepareSpec {
    /// Its place.
    pub slot: Slot,
    /// The bearer token that every control request will carry until it is claimed.
    pub control_key: String,
    /// Asked before each effect that it has.
    pub fence: Arc<dyn Fence>,
}

/// A container that accepts connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The runtime's name for it.
    pub id: ContainerId,
    /// Where its project-server answers.
    pub endpoint: Endpoint,
    /// Whether it had been there already, and did not run.
    pub kept: bool,
}

/// Whom a container works for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Serves {
    /// A project.
    Project(ProjectId),
    /// Nobody yet.
    Pool(Slot),
}

impl fmt::Display for Serves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Project(project) => write!(f, "project {project}"),
            Self::Pool(slot) => write!(f, "place {slot} of the pool"),
        }
    }
}

/// A container as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The runtime's name for it.
    pub id: ContainerId,
    /// Whom it works for. For which opening of a project, only history and its project-server know.
    pub serves: Serves,
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
    /// Its programs stand still.
    Paused {
        /// Where its project-server answers when it goes on.
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

impl Status {
    /// Whether its programs are there, be it that they stand still.
    pub const fn is_alive(&self) -> bool {
        matches!(self, Self::Running { .. } | Self::Paused { .. })
    }
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
    /// The project has a container already.
    #[error(
        "project {project} still has container {container}; it must end before another one starts"
    )]
    Occupied {
        /// The project.
        project: ProjectId,
        /// What it has.
        container: ContainerId,
    },
    /// The program ended instead of listening.
    #[error(
        "the project-server of {serves} ended {exit} before it listened; its last words: {last_words}"
    )]
    Died {
        /// Whom it was to work for.
        serves: Serves,
        /// How it ended.
        exit: Exit,
        /// The end of what it printed.
        last_words: String,
    },
    /// The program neither listened nor ended.
    #[error(
        "the project-server of {serves} did not listen within {} seconds and was ended; its last words: {last_words}",
        .deadline.as_secs()
    )]
    NoAnswer {
        /// Whom it was to work for.
        serves: Serves,
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
