//! The links that are being followed: one for each container, made again when it breaks.

use std::collections::{BTreeMap, BTreeSet};

use firefly_domain::{Generation, ProjectId};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::Instant;

use crate::link::Link;
use crate::retry::BackOff;

/// After so many breaks in a row, it is no longer a container on its way out.
const BREAKS_TO_WARN: u32 = 3;

/// A project's opening.
pub type OpeningId = (ProjectId, Generation);

/// A link that came to its end.
pub struct Ended {
    opening: OpeningId,
    recorded: u64,
}

/// What is known of the link to one opening.
#[derive(Debug, Default)]
struct Known {
    running: Option<AbortHandle>,
    /// The last report that was recorded, so that the next link goes on behind it.
    recorded: u64,
    breaks: u32,
    not_before: Option<Instant>,
}

/// All links.
#[derive(Debug, Default)]
pub struct Links {
    tasks: JoinSet<Ended>,
    known: BTreeMap<OpeningId, Known>,
}

impl Links {
    /// Openings that need no link now: theirs runs, or waits after it broke.
    pub fn linked(&self, now: Instant) -> BTreeSet<OpeningId> {
        let resting = |known: &Known| {
            known.running.is_some() || known.not_before.is_some_and(|time| time > now)
        };
        self.known
            .iter()
            .filter(|(_, known)| resting(known))
            .map(|(opening, _)| *opening)
            .collect()
    }

    /// When the next of those that wait has waited long enough.
    pub fn next(&self, now: Instant) -> Option<Instant> {
        let waiting = self.known.values().filter(|known| known.running.is_none());
        waiting
            .filter_map(|known| known.not_before)
            .filter(|time| *time > now)
            .min()
    }

    /// Follows a link.
    pub fn begin(&mut self, link: Link) {
        let opening = (link.opening.project, link.opening.generation);
        let known = self.known.entry(opening).or_default();
        let (after, breaks) = (known.recorded, known.breaks);
        let running = self.tasks.spawn(async move {
            let key = link.opening.key.clone();
            let (recorded, outcome) = link.run(after).await;
            match outcome {
                Err(error) if breaks + 1 == BREAKS_TO_WARN => {
                    tracing::warn!(project.key = %key, error = ?error, "a container cannot be followed; trying on");
                }
                outcome => tracing::debug!(project.key = %key, ?outcome, "a link ended"),
            }
            Ended { opening, recorded }
        });
        known.running = Some(running);
    }

    /// Waits for a link to end; for ever if there is none.
    pub async fn ended(&mut self) -> Result<Ended, JoinError> {
        match self.tasks.join_next().await {
            Some(ended) => ended,
            None => std::future::pending().await,
        }
    }

    /// Takes note of a link that ended.
    pub fn note(&mut self, ended: Result<Ended, JoinError>, now: Instant) {
        // A link that was cut has been forgotten already, and so has its opening.
        let Ok(Ended { opening, recorded }) = ended else {
            return;
        };
        let Some(known) = self.known.get_mut(&opening) else {
            return;
        };
        known.breaks = if recorded > known.recorded {
            1
        } else {
            known.breaks.saturating_add(1)
        };
        known.running = None;
        known.recorded = recorded;
        known.not_before = Some(now + BackOff::default().after(known.breaks, opening.0.as_uuid()));
    }

    /// Cuts and forgets links to openings that are no longer wanted to run.
    pub fn keep(&mut self, wanted: impl Fn(&OpeningId) -> bool) {
        self.known.retain(|opening, known| {
            let keep = wanted(opening);
            if let (false, Some(running)) = (keep, &known.running) {
                running.abort();
            }
            keep
        });
    }

    /// Cuts and forgets all links.
    pub async fn end_all(&mut self) {
        self.tasks.shutdown().await;
        self.known.clear();
    }
}
