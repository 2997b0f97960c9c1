//! `firefly-bench containers`: how soon a project has its container, in each of the ways in which it can get one, next to
//! what the bare engine needs on the same host in the same run.

mod burst;
mod rest;

use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use serde_json::json;

use crate::backend::{self, Backend, Runtime};
use crate::client::Client;
use crate::engine::Engine;
use crate::project::{Opening, Project, millis};
use crate::samples::{Samples, Table};
use crate::{bare, report};

/// How often each thing is done in a full run, and in a quick one.
const TIMES: usize = 50;
const TIMES_QUICK: usize = 5;

/// Projects that are opened at once, full and quick.
const BURST: usize = 20;
const BURST_QUICK: usize = 20;

/// The rows.
const BARE_COLD: &str = "bare engine: create and start";
const BARE_START: &str = "bare engine: start of a stopped one";
const COLD: &str = "created, to answering";
const CLAIMED: &str = "claimed from the pool, to answering";
const POOL_PREVIEW: &str = "opened from the pool, to the preview's first byte";
const RESUMED: &str = "stopped one started again, to answering";
const RESUMED_PREVIEW: &str = "closed project opened, to the preview's first byte";
const WOKEN: &str = "preview request to a paused project";
const NOTICED: &str = "killed, to ContainerExited";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Fewer times, done within a minute.
    #[arg(long)]
    quick: bool,
    /// Print one JSON object for each figure instead of the tables.
    #[arg(long)]
    json: bool,
}

/// Measures everything and prints it.
pub async fn run(args: &Args) -> anyhow::Result<()> {
    let program = backend::find_program()?;
    let home = tempfile::tempdir().context("cannot make a data directory")?;
    let times = if args.quick { TIMES_QUICK } else { TIMES };
    let before = report::load()?;
    let mut table = Table::default();
    cold(&program, home.path(), times, &mut table).await?;
    pooled(&program, home.path(), times, &mut table).await?;
    let idle = rest::paused(&program, home.path(), times, &mut table).await?;
    let size = if args.quick { BURST_QUICK } else { BURST };
    let burst = burst::open(&program, home.path(), size).await?;
    if args.json {
        print_json(&table, &idle, &burst);
    } else {
        println!("Load {before} before and {} after.\n", report::load()?);
        print_table(&table, &idle, &burst);
    }
    Ok(())
}

/// Without a pool: containers are made, lost, and started again.
async fn cold(program: &Path, data: &Path, times: usize, table: &mut Table) -> anyhow::Result<()> {
    let backend = Backend::start_with(program, Runtime::Docker, data, &["--pool", "0"]).await?;
    let measured = async {
        let engine = Engine::connect()?;
        let mut project = Project::connect(&backend.url).await?;
        say("an opening that is not measured");
        let first = project.open().await?;
        let image = first.image()?;
        for number in 1..=times {
            say(&format!("created, {number} of {times}"));
            project.delete().await?;
            let opening = project.open().await?;
            table.add(COLD, opening.started()?);
            let (created, again) = bare::create_start_and_start_again(&engine, &image).await?;
            table.add(BARE_COLD, millis(created));
            table.add(BARE_START, millis(again));
            project.close().await?;
            let resumed = project.resume().await?;
            table.add(RESUMED, resumed.started()?);
            table.add(RESUMED_PREVIEW, resumed.first_byte());
            table.add(NOTICED, noticed(&engine, &mut project, &resumed).await?);
        }
        project.delete().await.map(drop)
    }
    .await;
    stop(backend, measured).await
}

/// Kills a container and waits until history says so. The project is opened again.
async fn noticed(engine: &Engine, project: &mut Project, opening: &Opening) -> anyhow::Result<f64> {
    let begun = Instant::now();
    engine.kill(&opening.container()?).await?;
    project.until_event("ContainerExited").await?;
    let noticed = millis(begun.elapsed());
    project.until_closed().await?;
    project.resume().await?;
    Ok(noticed)
}

/// With a pool: each opening is of a project that has no files yet.
async fn pooled(program: &Path, data: &Path, times: usize, table: &mut Table) -> anyhow::Result<()> {
    let backend = Backend::start_with(program, Runtime::Docker, data, &["--pool", "1"]).await?;
    let measured = async {
        let mut project = Project::connect(&backend.url).await?;
        let client = Client::connect(&backend.url).await?;
        let mut claimed = 0;
        while claimed < times {
            rest::pool_is_full(&client).await?;
            let opening = project.open().await?;
            if opening.is_from_pool()? {
                claimed += 1;
                say(&format!("claimed from the pool, {claimed} of {times}"));
                table.add(CLAIMED, opening.started()?);
                table.add(POOL_PREVIEW, opening.first_byte());
            }
            project.delete().await?;
        }
        Ok(())
    }
    .await;
    stop(backend, measured).await
}

/// Also after a failure, so that no container is left behind.
async fn stop<T>(backend: Backend, outcome: anyhow::Result<T>) -> anyhow::Result<T> {
    let stopped = backend.stop().await;
    outcome.and_then(|outcome| stopped.map(|()| outcome))
}

fn print_table(table: &Table, idle: &rest::Idle, burst: &burst::Burst) {
    println!("| ms | p50 | p99 | × bare |\n|---|--:|--:|--:|");
    for row in table.rows() {
        let ratio = ratio(row, table).map_or(String::new(), |ratio| format!("{ratio:.2}"));
        println!(
            "| {} | {:.1} | {:.1} | {ratio} |",
            row.name,
            row.median(),
            row.percentile(99)
        );
    }
    println!(
        "\nBurst of {}: all ready after {:.1} s; other commands meanwhile p50 {:.1} ms, p99 {:.1} ms.",
        burst.projects,
        burst.all_ready / 1_000.0,
        burst.commands.median(),
        burst.commands.percentile(99)
    );
    println!(
        "Idle project-server: {:.1} MB resident, {:.2} wake-ups a second; paused {:.2}.",
        idle.resident_mb, idle.awake_wakeups, idle.paused_wakeups
    );
}

fn print_json(table: &Table, idle: &rest::Idle, burst: &burst::Burst) {
    let line = |name: &str, value: f64, unit: &str| {
        let value = (value * 1_000.0).round() / 1_000.0;
        println!("{}", json!({"name": name, "value": value, "unit": unit}));
    };
    for row in table.rows() {
        line(&format!("{}, p50", row.name), row.median(), "ms");
        line(&format!("{}, p99", row.name), row.percentile(99), "ms");
        if let Some(ratio) = ratio(row, table) {
            line(&format!("{}, ratio", row.name), ratio, "bare");
        }
    }
    line("burst, all ready", burst.all_ready, "ms");
    line("burst, other commands, p50", burst.commands.median(), "ms");
    line("burst, other commands, p99", burst.commands.percentile(99), "ms");
    line("idle project-server, resident", idle.resident_mb, "MB");
    line("idle project-server, wake-ups", idle.awake_wakeups, "1/s");
    line("paused project-server, wake-ups", idle.paused_wakeups, "1/s");
}

/// How many times the bare engine's median, for what can be compared with it.
fn ratio(row: &Samples, table: &Table) -> Option<f64> {
    let bare = match row.name {
        COLD => BARE_COLD,
        RESUMED => BARE_START,
        _ => return None,
    };
    Some(row.median() / table.get(bare)?.median())
}

/// Standard output is for the figures.
fn say(what: &str) {
    eprintln!("{what}");
}
