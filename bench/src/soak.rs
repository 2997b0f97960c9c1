//! `firefly-bench soak`: kills a process that appends to a log, again and again, and checks that nothing it acknowledged is lost.
//!
//! The process that is killed is this program too: clients of its own append to the log and write what was acknowledged into
//! a journal, flushed before they go on. Half of the kills come at random, the others (in debug builds) at places in the
//! writer where a crash is most awkward.

mod check;
mod journal;
mod writer;

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use uuid::Uuid;

use crate::postgres::Postgres;
use check::Checker;
pub use writer::{Args as WriterArgs, run as write};

/// Kills between two checks of what is new in the log.
const KILLS_PER_CHECK: usize = 10;

/// How long the process may live at the most before it is killed.
const LIFE_MAX: Duration = Duration::from_millis(80);

/// Where the process ends itself, by name in the event store.
const CRASH_POINTS: [&str; 3] = ["before-append", "between-write-and-commit", "after-commit"];

/// The signal of a process that aborts itself.
const SIGABRT: i32 = 6;

/// How often such a place is passed before, at the most.
const PASSED_MAX: u128 = 60;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// How often the process is killed.
    #[arg(long, default_value_t = 200)]
    kills: usize,
    /// Keep the log in a private PostgreSQL server instead of a SQLite file.
    #[arg(long)]
    postgres: bool,
    /// Acknowledge before the commit: a fault that the check must find.
    #[arg(long)]
    acknowledge_early: bool,
}

/// Kills, starts again and checks.
pub async fn run(args: &Args) -> anyhow::Result<()> {
    let home = tempfile::tempdir().context("cannot make a directory for the log")?;
    let server = args.postgres.then(Postgres::start);
    let log = match &server {
        None => format!("sqlite:{}", home.path().join("events.db").display()),
        Some(server) => server.url(),
    };
    let journal = home.path().join("acknowledged");
    let mut checker = Checker::new(&log, &journal);
    for kill in 1..=args.kills {
        live_and_die(&log, &journal, kill, args.acknowledge_early).await?;
        if kill % KILLS_PER_CHECK == 0 || kill == args.kills {
            checker.check().await?;
        }
    }
    println!("{} kills: {}", args.kills, checker.summary());
    Ok(())
}

async fn live_and_die(log: &str, journal: &Path, kill: usize, early: bool) -> anyhow::Result<()> {
    let chance = Uuid::new_v4().as_u128();
    let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
    command
        .args(["soak-writer", "--log", log, "--journal"])
        .arg(journal)
        .stdout(Stdio::piped());
    if early {
        command.arg("--acknowledge-early");
    }
    let by_itself = cfg!(debug_assertions) && kill.is_multiple_of(2);
    if by_itself {
        let point = CRASH_POINTS[(kill / 2) % CRASH_POINTS.len()];
        command
            .env("FIREFLY_CRASH_AT", point)
            .env("FIREFLY_CRASH_AFTER", (chance % PASSED_MAX).to_string())
            .stderr(Stdio::null());
    }
    let mut process = command.spawn().context("cannot start the writer")?;
    let output = process.stdout.take().context("the writer has no output")?;
    let mut ready = String::new();
    BufReader::new(output).read_line(&mut ready)?;
    if by_itself {
        let ended = process.wait()?;
        if ended.signal() != Some(SIGABRT) {
            bail!("the writer did not end where it should have: {ended}");
        }
        return Ok(());
    }
    if ready.trim() != "ready" {
        bail!("the writer did not start; it said {ready:?}");
    }
    let life_max = LIFE_MAX.as_micros() as u64;
    let life = Duration::from_micros(chance as u64 % life_max);
    tokio::time::sleep(life).await;
    if let Some(ended) = process.try_wait()? {
        bail!("the writer ended before it was killed: {ended}");
    }
    process.kill()?;
    process.wait()?;
    Ok(())
}
