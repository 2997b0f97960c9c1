//! Reading the whole log, and opening and folding one stream.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use firefly_domain::control::Unsaved;
use firefly_domain::project::{Command, Outcome};
use firefly_domain::{Actor, Aggregate, Generation, Project, ProjectKey, Segment, Source};
use firefly_event_store::store::{EVENTS_PER_APPEND_MAX, READ_EVENTS_MAX};
use firefly_event_store::{Context, Expected, Position, Revision, StreamId, Wire, handle};
use uuid::Uuid;

use super::{Figures, Size, Store, a_stream, event};
use crate::project::millis;

/// Folds of each stream; the median counts.
const FOLDS: usize = 5;

/// Reads so many events of the log from its beginning.
pub async fn everything(store: &Store, events: usize, figures: &mut Figures) -> anyhow::Result<()> {
    let rate = read(store, events).await?;
    figures.add(format!("full read of {events} events"), rate, "events/s");
    Ok(())
}

/// Appends until the log has so many events.
pub async fn fill(store: &Store, events: usize) -> anyhow::Result<()> {
    let there = store.head().borrow().number();
    append(store, events.saturating_sub(usize::try_from(there)?)).await
}

/// Appends so many events, or a few more.
pub async fn append(store: &Store, events: usize) -> anyhow::Result<()> {
    for _ in 0..events.div_ceil(EVENTS_PER_APPEND_MAX) {
        let events = (0..EVENTS_PER_APPEND_MAX).map(|_| event()).collect();
        store
            .append(&a_stream(), Expected::NoStream, events)
            .await?;
    }
    Ok(())
}

/// Reads so many events from the beginning, and returns how many those were a second.
pub async fn read(store: &Store, events: usize) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let (mut count, mut after) = (0, Position::START);
    while count < events {
        let page = store.read_all(after, READ_EVENTS_MAX).await?;
        after = page.last().context("the log ended early")?.position;
        count += page.len();
    }
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

/// Opens projects with histories of several lengths: reads their streams, decodes and folds them.
pub async fn folds(store: &Store, size: Size, figures: &mut Figures) -> anyhow::Result<()> {
    for length in size.folds {
        let stream = a_project(store, *length).await?;
        let mut times = Vec::with_capacity(FOLDS);
        for _ in 0..FOLDS {
            let begun = Instant::now();
            fold(store, &stream).await?;
            times.push(millis(begun.elapsed()));
        }
        times.sort_by(f64::total_cmp);
        let name = format!("open and fold a stream of {length} events");
        figures.add(name, times[FOLDS / 2], "ms");
    }
    Ok(())
}

async fn fold(store: &Store, stream: &StreamId) -> anyhow::Result<()> {
    let (mut state, mut from) = (Default::default(), Revision::FIRST);
    loop {
        let page = store.read_stream(stream, from, READ_EVENTS_MAX).await?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        from = last.revision.next();
        for event in &page {
            state = Project::evolve(state, &Project::decode(event)?);
        }
    }
}

/// A project whose unsaved work changed again and again.
async fn a_project(store: &Store, length: usize) -> anyhow::Result<StreamId> {
    let name = format!("app{length}");
    let key = ProjectKey::new("bench", "montage", &name).context("these are names")?;
    let open = Command::Open {
        key: key.clone(),
        source: Source::Template(Segment::parse("starter").context("a name")?),
        branch: None,
    };
    let context = Context::new(Actor::System("bench".into()), Uuid::now_v7());
    let opened = handle::<Project>(&**store, key.id().as_uuid(), open, &context).await?;
    let stream = StreamId::of(Project::CATEGORY, key.id().as_uuid());
    let (mut state, mut last) = (opened.state, opened.revision);
    let mut number = 0;
    while last.map_or(0, |last| last.number() as usize + 1) < length {
        let left = length - last.map_or(0, |last| last.number() as usize + 1);
        let mut events = Vec::new();
        for _ in 0..left.min(EVENTS_PER_APPEND_MAX) {
            number += 1;
            let changed = Command::Report {
                generation: Generation::new(1),
                outcome: Outcome::UnsavedWork(Unsaved {
                    files: number,
                    commits: 0,
                }),
            };
            for decided in Project::decide(&state, changed)? {
                let encoded = Project::encode(&decided);
                let mut new = event();
                new.event_type = encoded.event_type.into();
                new.schema_version = encoded.schema_version;
                new.data = encoded.data;
                events.push(new);
                state = Project::evolve(state, &decided);
            }
        }
        let appended = Arc::clone(store)
            .append(&stream, Expected::after(last), events)
            .await?;
        last = Some(appended.revision);
    }
    Ok(stream)
}
