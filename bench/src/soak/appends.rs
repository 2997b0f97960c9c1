//! Kills a process that appends to a log: this program too, with clients of its own that write what was acknowledged into a
//! journal, flushed before they go on.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::check::Checker;
use super::death::{Death, Deaths};
use super::journal::Reader;
use super::kills::Kills;
use super::{COMMIT_POINTS, Survived};
use crate::postgres::Postgres;

/// Kills between two checks of what is new in the log.
const KILLS_PER_CHECK: usize = 10;

const DEATHS: Deaths = Deaths {
    points: &COMMIT_POINTS,
    passed_max: 60,
    life_max: Duration::from_millis(80),
};

/// Kills, starts again and checks.
pub async fn run(kills: &mut Kills, postgres: bool, early: bool) -> anyhow::Result<Survived> {
    let home = tempfile::tempdir().context("cannot make a directory for the log")?;
    let server = postgres.then(Postgres::start);
    let log = match &server {
        None => format!("sqlite:{}", home.path().join("events.db").display()),
        Some(server) => server.url(),
    };
    let journal = home.path().join("acknowledged");
    let mut checker = Checker::new(&log);
    let mut acknowledged = Reader::new(&journal);
    while let Some(kill) = kills.next() {
        live_and_die(&log, &journal, kill, early).await?;
        if kill.is_multiple_of(KILLS_PER_CHECK) {
            checker.check(&mut acknowledged).await?;
        }
    }
    if !kills.done().is_multiple_of(KILLS_PER_CHECK) {
        checker.check(&mut acknowledged).await?;
    }
    Ok(checker.survived())
}

async fn live_and_die(log: &str, journal: &Path, kill: usize, early: bool) -> anyhow::Result<()> {
    let death = DEATHS.choose(kill);
    let mut process = spawn(log, journal, early, Some(&death))?;
    if let Death::Killed { .. } = death {
        ready(&mut process).await?;
    }
    let ended = death.of(&mut process).await?;
    death.was_of(ended)
}

/// Starts a process that appends until it is killed.
pub fn spawn(
    log: &str,
    journal: &Path,
    early: bool,
    death: Option<&Death>,
) -> anyhow::Result<Child> {
    Command::new(std::env::current_exe().context("cannot find this program")?)
        .args(["soak-writer", "--log", log, "--journal"])
        .arg(journal)
        .args(early.then_some("--acknowledge-early"))
        .envs(death.map(Death::environment).unwrap_or_default())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start the writer")
}

/// Waits until it is about to append.
pub async fn ready(process: &mut Child) -> anyhow::Result<()> {
    let output = process.stdout.take().context("the writer has no output")?;
    let mut said = String::new();
    BufReader::new(output).read_line(&mut said).await?;
    if said.trim() != "ready" {
        bail!("the writer did not start; it said {said:?}");
    }
    Ok(())
}
