//! The program beside one project's files: it fetches them, installs packages, serves the preview and watches for work
//! that is not saved yet.
//!
//! It starts knowing nothing. The reactor gives it a key on standard input, then one assignment over HTTP (see
//! [`firefly_domain::control`]); the gateway reads the workspace below `/static/`. What is heavy or may hang runs in a
//! short-lived child ([`tool()`]), so that the long-lived process stays small, and an idle one sleeps.
//!
//! Suggested reading order: `server` puts everything together, `control` is the reactor's door, `opening` runs the
//! steps, `files` and `preview` serve the pages, `watch` and `unsaved` follow what people change, and `egress` leads
//! out of a container without a network.

mod child;
mod control;
mod egress;
mod files;
mod listen;
mod opening;
mod preview;
mod reports;
mod server;
mod tool;
mod unsaved;
mod watch;

use std::ffi::OsString;
use std::path::PathBuf;

pub use egress::Egress;
pub use listen::{InvalidListen, Listen};
pub use server::{Error, run};
pub use tool::{InspectError, inspect, tool};

/// How a project-server is set up. What it works on comes later, over HTTP.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens; a port that the system chose is printed.
    pub listen: Listen,
    /// The directory of the project's files. It must exist.
    pub workspace: PathBuf,
    /// Where the repository can be read that an assignment names by its path on the host, if not at that path.
    pub local_source: Option<PathBuf>,
    /// npm's cache, shared between projects where that is wanted; npm's default otherwise.
    pub npm_cache: Option<PathBuf>,
    /// The way out, for a project without a network.
    pub egress: Option<Egress>,
    /// Ends the program when standard input closes, so that it never outlives the one who started it.
    pub exit_on_stdin_eof: bool,
    /// How to run [`tool()`] in a process of its own.
    pub self_exe: SelfExe,
}

/// A command line that leads to [`tool()`]; the tool's own arguments are added behind it.
#[derive(Clone, Debug)]
pub struct SelfExe {
    /// The program.
    pub program: PathBuf,
    /// The arguments in front of the tool's own, such as the name of a subcommand.
    pub args: Vec<OsString>,
}
