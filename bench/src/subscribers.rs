//! `firefly-bench live`: how soon changes are with those who follow them, next to a bare server in the same run.

mod cost;
mod crowd;
pub mod floor;
mod sessions;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, ensure};
use firefly_event_store::{EventStore, Position};
use firefly_projector::projections;
use serde_json::{Value, json};
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use crate::backend::{Backend, Runtime, find_program};
use crate::client::Client;
use crate::descriptors;
use crate::log::Figures;
use crate::memory;
use crate::projections::history::History;
use cost::processor_time;
use crowd::{Crowd, Receipt};
use floor::Floor;
use sessions::Sessions;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Fewer changes, done within 50 seconds.
    #[arg(long)]
    quick: bool,
    /// Print one JSON object for each figure instead of a table.
    #[arg(long)]
    json: bool,
}

/// Clients at once.
const SUBSCRIBERS: usize = 5_000;

/// Changes a second, each of which concerns one of them.
const SPREAD_RATE: usize = 5_000;

/// Changes a second to a single subscriber.
const SINGLE_RATE: usize = 1_000;

/// Commits a second in which these changes are appended.
const COMMITS: usize = 50;

/// Commands a second whose changes a single subscriber gets.
const COMMAND_RATE: usize = 100;

/// Events that are read at a time where what came is held against the log.
const EVENTS_PER_PAGE: usize = 1_000;

/// Descriptors of this process: both crowds, and all else.
const DESCRIPTORS: u64 = 2 * SUBSCRIBERS as u64 + 1_000;

/// Files that Firefly may open beside connections: of its databases, and for a request.
const FILES_MORE: usize = 20;

/// Readings of the server's memory that must be equal.
const QUIET_READINGS: usize = 2;

/// Nothing here should take longer.
const PATIENCE: Duration = Duration::from_secs(120);

struct Size {
    /// Events in the log before anything is measured; a rebuild has to do with them.
    history: usize,
    /// Changes that go to everybody.
    rounds: usize,
    /// Seconds of each load.
    seconds: usize,
}

const FULL: Size = Size {
    history: 400_000,
    rounds: 100,
    seconds: 10,
};

const QUICK: Size = Size {
    history: 80_000,
    rounds: 20,
    seconds: 3,
};

/// Measures and prints.
pub async fn run(args: &Args) -> anyhow::Result<()> {
    let size = if args.quick { QUICK } else { FULL };
    descriptors::raise(DESCRIPTORS)?;
    let program = find_program()?;
    let home = tempfile::tempdir().context("cannot make a data directory")?;
    let url = format!("sqlite:{}", home.path().join("events.db").display());
    let store = firefly_event_store::open(&url).await?;
    History::default().append(&*store, size.history).await?;
    let sessions = Sessions::start(&*store, home.path(), SUBSCRIBERS).await?;
    let backend = Backend::start(&program, Runtime::Process, home.path()).await?;
    let client = Client::connect(&backend.url).await?;
    let mut bench = Bench {
        pid: backend.pid()?,
        files: 0,
        figures: Figures::default(),
        port: client.port()?,
        client,
        store,
        sessions,
        size,
    };
    bench.projected().await?;
    bench.fan_out().await?;
    bench.spread().await?;
    bench.single().await?;
    bench.beside_a_rebuild().await?;
    backend.stop().await?;
    bench.figures.print(args.json);
    Ok(())
}

struct Bench {
    /// Of Firefly.
    pid: u32,
    /// What it may have open while nobody follows.
    files: usize,
    figures: Figures,
    client: Client,
    port: u16,
    store: Arc<dyn EventStore>,
    sessions: Sessions,
    size: Size,
}

impl Bench {
    /// Waits until no projection has anything left to do, and no rebuild is at work.
    async fn projected(&self) -> anyhow::Result<()> {
        let all = async {
            let mut ticks = interval(Duration::from_millis(50));
            loop {
                ticks.tick().await;
                let answer = self.client.get("projections").await?;
                let builds = answer["projections"].as_array();
                let builds = builds.context("there are no projections")?;
                let is_done = |build: &Value| {
                    build["status"] == "live"
                        && build["position"].as_u64() >= answer["head"].as_u64()
                };
                if builds.iter().all(is_done) {
                    return Ok(());
                }
            }
        };
        timeout(PATIENCE, all).await?
    }

