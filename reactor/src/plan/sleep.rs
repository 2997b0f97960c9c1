//! When projects that nobody uses are put to sleep, and how deeply.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use firefly_domain::project::CloseReason;

use super::{Action, Situation, Subject};
use crate::desired::{Opening, Want};

/// When projects that nobody uses are put to sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sleep {
    /// After so long without use a container is paused. It keeps its memory and wakes within a moment.
    pub pause_after: TimeDelta,
    /// After so long without use a container is stopped. Its project wakes like one that is opened again.
    pub stop_after: TimeDelta,
}

impl Default for Sleep {
    fn default() -> Self {
        Self {
            pause_after: TimeDelta::minutes(5),
            stop_after: TimeDelta::minutes(60),
        }
    }
}

/// What to do about a container that is awake.
pub(super) fn first(opening: Arc<Opening>, situation: &Situation<'_>) -> Option<Action> {
    let quiet = quiet(&opening, situation);
    (quiet >= situation.sleep.pause_after).then(|| Action::ReportQuiet {
        opening,
        quiet: quiet.to_std().unwrap_or_default(),
    })
}

/// What to do about a container that sleeps already.
pub(super) fn deeper(opening: Arc<Opening>, situation: &Situation<'_>) -> Option<Action> {
    let long = quiet(&opening, situation) >= situation.sleep.stop_after;
    long.then(|| put_away(opening, CloseReason::Idle))
}

/// One at a time, so that no more sleep deeply than is needed: the one that was used the longest ago.
pub(super) fn for_want_of_memory(
    situation: &Situation<'_>,
    planned: &[Action],
) -> Option<Action> {
    if !situation.memory_wanted {
        return None;
    }
    let taken = |subject: Subject| {
        situation.busy.contains(&subject) || planned.iter().any(|it| it.subject() == subject)
    };
    let asleep = situation.wanted.values().filter(|wanted| {
        matches!(wanted.want, Want::Asleep { .. })
            && !taken(Subject::Project(wanted.opening.project))
    });
    let longest = asleep.min_by_key(|wanted| used_at(&wanted.opening, situation))?;
    let opening = Arc::clone(&longest.opening);
    Some(put_away(opening, CloseReason::MemoryWanted))
}

const fn put_away(opening: Arc<Opening>, reason: CloseReason) -> Action {
    Action::PutAway { opening, reason }
}

fn quiet(opening: &Opening, situation: &Situation<'_>) -> TimeDelta {
    situation.now - used_at(opening, situation).max(situation.begun)
}

fn used_at(opening: &Opening, situation: &Situation<'_>) -> DateTime<Utc> {
    let used = situation.used.get(&opening.project);
    used.map_or(opening.active_at, |used| opening.active_at.max(*used))
}
