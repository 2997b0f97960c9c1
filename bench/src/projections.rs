//! `firefly-bench projections`: how fast the log is projected, how far behind live projections are, and what a rebuild
//! beside them costs.

pub mod history;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use firefly_event_store::{EventStore, Position};
use firefly_projector::{Progress, Projector, projections};
use firefly_read_models::Database;
use firefly_read_models::builds::Status;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::log::Figures;
use crate::memory;
use crate::postgres::Postgres;
use history::History;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the read models are; the log is on SQLite.
    #[arg(long, value_enum, default_value_t = Engine::Sqlite)]
    engine: Engine,
    /// Fewer events, done within 50 seconds.
    #[arg(long)]
    quick: bool,
    /// Print one JSON object for each figure instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Engine {
    Sqlite,
    Postgres,
}

/// Events a second while the delay of live projections is measured.
const LIVE_RATE: u32 = 1_000;

/// Nothing here should take longer.
const PATIENCE: Duration = Duration::from_secs(600);

struct Size {
    events: usize,
    live_events: usize,
}

const FULL: Size = Size {
    events: 1_000_000,
    live_events: 10_000,
};

const QUICK: Size = Size {
    events: 100_000,
    live_events: 3_000,
};

/// Measures and prints.
pub async fn run(args: &Args) -> anyhow::Result<()> {
    let size = if args.quick { QUICK } else { FULL };
    let home = tempfile::tempdir().context("cannot make a directory for the log")?;
    let server = (args.engine == Engine::Postgres).then(Postgres::start);
    let file = |name: &str| format!("sqlite:{}", home.path().join(name).display());
    let url = server
        .as_ref()
        .map_or_else(|| file("read-models.db"), Postgres::url);
    let store = firefly_event_store::open(&file("events.db")).await?;
    let mut history = History::default();
    history.append(&*store, size.events).await?;

    let mut figures = Figures::default();
    let read_models = firefly_read_models::open(&url).await?;
    let begun = Instant::now();
    let projecting = Projecting::start(&read_models, &store).await?;
    let head = *store.head().borrow();
    projecting.reached(head).await?;
    let rate = size.events as f64 / begun.elapsed().as_secs_f64();
    figures.add("all projections from nothing", rate, "events/s");
    figures.add(
        "memory at the peak of that",
        memory::peak_megabytes()?,
        "MB",
    );

    let alone = projecting
        .delays(&*store, &mut history, size.live_events)
        .await?;
    let before = figures.latencies("live projections behind, at 1000/s", alone);
    for projected in projections() {
        let asked = read_models
            .ask_for(projected, store.id(), Status::Building)
            .await?;
        asked.map_err(|_| anyhow::anyhow!("a rebuild is at work already"))?;
    }
    let begun = Instant::now();
    let rebuilding = tokio::spawn(rebuilt(read_models.clone()));
    let beside = projecting
        .delays(&*store, &mut history, size.live_events)
        .await?;
    let after = figures.latencies("the same beside a rebuild of all", beside);
    figures.add(
        "p99 beside a rebuild, times that without",
        after / before,
        "x",
    );
    timeout(PATIENCE, rebuilding).await???;
    figures.add(
        "rebuild of all under that load",
        begun.elapsed().as_secs_f64(),
        "s",
    );
    projecting.stop().await?;
    figures.print(args.json);
    Ok(())
}

/// Waits until no rebuild is left.
async fn rebuilt(read_models: Database) -> anyhow::Result<()> {
    let mut ticks = interval(Duration::from_millis(20));
    loop {
        ticks.tick().await;
        let builds = read_models.builds().await?;
        if builds.iter().all(|build| build.status == Status::Live) {
            return Ok(());
        }
    }
}

/// Projections at work.
struct Projecting {
    progress: Progress,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Projecting {
    async fn start(read_models: &Database, store: &Arc<dyn EventStore>) -> anyhow::Result<Self> {
        let projector = Projector::build(read_models.clone(), Arc::clone(store)).await?;
        let (progress, stop) = (projector.progress(), CancellationToken::new());
        let running = tokio::spawn(projector.run(stop.clone()));
        Ok(Self {
            progress,
            stop,
            running,
        })
    }

    async fn reached(&self, position: Position) -> anyhow::Result<()> {
        let mut progress = self.progress.clone();
        timeout(PATIENCE, progress.reached(position))
            .await
            .context("the projections do not get there")
    }

    /// From just before each append until all projections have it, in milliseconds.
    async fn delays(
        &self,
        store: &dyn EventStore,
        history: &mut History,
        events: usize,
    ) -> anyhow::Result<Vec<f64>> {
        let mut ticks = interval(Duration::from_secs(1) / LIVE_RATE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut waiting = Vec::with_capacity(events);
        for _ in 0..events {
            ticks.tick().await;
            let begun = Instant::now();
            let position = history.append_one(store).await?;
            let mut progress = self.progress.clone();
            waiting.push(tokio::spawn(async move {
                let reached = timeout(PATIENCE, progress.reached(position)).await;
                reached.map(|()| begun.elapsed().as_secs_f64() * 1_000.0)
            }));
        }
        let mut delays = Vec::with_capacity(events);
        for delay in waiting {
            delays.push(delay.await??);
        }
        Ok(delays)
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        Ok(self.running.await?)
    }
}
