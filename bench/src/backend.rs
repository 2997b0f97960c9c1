//! The program that is measured: a release build of Firefly, started as a person starts it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// How long the start may take; the first one on a host makes the project image.
const START_TIMEOUT: Duration = Duration::from_secs(180);

/// How long an orderly end may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// What runs projects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    Docker,
    Process,
}

impl Runtime {
    pub const ALL: [Self; 2] = [Self::Docker, Self::Process];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Process => "process",
        }
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Finds the program beside this one, since that is where cargo puts both.
pub fn find_program() -> anyhow::Result<PathBuf> {
    if cfg!(debug_assertions) {
        bail!("this is a debug build; run: cargo run --release -p firefly-bench -- open");
    }
    let program = std::env::current_exe()
        .context("cannot find this program's own file")?
        .with_file_name("firefly");
    if !program.is_file() {
        bail!(
            "there is no {}; build it first: cargo build --release",
            program.display()
        );
    }
    Ok(program)
}

/// A running Firefly. It is killed when this is dropped, and stopped in order by [`Backend::stop`].
pub struct Backend {
    process: Child,
    /// Kept open, so that what it still says has somewhere to go.
    _stdout: Lines<BufReader<ChildStdout>>,
    /// Where it answers.
    pub url: String,
}

impl Backend {
    /// Starts it on a free port, and waits until it listens.
    pub async fn start(program: &Path, runtime: Runtime, data_dir: &Path) -> anyhow::Result<Self> {
        Self::start_with(program, runtime, data_dir, &[]).await
    }

    /// The same with further arguments.
    pub async fn start_with(
        program: &Path,
        runtime: Runtime,
        data_dir: &Path,
        arguments: &[&str],
    ) -> anyhow::Result<Self> {
        let mut process = Command::new(program)
            .args(["up", "--json", "--listen", "127.0.0.1:0"])
            .args(["--runtime", runtime.as_str()])
            .arg("--data-dir")
            .arg(data_dir)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let stdout = process.stdout.take().context("it has no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let url = timeout(START_TIMEOUT, listening(&mut lines))
            .await
            .with_context(|| format!("firefly did not listen within {START_TIMEOUT:?}"))??;
        Ok(Self {
            process,
            _stdout: lines,
            url,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> anyhow::Result<u32> {
        self.process.id().context("firefly has ended")
    }

    /// Ends it as Ctrl-C does. A bad end is said and no more, since the figures are there by then.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid()?)
            .ok()
            .and_then(Pid::from_raw)
            .context("firefly's process id is none")?;
        rustix::process::kill_process(pid, Signal::INT).context("cannot stop firefly")?;
        let status = timeout(STOP_TIMEOUT, self.process.wait())
            .await
            .with_context(|| format!("firefly did not stop within {STOP_TIMEOUT:?}"))??;
        if !status.success() {
            eprintln!("warning: firefly did not stop in order: {status}");
        }
        Ok(())
    }
}

async fn listening(lines: &mut Lines<BufReader<ChildStdout>>) -> anyhow::Result<String> {
    while let Some(line) = lines.next_line().await? {
        let said: Value = serde_json::from_str(&line)
            .with_context(|| format!("firefly said {line:?}, which is no JSON"))?;
        if let ("listening", Some(url)) = (
            said["type"].as_str().unwrap_or_default(),
            said["url"].as_str(),
        ) {
            return Ok(url.to_owned());
        }
    }
    bail!("firefly ended before it listened; its reason is above")
}
