//! Projects that nobody uses: how soon they wake, and what they cost meanwhile.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::time::sleep;

use super::{WOKEN, say, stop};
use crate::backend::{Backend, Runtime};
use crate::client::Client;
use crate::engine::Engine;
use crate::memory;
use crate::project::{Project, millis};
use crate::samples::Table;

/// For how long wake-ups are counted.
const COUNTING: Duration = Duration::from_secs(5);

/// How long the pool may take to be full.
const POOL_TIMEOUT: Duration = Duration::from_secs(30);

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// What a project-server costs that has nothing to do.
pub struct Idle {
    pub resident_mb: f64,
    pub awake_wakeups: f64,
    pub paused_wakeups: f64,
}

/// Lets a project fall asleep and wakes it, again and again.
pub async fn paused(
    program: &Path,
    data: &Path,
    times: usize,
    table: &mut Table,
) -> anyhow::Result<Idle> {
    let arguments = ["--pool", "0", "--pause-after", "6s"];
    let backend = Backend::start_with(program, Runtime::Docker, data, &arguments).await?;
    let measured = async {
        let engine = Engine::connect()?;
        let mut project = Project::connect(&backend.url).await?;
        let opening = project.open().await?;
        let init = engine.pid(&opening.container()?).await?;
        let server = memory::child(init, "project-server")?;
        let awake_wakeups = wakeups(server).await?;
        let resident_mb = memory::settled(server, 1).await?.resident_kib() * 1.024 / 1_000.0;
        project.until_state("paused").await?;
        let paused_wakeups = wakeups(server).await?;
        let idle = Idle {
            resident_mb,
            awake_wakeups,
            paused_wakeups,
        };
        drop(project);
        Ok(idle)
    }
    .await;
    let idle = stop(backend, measured).await?;
    woken(program, data, times, table).await?;
    Ok(idle)
}

async fn woken(
    program: &Path,
    data: &Path,
    times: usize,
    table: &mut Table,
) -> anyhow::Result<()> {
    let arguments = ["--pool", "0", "--pause-after", "1s"];
    let backend = Backend::start_with(program, Runtime::Docker, data, &arguments).await?;
    let measured = async {
        let mut project = Project::connect(&backend.url).await?;
        let client = Client::connect(&backend.url).await?;
        let preview = project.open().await?.preview().to_owned();
        for number in 1..=times {
            project.until_state("paused").await?;
            // The engine needs a moment to do it.
            sleep(Duration::from_millis(200)).await;
            say(&format!("woken, {number} of {times}"));
            let begun = Instant::now();
            client.first_byte(&preview).await?;
            table.add(WOKEN, millis(begun.elapsed()));
        }
        project.until_state("paused").await?;
        project.delete().await.map(drop)
    }
    .await;
    stop(backend, measured).await
}

/// How often a process is woken in a second: each time it went to wait for something.
async fn wakeups(pid: u32) -> anyhow::Result<f64> {
    let before = voluntary_switches(pid)?;
    sleep(COUNTING).await;
    let switches = voluntary_switches(pid)?.saturating_sub(before);
    Ok(switches as f64 / COUNTING.as_secs_f64())
}

fn voluntary_switches(pid: u32) -> anyhow::Result<u64> {
    let mut switches = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = std::fs::read_to_string(task?.path().join("status"))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        switches += line.context("the kernel counts no switches")?.trim().parse::<u64>()?;
    }
    Ok(switches)
}

/// Waits until a container waits to be claimed.
pub async fn pool_is_full(client: &Client) -> anyhow::Result<()> {
    let begun = Instant::now();
    while client.metric("firefly_pool_containers{state=\"waiting\"}").await? < 1.0 {
        if begun.elapsed() > POOL_TIMEOUT {
            bail!("no container waited to be claimed within {POOL_TIMEOUT:?}");
        }
        sleep(POLL_INTERVAL).await;
    }
    Ok(())
}
