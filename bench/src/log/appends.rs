//! Durable appends, each with the revision it expects.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use firefly_event_store::store::EVENTS_PER_APPEND_MAX;
use firefly_event_store::{EventStore, Expected, Position, follow};
use futures::StreamExt;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::{Figures, Store, a_stream, event};
use crate::project::millis;

/// How many append at the same time, one load after the other.
pub const WRITERS: [usize; 4] = [1, 8, 32, 128];

/// Events of a stream before a writer begins another.
const STREAM_EVENTS: u64 = 100;

/// Appends of one event by one and by many writers.
pub async fn single_events(
    store: &Store,
    seconds: u64,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    for writers in WRITERS {
        by_writers(store, Duration::from_secs(seconds), writers, figures).await?;
    }
    Ok(())
}

/// Appends of one event by so many writers.
pub async fn by_writers(
    store: &Store,
    time: Duration,
    writers: usize,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let load = load(store, time, writers, 1).await?;
    let name = format!("append, {writers} writers");
    figures.add(name.clone(), load.rate, "events/s");
    figures.latencies(&name, load.times);
    Ok(())
}

/// Appends of many events by one writer. An append holds 500 at the most, so a thousand are two appends in flight.
pub async fn batches(store: &Store, seconds: u64, figures: &mut Figures) -> anyhow::Result<()> {
    for batch in [10, 100, EVENTS_PER_APPEND_MAX] {
        let load = load(store, Duration::from_secs(seconds), 1, batch).await?;
        let name = format!("append of {batch} events, 1 writer");
        figures.add(name.clone(), load.rate, "events/s");
        figures.latencies(&name, load.times);
    }
    let load = pairs(store, seconds).await?;
    let name = "1000 events as two appends in flight, 1 writer";
    figures.add(name, load.rate, "events/s");
    figures.latencies(name, load.times);
    Ok(())
}

/// Two of the largest appends at a time, each to a stream of its own; their time is until both are durable.
async fn pairs(store: &Store, seconds: u64) -> anyhow::Result<Load> {
    let begun = Instant::now();
    let end = begun + Duration::from_secs(seconds);
    let events = || (0..EVENTS_PER_APPEND_MAX).map(|_| event()).collect();
    let mut times = Vec::new();
    while Instant::now() < end {
        let (streams, events) = ([a_stream(), a_stream()], [events(), events()]);
        let begun = Instant::now();
        let [one, other] = events;
        tokio::try_join!(
            store.append(&streams[0], Expected::NoStream, one),
            store.append(&streams[1], Expected::NoStream, other),
        )
        .context("an append failed")?;
        times.push(millis(begun.elapsed()));
    }
    let appended = times.len() * 2 * EVENTS_PER_APPEND_MAX;
    let rate = appended as f64 / begun.elapsed().as_secs_f64();
    Ok(Load { rate, times })
}

struct Load {
    rate: f64,
    times: Vec<f64>,
}

async fn load(store: &Store, time: Duration, writers: usize, batch: usize) -> anyhow::Result<Load> {
    let begun = Instant::now();
    let end = begun + time;
    let mut tasks = JoinSet::new();
    for _ in 0..writers {
        tasks.spawn(write(Arc::clone(store), Until::Time(end), batch));
    }
    let mut times = Vec::new();
    while let Some(writer) = tasks.join_next().await {
        times.append(&mut writer??);
    }
    let rate = (times.len() * batch) as f64 / begun.elapsed().as_secs_f64();
    Ok(Load { rate, times })
}

/// So many appends of one event by each of so many writers, with what each of them took.
pub async fn counted(store: &Store, writers: usize, each: usize) -> anyhow::Result<Vec<f64>> {
    let mut tasks = JoinSet::new();
    for _ in 0..writers {
        tasks.spawn(write(Arc::clone(store), Until::Appends(each), 1));
    }
    let mut times = Vec::with_capacity(writers * each);
    while let Some(writer) = tasks.join_next().await {
        times.append(&mut writer??);
    }
    Ok(times)
}

/// When a writer is done.
#[derive(Clone, Copy, Debug)]
enum Until {
    Time(Instant),
    Appends(usize),
}

impl Until {
    fn reached(self, appends: usize) -> bool {
        match self {
            Self::Time(end) => Instant::now() >= end,
            Self::Appends(most) => appends >= most,
        }
    }
}

async fn write(store: Store, until: Until, batch: usize) -> anyhow::Result<Vec<f64>> {
    let mut times = Vec::new();
    let (mut stream, mut last) = (a_stream(), None);
    while !until.reached(times.len()) {
        let events = (0..batch).map(|_| event()).collect();
        let begun = Instant::now();
        let appended = store
            .append(&stream, Expected::after(last), events)
            .await
            .context("an append failed")?;
        times.push(millis(begun.elapsed()));
        last = Some(appended.revision);
        if appended.revision.number() + 1 >= STREAM_EVENTS {
            (stream, last) = (a_stream(), None);
        }
    }
    Ok(times)
}

/// From just before an append until a follower in this process has the event, at so many appends a second.
pub async fn to_a_subscriber(
    store: &Store,
    rate: u32,
    time: Duration,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let head: Position = *store.head().borrow();
    let appends = (f64::from(rate) * time.as_secs_f64()) as usize;
    let mut pages = std::pin::pin!(follow(Arc::clone(store), head));
    let writer = tokio::spawn(at_a_rate(Arc::clone(store), rate, appends));
    let mut seen = Vec::with_capacity(appends);
    while seen.len() < appends {
        let page = pages.next().await.context("the log closed")??;
        let now = Instant::now();
        seen.extend(page.into_iter().map(|event| (event.id, now)));
    }
    let sent = writer.await??;
    // One writer that waits for each of its appends: they arrive in the order in which they were sent.
    let delays = sent.iter().zip(&seen).map(|((id, sent), (seen_id, seen))| {
        anyhow::ensure!(id == seen_id, "the follower saw another event");
        Ok(millis(seen.duration_since(*sent)))
    });
    let name = format!("append to subscriber at {rate}/s");
    figures.latencies(&name, delays.collect::<Result<_, _>>()?);
    Ok(())
}

async fn at_a_rate(
    store: Arc<dyn EventStore>,
    rate: u32,
    appends: usize,
) -> anyhow::Result<Vec<(firefly_domain::EventId, Instant)>> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (stream, mut last) = (a_stream(), None);
    let mut sent = Vec::with_capacity(appends);
    for _ in 0..appends {
        ticks.tick().await;
        let event = event();
        sent.push((event.id, Instant::now()));
        let appended = store
            .append(&stream, Expected::after(last), vec![event])
            .await?;
        last = Some(appended.revision);
    }
    Ok(sent)
}
