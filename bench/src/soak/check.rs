//! What must be so after any crash.

use std::collections::HashMap;

use anyhow::{Context, bail, ensure};
use firefly_event_store::store::READ_EVENTS_MAX;
use firefly_event_store::{Position, RecordedEvent, Revision};
use serde::Deserialize;
use uuid::Uuid;

use super::{Survived, journal};
use crate::report::Figure;

/// Reads on where the last check ended.
pub struct Checker {
    log: String,
    acknowledged: usize,
    after: Position,
    /// The last revision of each stream.
    revisions: HashMap<String, Revision>,
    /// Where each event stands.
    places: HashMap<Uuid, (String, Revision, Position)>,
    /// Appends of which not all events were seen yet, and how many are missing.
    unfinished: HashMap<Uuid, usize>,
}

#[derive(Deserialize)]
struct Payload {
    append: Uuid,
    events: usize,
}

impl Checker {
    pub fn new(log: &str) -> Self {
        Self {
            log: log.to_owned(),
            acknowledged: 0,
            after: Position::START,
            revisions: HashMap::new(),
            places: HashMap::new(),
            unfinished: HashMap::new(),
        }
    }

    /// Everything acknowledged is there once and where it was said to be; nothing is half there; positions and revisions
    /// have no holes.
    pub async fn check(&mut self, journal: &mut journal::Reader) -> anyhow::Result<()> {
        self.read_on().await?;
        let entries: Vec<journal::Entry> = journal.entries()?;
        ensure!(
            !entries.is_empty(),
            "nothing was acknowledged since the last check"
        );
        self.has(&entries)
    }

    /// What was acknowledged is among what was read.
    pub fn has(&mut self, entries: &[journal::Entry]) -> anyhow::Result<()> {
        for entry in entries {
            self.is_there(entry)?;
        }
        self.acknowledged += entries.len();
        Ok(())
    }

    /// Nothing is half there; positions and revisions have no holes.
    pub async fn read_on(&mut self) -> anyhow::Result<()> {
        let store = firefly_event_store::open(&self.log).await?;
        loop {
            let page = store.read_all(self.after, READ_EVENTS_MAX).await?;
            for event in &page {
                self.take(event)?;
            }
            if page.len() < READ_EVENTS_MAX {
                break;
            }
        }
        ensure!(
            self.unfinished.is_empty(),
            "{} appends are half there",
            self.unfinished.len()
        );
        Ok(())
    }

    pub fn survived(&self) -> Survived {
        let (appends, events) = (self.acknowledged, self.places.len());
        Survived {
            words: format!(
                "{appends} appends were acknowledged, and all of them are there among {events} events"
            ),
            figures: vec![
                Figure::count("appends acknowledged", appends, "appends"),
                Figure::count("events in the log", events, "events"),
            ],
        }
    }

    fn take(&mut self, event: &RecordedEvent) -> anyhow::Result<()> {
        let expected = Position::new(self.after.number() + 1);
        ensure!(
            event.position == expected,
            "nothing stands at position {expected}"
        );
        self.after = event.position;
        let stream = event.stream.as_str().to_owned();
        let expected = self
            .revisions
            .get(&stream)
            .map_or(Revision::FIRST, |last| last.next());
        ensure!(
            event.revision == expected,
            "{stream} goes on with revision {} instead of {expected}",
            event.revision
        );
        self.revisions.insert(stream.clone(), event.revision);
        let place = (stream, event.revision, event.position);
        if self.places.insert(*event.id.as_uuid(), place).is_some() {
            bail!("event {} is there twice", event.id);
        }
        let payload: Payload =
            serde_json::from_str(event.data.get()).context("a payload is damaged")?;
        let left = self
            .unfinished
            .remove(&payload.append)
            .unwrap_or(payload.events)
            - 1;
        if left > 0 {
            self.unfinished.insert(payload.append, left);
        }
        Ok(())
    }

    fn is_there(&self, entry: &journal::Entry) -> anyhow::Result<()> {
        for id in &entry.ids {
            let place = self.places.get(id);
            let (stream, ..) =
                place.with_context(|| format!("event {id} was acknowledged and is lost"))?;
            ensure!(*stream == entry.stream, "event {id} is in another stream");
        }
        let last = entry.ids.last().and_then(|id| self.places.get(id));
        if let (Some((revision, position)), Some((_, last_revision, last_position))) =
            (entry.last, last)
        {
            ensure!(
                (revision, position) == (last_revision.number(), last_position.number()),
                "an append to {} is not where it was said to be",
                entry.stream
            );
        }
        Ok(())
    }
}
