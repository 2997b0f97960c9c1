//! What can go wrong with child processes as such.

use std::io;
use std::path::PathBuf;

use firefly_domain::ContainerId;
use tokio::process::Command;

/// A child process could not be handled.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No program is configured.
    #[error("no program is configured to act as a project-server; name one")]
    NoProgram,
    /// The program did not start.
    #[error("could not start {}; check that it is there and executable", .program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The run directory cannot be used.
    #[error("could not use the run directory {}; look at its permissions", .path.display())]
    RunDirectory {
        /// The directory, or a file in it.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Processes are not started ahead.
    #[error("processes are not started ahead; set the pool's size to 0")]
    NoPool,
    /// A child did not end, even by force.
    #[error("process {id} did not end when it was killed; the system may be waiting for its disk")]
    Unkillable {
        /// The process.
        id: ContainerId,
    },
}

impl Error {
    /// The error of a command that did not become a process.
    pub(super) fn spawn(command: &Command) -> impl FnOnce(io::Error) -> Self {
        let program = command.as_std().get_program().into();
        move |source| Self::Spawn { program, source }
    }
}
