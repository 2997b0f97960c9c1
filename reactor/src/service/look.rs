//! One look at everything, and the plan that is made from it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use firefly_domain::{ContainerId, ProjectId, Segment};
use tokio::time::Instant;

use super::{PASS_INTERVAL, PASS_INTERVAL_MIN, POOL, RETRY_DELAY, Reactor};
use crate::desired::{Want, Wanted};
use crate::links::OpeningId;
use crate::measure;
use crate::plan::fair::in_turn;
use crate::plan::{Action, Pool, Situation, Subject, plan};
use crate::runtime::Observed;

impl Reactor {
    /// Looks at everything and begins what is to be done; returns when to look again at the latest.
    pub(super) async fn pass(&mut self) -> Instant {
        let Some(observed) = self.observe().await else {
            return Instant::now() + RETRY_DELAY;
        };
        let now = Instant::now();
        let wanted = self.desired.wanted();
        self.forget_what_is_over(&wanted);
        self.watch_over(&wanted, &observed);
        measure::looked(&observed, self.slots.size());
        let actions = self.plan(&wanted, &observed, now);
        let under_way = self.starts_under_way();
        for action in in_turn(actions, &under_way) {
            self.begin(action);
        }
        let waiting = |wanted: &Wanted| {
            let wait = wanted.opening.not_before - (self.now)();
            Some(now + wait.to_std().ok()?)
        };
        let waiting = wanted.values().filter_map(waiting).min();
        [self.retries.next(now), self.links.next(now), waiting]
            .into_iter()
            .flatten()
            .fold(now + self.pass_interval(), Instant::min)
    }

    /// Remembers which containers are alive, or were when history heard of them: they may have ended before anybody looks.
    fn watch_over(&mut self, wanted: &BTreeMap<ProjectId, Wanted>, observed: &[Observed]) {
        let alive = observed.iter().filter(|it| it.status.is_alive());
        self.seen.extend(alive.map(|it| it.id.clone()));
        let since = self.watching_since;
        let heard = wanted
            .values()
            .filter(|wanted| wanted.opening.started_at.is_some_and(|at| at >= since))
            .filter_map(started);
        self.seen.extend(heard.cloned());
    }

    fn plan(
        &mut self,
        wanted: &BTreeMap<ProjectId, Wanted>,
        observed: &[Observed],
        now: Instant,
    ) -> Vec<Action> {
        let waiting = self.retries.waiting(now);
        // A place that could not be filled has the whole pool wait, since each has a name of its own.
        let rests = waiting.contains(&POOL);
        let fresh = if rests { 0 } else { self.slots.size() };
        let pool = Pool {
            size: self.slots.size(),
            fresh: (0..fresh).map(|_| self.slots.next()).collect(),
        };
        let at_work = self.busy.values().flat_map(|busy| &busy.subjects).copied();
        let last_use = |wanted: &Wanted| {
            let opening = &wanted.opening;
            Some((opening.project, self.usage.last_use(&opening.key)?))
        };
        plan(Situation {
            wanted,
            observed,
            busy: &at_work.chain(waiting.iter().copied()).collect(),
            linked: &self.links.linked(now),
            seen: &self.seen,
            used: &wanted.values().filter_map(last_use).collect(),
            sleep: &self.sleep,
            memory_wanted: self.usage.is_memory_wanted(),
            pool: &pool,
            begun: self.begun,
            now: (self.now)(),
        })
    }

    fn starts_under_way(&self) -> BTreeMap<Segment, usize> {
        let mut starts = BTreeMap::new();
        for user in self
            .busy
            .values()
            .filter_map(|busy| busy.starts_for.clone())
        {
            *starts.entry(user).or_default() += 1;
        }
        starts
    }

    /// Where projects fall asleep soon, it is looked often enough to see that.
    fn pass_interval(&self) -> Duration {
        let shortest = self.sleep.pause_after.to_std().unwrap_or(PASS_INTERVAL) / 4;
        shortest.clamp(PASS_INTERVAL_MIN, PASS_INTERVAL)
    }

    async fn observe(&mut self) -> Option<Vec<Observed>> {
        match self.executor.runtime.list().await {
            Ok(observed) => {
                if std::mem::replace(&mut self.engine_down, false) {
                    tracing::info!("the container engine answers again");
                    // What it no longer has went with it.
                    self.seen.clear();
                    self.watching_since = (self.now)();
                }
                Some(observed)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.engine_down, true) {
                    tracing::error!(error = %error.with_causes(), "the container engine does not answer; trying on");
                }
                None
            }
        }
    }

    /// Keeps only what belongs to openings that are still wanted, and to what is asked of projects now.
    fn forget_what_is_over(&mut self, wanted: &BTreeMap<ProjectId, Wanted>) {
        let current = |(project, generation): &OpeningId| {
            wanted.get(project).is_some_and(|wanted| {
                wanted.opening.generation == *generation
                    && !matches!(wanted.want, Want::Nothing { .. })
            })
        };
        self.links.keep(current);
        let told: BTreeSet<&ContainerId> = wanted.values().filter_map(started).collect();
        self.seen.retain(|container| told.contains(container));
        for wanted in wanted.values() {
            let project = Subject::Project(wanted.opening.project);
            self.retries.superseded(project, wanted.opening.cause);
        }
    }
}

/// The container that history says is there.
const fn started(wanted: &Wanted) -> Option<&ContainerId> {
    match &wanted.want {
        Want::Running { started, .. } => started.as_ref(),
        Want::Awake { container } | Want::Asleep { container } => Some(container),
        _ => None,
    }
}
