//! `firefly-bench open`: what a person waits for, on each runtime, and what idle projects cost.

use std::path::Path;

use anyhow::Context;

use crate::backend::{self, Backend, Runtime};
use crate::commands::{self, Commands};
use crate::engine::Engine;
use crate::memory::{self, Memory};
use crate::project::{Opening, Project, millis};
use crate::samples::Table;
use crate::{bare, report};

/// Openings of a full run, and of a quick one.
const OPENINGS: usize = 20;
const OPENINGS_QUICK: usize = 3;

/// The rows of the floor.
pub const DOCKER_RUN: &str = "docker run, to the first output";
const CREATE_AND_START: &str = "engine API, create and start";

/// Equal readings, a second apart, after which memory has come to rest.
const QUIET_READINGS: usize = 10;
const QUIET_READINGS_QUICK: usize = 3;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Fewer openings, done within a minute.
    #[arg(long)]
    quick: bool,
    /// Print one JSON object for each figure instead of the tables.
    #[arg(long)]
    json: bool,
}

/// What one runtime came to.
pub struct Outcome {
    pub runtime: Runtime,
    /// Openings and what follows them, in milliseconds.
    pub openings: Table,
    /// Commands that change nothing, with a short history and with a long one.
    pub commands: [Commands; 2],
    /// Idle, with one open project.
    pub backend: Memory,
    /// The project-server of that project.
    pub project_server: Memory,
}

/// Measures everything and prints it.
pub async fn run(args: &Args) -> anyhow::Result<()> {
    let program = backend::find_program()?;
    let home = tempfile::tempdir().context("cannot make a data directory")?;
    let before = report::load()?;
    let mut outcomes = Vec::new();
    let mut floor = Table::default();
    for runtime in Runtime::ALL {
        // One directory for both, so that npm's cache is filled once.
        let outcome = measure(&program, home.path(), runtime, args.quick, &mut floor)
            .await
            .with_context(|| format!("on the runtime {runtime}"))?;
        outcomes.push(outcome);
    }
    let figures = report::figures(&outcomes, &floor);
    if args.json {
        report::print_json(&figures);
    } else {
        println!("Load {before} before and {} after.\n", report::load()?);
        report::print_tables(&outcomes, &floor);
    }
    Ok(())
}

async fn measure(
    program: &Path,
    data_dir: &Path,
    runtime: Runtime,
    quick: bool,
    floor: &mut Table,
) -> anyhow::Result<Outcome> {
    let backend = Backend::start(program, runtime, data_dir).await?;
    let outcome = observe(&backend, runtime, quick, floor).await;
    // Also after a failure, so that no container is left behind.
    let stopped = backend.stop().await;
    outcome.and_then(|outcome| stopped.map(|()| outcome))
}

async fn observe(
    backend: &Backend,
    runtime: Runtime,
    quick: bool,
    floor: &mut Table,
) -> anyhow::Result<Outcome> {
    let engine = Engine::connect()?;
    let mut project = Project::connect(&backend.url).await?;
    let count = if quick { OPENINGS_QUICK } else { OPENINGS };
    let mut openings = Table::default();
    let mut deletions = Vec::with_capacity(count);

    say(runtime, "an opening that is not measured");
    project.open().await?;
    say(runtime, "commands, with a short history");
    let after_one = commands::measure(&mut project).await?;
    for number in 1..=count {
        // Each opening is from nothing; the last one stays for what follows.
        deletions.push(project.delete().await?);
        say(runtime, &format!("opening {number} of {count}"));
        let opening = project.open().await?;
        opening.record_steps(&mut openings)?;
        // In turn with the openings, so that both meet the same load.
        if runtime == Runtime::Docker {
            let image = opening.image()?;
            floor.add(DOCKER_RUN, millis(bare::run(&image).await?));
            let started = bare::create_and_start(&engine, &image).await?;
            floor.add(CREATE_AND_START, millis(started));
        }
    }
    let opening = resume(&mut project, runtime, count, &mut openings).await?;
    for deletion in deletions {
        openings.add("deleted", millis(deletion));
    }

    say(runtime, "memory at rest");
    let (backend_pid, server_pid) = pids(backend, &engine, &opening, runtime).await?;
    let quiet = if quick {
        QUIET_READINGS_QUICK
    } else {
        QUIET_READINGS
    };
    let (backend_memory, server_memory) = tokio::try_join!(
        memory::settled(backend_pid, quiet),
        memory::settled(server_pid, quiet)
    )?;

    say(runtime, "commands, with a long history");
    let after_all = commands::measure(&mut project).await?;
    project.delete().await?;
    Ok(Outcome {
        runtime,
        openings,
        commands: [after_one, after_all],
        backend: backend_memory,
        project_server: server_memory,
    })
}

/// Closes an open project and opens it again, `count` times; the last opening is returned.
async fn resume(
    project: &mut Project,
    runtime: Runtime,
    count: usize,
    table: &mut Table,
) -> anyhow::Result<Opening> {
    let mut number = 0;
    loop {
        number += 1;
        say(runtime, &format!("resumption {number} of {count}"));
        table.add("closed", millis(project.close().await?));
        let opening = project.resume().await?;
        opening.record_resumption(table);
        if number >= count {
            return Ok(opening);
        }
    }
}

/// The process ids of Firefly and of the project-server of an opening.
async fn pids(
    backend: &Backend,
    engine: &Engine,
    opening: &Opening,
    runtime: Runtime,
) -> anyhow::Result<(u32, u32)> {
    let pid = backend.pid()?;
    let parent = match runtime {
        // The container's first process is the engine's init.
        Runtime::Docker => engine.pid(&opening.container()?).await?,
        Runtime::Process => pid,
    };
    Ok((pid, memory::child(parent, "project-server")?))
}

/// Standard output is for the figures.
fn say(runtime: Runtime, what: &str) {
    eprintln!("{runtime}: {what}");
}
