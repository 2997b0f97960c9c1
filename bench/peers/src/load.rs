//! The loads: the same for every store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, timeout};
use uuid::Uuid;

use crate::figures::Figures;

/// Events of a stream before a writer begins another.
pub const STREAM_EVENTS: u64 = 100;

/// How long after its end a load may still wait for its last appends.
const GRACE: Duration = Duration::from_secs(15);

/// How long filling and reading may take each.
const BULK_TIMEOUT: Duration = Duration::from_secs(180);

/// How long a subscription may take until it has caught up.
const SUBSCRIBED_TIMEOUT: Duration = Duration::from_secs(30);

/// An event that has not arrived so long after all were appended counts as lost.
const LOST_AFTER: Duration = Duration::from_secs(3);

/// The number of the events by which a subscription shows that it has caught up, and how often they are appended.
const PROBE: u64 = u64::MAX;
const PROBE_INTERVAL: Duration = Duration::from_millis(100);

/// One store, behind its own client.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Appends one event to a stream that must be where the cursor is, and returns when it is durable.
    async fn append(&self, at: &Cursor, number: u64) -> anyhow::Result<Outcome>;

    /// Makes the store long, in whatever way is quick.
    async fn fill(&self, events: usize) -> anyhow::Result<()>;

    /// Reads everything through, or the longest run that the store can read, and returns how many events that were.
    async fn read_all(&self) -> anyhow::Result<usize>;

    /// Sends on the numbers of the events from now on, as they are pushed; false if the store has no such thing.
    async fn subscribe(&self, _seen: Seen) -> anyhow::Result<bool> {
        Ok(false)
    }
}

pub type Peer = Arc<dyn Store>;

/// Where a subscriber tells the number of an event, and when it had it.
pub type Seen = mpsc::UnboundedSender<(u64, Instant)>;

/// What became of an append.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    /// It is durable, at a position if the store needs that for the next one.
    Appended(Option<u64>),
    /// The store gave way to another append, though the stream was as expected. It may be repeated.
    Refused,
}

/// One writer's place in one of its streams.
#[derive(Clone, Debug)]
pub struct Cursor {
    pub writer: usize,
    pub stream: Uuid,
    /// Events that are in the stream.
    pub events: u64,
    /// Position of the last of them.
    pub position: Option<u64>,
}

impl Cursor {
    fn new(writer: usize) -> Self {
        Self {
            writer,
            stream: Uuid::new_v4(),
            events: 0,
            position: None,
        }
    }

    fn advance(&mut self, position: Option<u64>) {
        self.events += 1;
        self.position = position;
        if self.events == STREAM_EVENTS {
            *self = Self::new(self.writer);
        }
    }
}

/// Appends of one event by so many writers at a time.
pub async fn appends(
    peer: &Peer,
    writers: usize,
    time: Duration,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    // The first append of each connection prepares statements and is not counted.
    let mut warm = JoinSet::new();
    for writer in 0..writers {
        let peer = Arc::clone(peer);
        warm.spawn(async move {
            let refusals = AtomicU64::new(0);
            let end = Instant::now() + GRACE;
            append(&peer, &mut Cursor::new(writer), 0, end, &refusals).await
        });
    }
    while let Some(writer) = warm.join_next().await {
        writer??;
    }
    let refusals = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let end = begun + time;
    let mut tasks = JoinSet::new();
    for writer in 0..writers {
        tasks.spawn(write(Arc::clone(peer), writer, end, Arc::clone(&refusals)));
    }
    let mut times = Vec::new();
    let collecting = async {
        while let Some(writer) = tasks.join_next().await {
            times.append(&mut writer??);
        }
        anyhow::Ok(())
    };
    timeout(time + GRACE, collecting)
        .await
        .with_context(|| format!("{writers} writers did not come to an end"))??;
    let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
    let name = format!("append, {writers} writers");
    figures.add(name.clone(), rate, "events/s");
    figures.latencies(&name, times);
    let refused = refusals.load(Ordering::Relaxed) as f64;
    figures.add(format!("{name}, refused"), refused, "appends");
    Ok(())
}