    /// One change to everybody: of a session by a command, and by the bare server, by turns.
    async fn fan_out(&mut self) -> anyhow::Result<()> {
        self.files = cost::files(self.pid)? + FILES_MORE;
        let before = memory::settled(self.pid, QUIET_READINGS).await?;
        let (token, session) = (&self.client.token, &self.client.session);
        let url = format!(
            "ws://localhost:{}/api/v1/live?token={token}&session={session}",
            self.port
        );
        let urls = std::iter::repeat_n(url, SUBSCRIBERS);
        let mut crowd = Crowd::connect(self.port, urls).await?;
        let after = memory::settled(self.pid, QUIET_READINGS).await?;
        let grown = after.resident_kib() - before.resident_kib();
        self.figures.add(
            "memory of an idle subscriber",
            grown / SUBSCRIBERS as f64,
            "KiB",
        );
        let mut floor = Floor::start().await?;
        let urls = std::iter::repeat_n(format!("ws://localhost:{}/", floor.port), SUBSCRIBERS);
        let mut bare_crowd = Crowd::connect(floor.port, urls).await?;
        let (mut delays, mut bare_delays) = (Vec::new(), Vec::new());
        let (mut work, mut bare_work) = (Duration::ZERO, Duration::ZERO);
        let mut bytes = 0;
        for round in 0..self.size.rounds {
            let before = processor_time(self.pid)?;
            let position = self.command(round).await?;
            let receipts = crowd.receive(SUBSCRIBERS).await?;
            work += processor_time(self.pid)? - before;
            each_once(&receipts, position)?;
            let appended = self.appended_at(position).await?;
            delays.extend(
                receipts
                    .iter()
                    .map(|receipt| milliseconds(appended, receipt)),
            );

            let text = &receipts[0].text;
            bytes = text.len();
            let before = processor_time(floor.pid()?)?;
            let sent = Instant::now();
            floor.send(text).await?;
            let receipts = bare_crowd.receive(SUBSCRIBERS).await?;
            bare_work += processor_time(floor.pid()?)? - before;
            each_once(&receipts, position)?;
            bare_delays.extend(receipts.iter().map(|receipt| milliseconds(sent, receipt)));
        }
        crowd.is_done()?;
        self.figures
            .add("bytes of that change", bytes as f64, "bytes");
        let p50 = (middle(&mut delays), middle(&mut bare_delays));
        let name = "one change to 5,000 subscribers, from its append";
        let p99 = self.figures.latencies(name, delays);
        let name = "the same bytes from a bare server, from its input";
        let bare_p99 = self.figures.latencies(name, bare_delays);
        let name = "to 5,000 subscribers, times the bare server's";
        self.figures.add(format!("{name}, p50"), p50.0 / p50.1, "x");
        self.figures
            .add(format!("{name}, p99"), p99 / bare_p99, "x");
        let messages = (self.size.rounds * SUBSCRIBERS) as f64;
        let name = "Firefly's processor time for each of these messages";
        let each = |work: Duration| work.as_secs_f64() * 1e6 / messages;
        self.figures.add(name, each(work), "µs");
        self.figures.add("the bare server's", each(bare_work), "µs");
        drop((crowd, bare_crowd));
        cost::until_alone(self.pid, self.files).await
    }

    /// When the log took an event.
    async fn appended_at(&self, position: u64) -> anyhow::Result<Instant> {
        let mut head = self.store.head();
        let reached = head.wait_for(|head| head.number() >= position);
        timeout(PATIENCE, reached).await??;
        let before = Position::new(position - 1);
        let page = self.store.read_all(before, 1).await?;
        let recorded_at = page.first().context("no event")?.recorded_at;
        let age = SystemTime::now().duration_since(recorded_at.into())?;
        Ok(Instant::now() - age)
    }

    /// Changes that concern one subscriber each.
    async fn spread(&mut self) -> anyhow::Result<()> {
        let mut crowd = Crowd::connect(self.port, self.sessions.urls(self.port)).await?;
        let mut ticks = ticks(COMMITS);
        let mut sent: Vec<Vec<Instant>> = vec![Vec::new(); SUBSCRIBERS];
        let before = processor_time(self.pid)?;
        let (begun, commits) = (Instant::now(), self.size.seconds * COMMITS);
        for _ in 0..commits {
            ticks.tick().await;
            let at = Instant::now();
            let count = SPREAD_RATE / COMMITS;
            for client in self.sessions.change(&*self.store, count).await? {
                sent[client].push(at);
            }
        }
        let changes = commits * SPREAD_RATE / COMMITS;
        let rate = changes as f64 / begun.elapsed().as_secs_f64();
        let receipts = crowd.receive(changes).await?;
        crowd.is_done()?;
        let work = processor_time(self.pid)? - before;
        let mut delays = Vec::with_capacity(changes);
        let mut seen = vec![(0, 0); SUBSCRIBERS];
        for receipt in &receipts {
            let (count, position) = &mut seen[receipt.client];
            ensure!(receipt.position > *position, "a change came twice");
            *position = receipt.position;
            let at = sent[receipt.client].get(*count);
            *count += 1;
            delays.push(milliseconds(
                *at.context("a change of somebody else")?,
                receipt,
            ));
        }
        self.figures
            .add("changes spread over 5,000 subscribers", rate, "changes/s");
        let name = "a change that concerns one of 5,000, from before its append";
        self.figures.latencies(name, delays);
        let each = work.as_secs_f64() * 1e6 / changes as f64;
        let name = "Firefly's processor time for each, projections and all";
        self.figures.add(name, each, "µs");
        drop(crowd);
        cost::until_alone(self.pid, self.files).await
    }

