//! Containers that are started ahead, so that somebody who opens a new project need not wait for one.

use std::collections::VecDeque;

use firefly_domain::{ContainerId, Source};

use super::{Action, Basis, Situation, Subject};
use crate::desired::Opening;
use crate::runtime::{Serves, Slot, Status};

/// What is started ahead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// How many containers wait to be claimed.
    pub size: usize,
    /// Names for places that are new.
    pub fresh: Vec<Slot>,
}

/// The places of the pool while a plan is made.
pub(super) struct Places<'a> {
    situation: &'a Situation<'a>,
    /// Those whose container waits to be claimed.
    waiting: VecDeque<(Slot, ContainerId)>,
    /// Those that something is being done about.
    busy: usize,
    discards: Vec<Action>,
}

impl<'a> Places<'a> {
    pub(super) fn of(situation: &'a Situation<'a>) -> Self {
        let is_pool = |subject: &&Subject| matches!(subject, Subject::Pool(_));
        let mut places = Self {
            situation,
            waiting: VecDeque::new(),
            busy: situation.busy.iter().filter(is_pool).count(),
            discards: Vec::new(),
        };
        for container in situation.observed {
            let Serves::Pool(slot) = container.serves else {
                continue;
            };
            if situation.busy.contains(&Subject::Pool(slot)) {
                continue;
            }
            let id = container.id.clone();
            match container.status {
                Status::Running { .. } => places.waiting.push_back((slot, id)),
                Status::Paused { .. } | Status::Created | Status::Exited(_) => {
                    places.discards.push(discard(slot, id));
                }
            }
        }
        places
    }

    /// A container for an opening that can do with one: its files are still to come, and from elsewhere.
    pub(super) fn take_for(&mut self, opening: &Opening) -> Option<Basis> {
        if opening.filled || matches!(opening.source, Source::Path(_)) {
            return None;
        }
        let (slot, container) = self.waiting.pop_front()?;
        Some(Basis::Pooled { container, slot })
    }

    /// Makes the pool as large as it should be, and no larger. What was just taken is made up for when it is gone.
    pub(super) fn plan(mut self) -> Vec<Action> {
        let size = self.situation.pool.size;
        while self.waiting.len() > size
            && let Some((slot, id)) = self.waiting.pop_back()
        {
            self.discards.push(discard(slot, id));
        }
        let missing = size.saturating_sub(self.waiting.len() + self.busy);
        let fresh = self.situation.pool.fresh.iter().take(missing);
        let prepare = fresh.map(|slot| Action::Prepare(*slot));
        self.discards.into_iter().chain(prepare).collect()
    }
}

fn discard(slot: Slot, container: ContainerId) -> Action {
    Action::Discard {
        subject: Subject::Pool(slot),
        containers: vec![container],
    }
}