async fn write(
    peer: Peer,
    writer: usize,
    end: Instant,
    refusals: Arc<AtomicU64>,
) -> anyhow::Result<Vec<f64>> {
    let mut times = Vec::new();
    let mut cursor = Cursor::new(writer);
    while Instant::now() < end {
        let begun = Instant::now();
        // A refused append is repeated, and its time counts until it is durable. One that never was counts for nothing.
        if append(&peer, &mut cursor, 0, end, &refusals).await? {
            times.push(millis(begun.elapsed()));
        }
    }
    Ok(times)
}

/// Appends until it is not refused, or until the end; says whether it was appended.
async fn append(
    peer: &Peer,
    cursor: &mut Cursor,
    number: u64,
    end: Instant,
    refusals: &AtomicU64,
) -> anyhow::Result<bool> {
    loop {
        match peer.append(cursor, number).await? {
            Outcome::Appended(position) => {
                cursor.advance(position);
                return Ok(true);
            }
            Outcome::Refused => refusals.fetch_add(1, Ordering::Relaxed),
        };
        if Instant::now() >= end {
            return Ok(false);
        }
    }
}

/// From just before an append until a subscriber in this process has the event.
pub async fn to_a_subscriber(
    peer: &Peer,
    rate: u32,
    time: Duration,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let (seen, mut arrivals) = mpsc::unbounded_channel();
    if !peer.subscribe(seen).await? {
        return Ok(());
    }
    // Events that were there before have number 0, so a probe that arrives says that the subscription has caught up.
    let mut cursor = Cursor::new(0);
    let refusals = AtomicU64::new(0);
    let end = Instant::now() + SUBSCRIBED_TIMEOUT;
    let mut caught_up = false;
    while !caught_up {
        if Instant::now() >= end {
            bail!("the subscription does not catch up");
        }
        append(peer, &mut cursor, PROBE, end, &refusals).await?;
        tokio::time::sleep(PROBE_INTERVAL).await;
        while let Ok((number, _)) = arrivals.try_recv() {
            caught_up |= number == PROBE;
        }
    }
    let count = (f64::from(rate) * time.as_secs_f64()) as u64;
    let end = Instant::now() + time + GRACE;
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut sent = Vec::new();
    for number in 1..=count {
        ticks.tick().await;
        sent.push(Instant::now());
        if !append(peer, &mut cursor, number, end, &refusals).await? {
            bail!("an append was refused without end");
        }
    }
    let end = Instant::now() + LOST_AFTER;
    let mut delays = Vec::new();
    while delays.len() < sent.len() && Instant::now() < end {
        while let Ok((number, at)) = arrivals.try_recv() {
            let index = number.checked_sub(1).and_then(|n| usize::try_from(n).ok());
            if let Some(sent) = index.and_then(|index| sent.get(index)) {
                delays.push(millis(at.duration_since(*sent)));
            }
        }
        // Some subscriptions deliver an event only when another comes.
        append(peer, &mut cursor, PROBE, end, &refusals).await?;
        tokio::time::sleep(PROBE_INTERVAL).await;
    }
    if delays.len() < sent.len() {
        let (arrived, sent) = (delays.len(), sent.len());
        eprintln!("of {sent} events the subscription delivered only {arrived}");
    }
    figures.latencies(&format!("append to subscriber at {rate}/s"), delays);
    Ok(())
}

/// Makes the store longer by so many events.
pub async fn fill(peer: &Peer, events: usize) -> anyhow::Result<()> {
    timeout(BULK_TIMEOUT, peer.fill(events))
        .await
        .context("filling the store took too long")?
}

/// Reads the store from its beginning.
pub async fn everything(peer: &Peer, events: usize, figures: &mut Figures) -> anyhow::Result<()> {
    let begun = Instant::now();
    let count = timeout(BULK_TIMEOUT, peer.read_all())
        .await
        .context("reading the store took too long")??;
    if count < events {
        bail!("the store holds {count} events where {events} were appended");
    }
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    figures.add("full read", rate, "events/s");
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
