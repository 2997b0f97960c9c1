//! The project-server's role: the only program of a project's container, and a child process where there are none.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use firefly_domain::control::EGRESS_PORT;
use firefly_project_server::{Config, Egress, Listen, SelfExe};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use tokio::signal::unix::{SignalKind, signal};

use crate::{exit, telemetry};

/// The name of this program in a container.
const NAME: &str = "project-server";

/// The subcommand of the short-lived children, behind whatever leads here.
const TOOL: &str = "tool";

/// Logged unless `RUST_LOG` says otherwise.
const LOG: &str = "warn";

#[derive(Debug, Parser)]
#[command(name = NAME)]
struct Arguments {
    /// Where to listen: an address, whose port 0 lets the system choose, or unix: and the absolute path of a socket.
    #[arg(long)]
    listen: Listen,
    /// The directory of the project's files.
    #[arg(long)]
    workspace: PathBuf,
    /// Where the repository can be read that is named by its path on the host, if not at that path.
    #[arg(long)]
    local_source: Option<PathBuf>,
    /// npm's cache.
    #[arg(long)]
    npm_cache: Option<PathBuf>,
    /// The socket of the only way out, for a project without a network.
    #[arg(long)]
    egress_socket: Option<PathBuf>,
    /// End when standard input closes.
    #[arg(long)]
    exit_on_stdin_eof: bool,
}

/// The arguments, if the program was called as a project-server.
pub fn called_by_name() -> Option<Vec<OsString>> {
    let mut arguments = std::env::args_os();
    let program = arguments.next()?;
    (Path::new(&program).file_name()? == NAME).then(|| arguments.collect())
}

pub fn main(mut arguments: Vec<OsString>) -> ExitCode {
    if arguments.first().is_some_and(|first| first == TOOL) {
        return firefly_project_server::tool(arguments.split_off(1));
    }
    let outcome = serve(Arguments::parse_from(
        std::iter::once(OsString::from(NAME)).chain(arguments),
    ));
    exit::code(outcome.map(|()| ExitCode::SUCCESS), false)
}

fn serve(arguments: Arguments) -> anyhow::Result<()> {
    telemetry::init(
        &std::env::var("RUST_LOG").unwrap_or_else(|_| LOG.to_owned()),
        false,
    )?;
    // What strangers' packages run in the same container cannot read this process's memory, and its key.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .context("cannot shut others out of this process's memory")?;
    let config = Config {
        listen: arguments.listen,
        workspace: arguments.workspace,
        local_source: arguments.local_source,
        npm_cache: arguments.npm_cache,
        egress: arguments.egress_socket.map(|socket| Egress {
            socket,
            port: EGRESS_PORT,
        }),
        exit_on_stdin_eof: arguments.exit_on_stdin_eof,
        self_exe: self_exe()?,
    };
    // One thread serves one project well, and costs the least when nothing happens.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let served = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen to signals")?;
        let shutdown = async move {
            terminate.recv().await;
        };
        firefly_project_server::run(config, tokio::io::stdin(), tokio::io::stdout(), shutdown)
            .await
            .context("the project-server cannot go on")
    });
    // A read of standard input that is under way cannot be called off; nobody waits for it.
    runtime.shutdown_background();
    served
}

/// How to reach [`main`] with [`TOOL`] in a process of its own.
fn self_exe() -> anyhow::Result<SelfExe> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let by_name = program.file_name().is_some_and(|name| name == NAME);
    let role = (!by_name).then(|| OsString::from(NAME));
    Ok(SelfExe {
        program,
        args: role.into_iter().chain([OsString::from(TOOL)]).collect(),
    })
}
