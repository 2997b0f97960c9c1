//! Durable appends, each with the revision it expects.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use firefly_event_store::{EventStore, Expected, Position, follow};
use futures::StreamExt;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::{Figures, Size, Store, a_stream, event};
use crate::project::millis;

/// Events of a stream before a writer begins another.
const STREAM_EVENTS: u64 = 100;

/// Appends a second while a subscriber's delay is measured.
const SUBSCRIBED_RATE: u32 = 1_000;

/// Appends of one event by one and by many writers.
pub async fn single_events(store: &Store, size: Size, figures: &mut Figures) -> anyhow::Result<()> {
    for writers in [1, 8, 32, 128] {
        let load = load(store, size, writers, 1).await?;
        let name = format!("append, {writers} writers");
        figures.add(name.clone(), load.rate, "events/s");
        figures.latencies(&name, load.times);
    }
    Ok(())
}

/// Appends of many events by one writer. An append holds 500 at the most.
pub async fn batches(store: &Store, size: Size, figures: &mut Figures) -> anyhow::Result<()> {
    for batch in [10, 100, 500] {
        let load = load(store, size, 1, batch).await?;
        let name = format!("append of {batch} events, 1 writer");
        figures.add(name.clone(), load.rate, "events/s");
        figures.latencies(&name, load.times);
    }
    Ok(())
}

struct Load {
    rate: f64,
    times: Vec<f64>,
}

async fn load(store: &Store, size: Size, writers: usize, batch: usize) -> anyhow::Result<Load> {
    let begun = Instant::now();
    let end = begun + Duration::from_secs(size.seconds);
    let mut tasks = JoinSet::new();
    for _ in 0..writers {
        tasks.spawn(write(Arc::clone(store), end, batch));
    }
    let mut times = Vec::new();
    while let Some(writer) = tasks.join_next().await {
        times.append(&mut writer??);
    }
    let rate = (times.len() * batch) as f64 / begun.elapsed().as_secs_f64();
    Ok(Load { rate, times })
}

async fn write(store: Store, end: Instant, batch: usize) -> anyhow::Result<Vec<f64>> {
    let mut times = Vec::new();
    let (mut stream, mut last) = (a_stream(), None);
    while Instant::now() < end {
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

/// From just before an append until a follower in this process has the event.
pub async fn to_a_subscriber(
    store: &Store,
    size: Size,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let head: Position = *store.head().borrow();
    let appends = SUBSCRIBED_RATE as usize * size.seconds as usize;
    let mut pages = std::pin::pin!(follow(Arc::clone(store), head));
    let writer = tokio::spawn(at_a_rate(Arc::clone(store), appends));
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
    let name = format!("append to subscriber at {SUBSCRIBED_RATE}/s");
    figures.latencies(&name, delays.collect::<Result<_, _>>()?);
    Ok(())
}

async fn at_a_rate(
    store: Arc<dyn EventStore>,
    appends: usize,
) -> anyhow::Result<Vec<(firefly_domain::EventId, Instant)>> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / SUBSCRIBED_RATE);
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
