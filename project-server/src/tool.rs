//! The short-lived child of the project-server: everything that is heavy, blocking or may hang.
//!
//! The server runs its own program again for each of these jobs. What gix needs in memory goes back to the system
//! with the process, and a remote that falls silent is ended by killing the process group at a deadline. A child
//! reads one JSON line on standard input (its request), writes [`protocol::Line`]s on standard output, and ends its
//! whole process group when standard input closes: so npm dies with a server that was killed.

mod clone;
mod inspect;
mod install;
mod origin;
mod progress;
pub(crate) mod protocol;
mod remote;
mod removal;
mod repository;
mod source;
mod staging;
mod template;
mod way_out;

use std::ffi::OsString;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use firefly_domain::{Failure, FailureCode, Step};
use rustix::process::{Signal, getpgrp, getpid, kill_process_group};
use serde::de::DeserializeOwned;

pub use inspect::{InspectError, inspect};
use protocol::{Outcome, SourceRequest};

/// The exit code of a wrong command line, as in sysexits(3).
const EXIT_USAGE: u8 = 64;

/// A request holds a URL and a branch; more than this is no request of ours.
const REQUEST_BYTES_MAX: u64 = 64 * 1024;

/// Runs one job and says by its exit code whether the job could be tried at all; a failed clone is an outcome, not an error.
///
/// The arguments are `source <workspace>`, `install <workspace>` or `inspect <workspace>`, without the program's name.
pub fn tool(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let [job, workspace] = args.as_slice() else {
        return usage();
    };
    let workspace = PathBuf::from(workspace);
    match job.to_str() {
        Some("source") => run_step(Step::Source, |request: SourceRequest| {
            source::run(&workspace, &request)
        }),
        Some("install") => run_step(Step::Install, |()| install::run(&workspace)),
        Some("inspect") => print_unsaved(&workspace),
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: source|install|inspect <workspace>");
    ExitCode::from(EXIT_USAGE)
}

/// Reads the request, ties this process to its parent and prints what the job came to.
fn run_step<R: DeserializeOwned>(
    step: Step,
    job: impl FnOnce(R) -> Result<Outcome, Failure>,
) -> ExitCode {
    let mut line = String::new();
    let read = std::io::stdin()
        .lock()
        .take(REQUEST_BYTES_MAX)
        .read_line(&mut line);
    let request = match read.map(|_| serde_json::from_str::<R>(&line)) {
        Ok(Ok(request)) => request,
        Ok(Err(error)) => {
            eprintln!("the request is not what {step} expects: {error}");
            return ExitCode::from(EXIT_USAGE);
        }
        Err(error) => {
            eprintln!("no request can be read for {step}: {error}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    std::thread::spawn(end_with_parent);
    let outcome = job(request).unwrap_or_else(Outcome::Failed);
    match protocol::print(&protocol::Line::Outcome(outcome)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Waits until the parent is gone, then ends this process and what it started.
fn end_with_parent() {
    let mut rest = std::io::sink();
    // Any end of the pipe means the same, an error too.
    let _ = std::io::copy(&mut std::io::stdin().lock(), &mut rest);
    if getpgrp() == getpid() {
        let _ = kill_process_group(getpid(), Signal::KILL);
    }
    std::process::exit(1);
}

fn print_unsaved(workspace: &Path) -> ExitCode {
    match inspect(workspace) {
        Ok(unsaved) => match protocol::print(&unsaved) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => {
            eprintln!("{}", protocol::chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// A failure of the workspace's disk while something was done to `path`.
fn disk_failure(step: Step, action: &str, path: &Path, error: &std::io::Error) -> Failure {
    let hint = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            "; the disk is full, make room and open the project again"
        }
        _ => "",
    };
    Failure::new(
        step,
        FailureCode::WorkspaceFailed,
        format!("cannot {action} {}: {error}{hint}", path.display()),
    )
}

/// Reads a regular file of at most `limit` bytes.
fn read_limited(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    if metadata.len() > limit {
        return Err(std::io::ErrorKind::FileTooLarge.into());
    }
    std::fs::read(path)
}
