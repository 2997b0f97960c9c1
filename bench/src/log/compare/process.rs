//! Programs that are not ours: none outlives this one, and none is waited for without a limit.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// How long UmaDB may take until it listens.
const START_TIMEOUT: Duration = Duration::from_secs(15);

/// How often a server that starts is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// A program that the kernel ends when this one ends, in whatever way.
pub fn bound_to_this(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

/// Lines of a failed program's complaint that are passed on.
const COMPLAINT_LINES_MAX: usize = 20;

/// Runs a program to its end and returns what it printed. What it complains about is passed on, and in the error if it fails.
pub async fn output(mut command: Command, limit: Duration) -> anyhow::Result<String> {
    command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    let program = command
        .as_std()
        .get_program()
        .to_string_lossy()
        .into_owned();
    let output = timeout(limit, command.output())
        .await
        .with_context(|| format!("{program} did not end within {limit:?}"))?
        .with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = said.trim_end().lines().collect();
        let last = &lines[lines.len().saturating_sub(COMPLAINT_LINES_MAX)..];
        bail!(
            "{program} failed: {}; it said:\n{}",
            output.status,
            last.join("\n")
        );
    }
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).with_context(|| format!("{program} printed no text"))
}

/// UmaDB's server, as it comes, on a free port of the loopback address.
pub struct Server {
    pub address: SocketAddr,
    _process: Child,
}

impl Server {
    pub async fn start(program: &Path, data: &Path) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
        let mut process = bound_to_this(program)
            .args(["--listen", &address.to_string(), "--db-path"])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let begun = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            if let Some(ended) = process.try_wait()? {
                bail!("UmaDB's server ended before it listened: {ended}");
            }
            if begun.elapsed() > START_TIMEOUT {
                bail!("UmaDB's server did not listen within {START_TIMEOUT:?}");
            }
            sleep(LOOK_INTERVAL).await;
        }
        Ok(Self {
            address,
            _process: process,
        })
    }
}