    /// Follows the whole log alone.
    async fn follow_log(&self) -> anyhow::Result<Crowd> {
        let (port, token) = (self.port, &self.client.token);
        let url = format!("ws://localhost:{port}/api/v1/live?token={token}&log=true");
        Crowd::connect(port, std::iter::once(url)).await
    }

    /// Many changes to one who follows the log.
    async fn single(&mut self) -> anyhow::Result<()> {
        let begun_at = *self.store.head().borrow();
        let mut crowd = self.follow_log().await?;
        let mut ticks = ticks(COMMITS);
        let commits = self.size.seconds * COMMITS;
        let mut sent = Vec::new();
        let begun = Instant::now();
        for _ in 0..commits {
            ticks.tick().await;
            let at = Instant::now();
            let count = SINGLE_RATE / COMMITS;
            let changed = self.sessions.change(&*self.store, count).await?;
            sent.extend(changed.iter().map(|_| at));
        }
        let rate = sent.len() as f64 / begun.elapsed().as_secs_f64();
        let receipts = crowd.receive(sent.len()).await?;
        crowd.is_done()?;
        self.is_the_log(begun_at, &receipts).await?;
        let delays = sent.iter().zip(&receipts);
        let delays = delays
            .map(|(at, receipt)| milliseconds(*at, receipt))
            .collect();
        self.figures
            .add("changes to one subscriber", rate, "changes/s");
        let name = "one of these changes, from before its append beside Firefly";
        self.figures.latencies(name, delays);
        Ok(())
    }

    /// Each event of the log behind a position came once and in order, and nothing else.
    async fn is_the_log(&self, mut after: Position, receipts: &[Receipt]) -> anyhow::Result<()> {
        let mut receipts = receipts.iter().map(|receipt| receipt.position).peekable();
        while receipts.peek().is_some() {
            let page = self.store.read_all(after, EVENTS_PER_PAGE).await?;
            for event in &page {
                let (came, has) = (receipts.next(), event.position);
                ensure!(
                    came == Some(has.number()),
                    "{came:?} came where the log has {has}"
                );
                after = has;
            }
        }
        Ok(())
    }

    /// Commands one after the other, from the append of each until one who follows the log has it.
    async fn commands(&mut self, name: &str) -> anyhow::Result<f64> {
        let mut crowd = self.follow_log().await?;
        let mut ticks = ticks(COMMAND_RATE);
        let count = self.size.seconds * COMMAND_RATE;
        for number in 0..count {
            ticks.tick().await;
            self.command(number).await?;
        }
        let mut delays = Vec::with_capacity(count);
        for receipt in crowd.receive(count).await? {
            let appended = self.appended_at(receipt.position).await?;
            delays.push(milliseconds(appended, &receipt));
        }
        Ok(self.figures.latencies(name, delays))
    }

    /// A command that nothing follows from but one event of a session; where that stands.
    async fn command(&self, number: usize) -> anyhow::Result<u64> {
        let command = ["join", "leave"][number % 2];
        let project = json!({"project": "local/montage/app"});
        let path = format!("sessions/{command}");
        let answer = self.client.post(&path, &project).await?;
        answer["position"]
            .as_u64()
            .context("the answer has no position")
    }

    async fn beside_a_rebuild(&mut self) -> anyhow::Result<()> {
        self.projected().await?;
        let name = "a change by a command to one subscriber, from its append";
        let alone = self.commands(name).await?;
        let begun = Instant::now();
        for projected in projections() {
            let path = format!("projections/{}/rebuild", projected.projection);
            self.client.post(&path, &json!({})).await?;
        }
        let name = "the same beside a rebuild of all projections";
        let beside = self.commands(name).await?;
        self.projected().await?;
        let seconds = begun.elapsed().as_secs_f64();
        let name = "p99 beside a rebuild, times that without";
        self.figures.add(name, beside / alone, "x");
        self.figures
            .add("rebuild of all under that load", seconds, "s");
        Ok(())
    }
}

fn ticks(a_second: usize) -> Interval {
    let mut ticks = interval(Duration::from_secs(1).div_f64(a_second as f64));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    ticks
}

fn each_once(receipts: &[Receipt], position: u64) -> anyhow::Result<()> {
    let mut clients: Vec<usize> = receipts.iter().map(|receipt| receipt.client).collect();
    clients.sort_unstable();
    clients.dedup();
    let is_right = receipts.iter().all(|receipt| receipt.position == position);
    ensure!(
        is_right && clients.len() == SUBSCRIBERS,
        "not everybody got the change once"
    );
    Ok(())
}

fn milliseconds(from: Instant, receipt: &Receipt) -> f64 {
    receipt.at.saturating_duration_since(from).as_secs_f64() * 1_000.0
}

fn middle(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
