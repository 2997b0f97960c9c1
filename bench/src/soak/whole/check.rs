//! Holds the log against what clients were answered.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use firefly_domain::{Aggregate, Lease};
use firefly_event_store::store::READ_EVENTS_MAX;
use firefly_event_store::{DomainEvent, Position, RecordedEvent, Revision};
use uuid::Uuid;

use super::client::{Answer, Entry};
use crate::report::Figure;
use crate::soak::Survived;
use crate::soak::journal::Reader;

/// The category of streams that say of a command that it found nothing to do.
const REQUESTS: &str = "request";

/// Reads on where the last check ended.
pub struct Checker {
    log: String,
    journal: Reader,
    answered: usize,
    /// The place of each event, in the order of the log.
    places: Vec<Place>,
    /// The last revision of each stream.
    revisions: HashMap<String, Revision>,
    /// What each command led to.
    effects: HashMap<Uuid, Effect>,
    /// Commands that were sent again and had been done before, and those that had not.
    recognised: usize,
    done_later: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    stream: String,
    revision: u64,
}

/// The event of a command; there must be one at the most.
struct Effect {
    index: usize,
    /// Which time of sending it led to the event.
    tried: u64,
}

impl Checker {
    pub fn new(log: &Path, journal: Reader) -> Self {
        Self {
            log: format!("sqlite:{}", log.display()),
            journal,
            answered: 0,
            places: Vec::new(),
            revisions: HashMap::new(),
            effects: HashMap::new(),
            recognised: 0,
            done_later: 0,
        }
    }

    /// Everything answered is there once and where it was said to be, what was refused has left nothing; positions and
    /// revisions have no holes, and every event can be read.
    pub async fn check(&mut self) -> anyhow::Result<()> {
        // What was answered is in the log by now, so the journal is read first.
        let entries: Vec<Entry> = self.journal.entries()?;
        let store = firefly_event_store::open(&self.log).await?;
        loop {
            let after = Position::new(self.places.len() as u64);
            let page = store.read_all(after, READ_EVENTS_MAX).await?;
            for event in &page {
                self.take(event)?;
            }
            if page.len() < READ_EVENTS_MAX {
                break;
            }
        }
        for entry in &entries {
            self.is_there(entry)?;
        }
        self.answered += entries.len();
        Ok(())
    }

    pub fn survived(&self) -> Survived {
        let words = format!(
            "{} commands were answered, and what they did is there once among {} events; of those that were sent again, {} had \
             been done and {} had not",
            self.answered,
            self.places.len(),
            self.recognised,
            self.done_later
        );
        Survived {
            words,
            figures: vec![
                Figure::count("commands answered", self.answered, "commands"),
                Figure::count("repetitions of what was done", self.recognised, "commands"),
                Figure::count("repetitions of what was not", self.done_later, "commands"),
                Figure::count("events in the log", self.places.len(), "events"),
            ],
        }
    }

    fn take(&mut self, event: &RecordedEvent) -> anyhow::Result<()> {
        let index = self.places.len();
        ensure!(
            event.position.number() == index as u64 + 1,
            "nothing stands at position {}",
            index + 1
        );
        let stream = event.stream.as_str().to_owned();
        let last = self.revisions.insert(stream.clone(), event.revision);
        let expected = last.map_or(Revision::FIRST, |last| last.next());
        ensure!(
            event.revision == expected,
            "{stream} goes on with revision {} instead of {expected}",
            event.revision
        );
        if ![REQUESTS, Lease::CATEGORY].contains(&event.stream.category()) {
            let decoded = DomainEvent::decode(event)?;
            ensure!(decoded.is_some(), "{stream} has an event of nobody's");
        }
        self.places.push(Place {
            stream,
            revision: event.revision.number(),
        });
        let Some((command, tried)) = event.metadata.traceparent.as_deref().and_then(sender) else {
            return Ok(());
        };
        if let Some(first) = self.effects.insert(command, Effect { index, tried }) {
            bail!(
                "command {command} had an effect at position {} (try {}) and another at {} (try {tried})",
                first.index + 1,
                first.tried,
                index + 1
            );
        }
        Ok(())
    }

    fn is_there(&mut self, entry: &Entry) -> anyhow::Result<()> {
        let effect = entry.command.and_then(|command| self.effects.get(&command));
        match &entry.answer {
            Answer::Refused => {
                ensure!(effect.is_none(), "{entry:?} was refused and had an effect");
            }
            Answer::Early => {
                effect.with_context(|| format!("{entry:?} was acknowledged and is lost"))?;
            }
            Answer::Done {
                stream,
                revision,
                position,
            } => {
                let said = Place {
                    stream: stream.clone(),
                    revision: *revision,
                };
                let index = usize::try_from(*position)? - 1;
                ensure!(
                    self.places.get(index) == Some(&said),
                    "{entry:?} was acknowledged and is lost"
                );
                if entry.command.is_some() {
                    let effect = effect
                        .with_context(|| format!("{entry:?} was acknowledged and is lost"))?;
                    let is_own = self.places[effect.index].stream == *stream;
                    ensure!(
                        !is_own || effect.index == index,
                        "{entry:?} is not where it was said to be"
                    );
                    self.recognised += usize::from(effect.tried < entry.tries);
                    self.done_later += usize::from(effect.tried > 1);
                }
            }
        }
        Ok(())
    }
}

/// The command, and which time of sending it, that a trace context of the clients names.
fn sender(traceparent: &str) -> Option<(Uuid, u64)> {
    let mut parts = traceparent.split('-').skip(1);
    let command = parts.next()?.parse().ok()?;
    let tried = u64::from_str_radix(parts.next()?, 16).ok()?;
    Some((command, tried))
}
