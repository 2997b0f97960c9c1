//! When to try again what failed: exponential back-off, and an end to it for what people wait for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use firefly_domain::EventId;
use tokio::time::Instant;
use uuid::Uuid;

use crate::plan::Subject;

/// How long to wait before something is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    /// The wait after the first failure; each further one doubles it.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
}

impl Default for BackOff {
    /// What failed for long is still tried twice a minute.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(30),
        }
    }
}

impl BackOff {
    /// How long to wait after so many failures in a row.
    ///
    /// Up to a quarter more is added, as the id of what it is about has it, so that what failed together is not tried again together.
    pub fn after(&self, failures: u32, id: &Uuid) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        let wait = self.first.saturating_mul(1 << doublings).min(self.longest);
        let share = u32::from(id.as_bytes()[15]);
        wait + wait * share / 1024
    }
}

/// How often an action may fail before that is its outcome: an opening has failed, a deletion is given up.
pub const ATTEMPTS_MAX: u32 = 3;

/// What failed, and when it may be tried again.
#[derive(Debug, Default)]
pub struct Retries {
    back_off: BackOff,
    attempts: BTreeMap<Subject, Attempts>,
}

#[derive(Debug)]
struct Attempts {
    /// The event that asked for what failed, if it was an event.
    cause: Option<EventId>,
    failures: u32,
    not_before: Instant,
}

impl Retries {
    /// Nothing has failed yet.
    pub fn new(back_off: BackOff) -> Self {
        Self {
            back_off,
            ..Self::default()
        }
    }

    /// Notes a failure to do what an event asked for; returns how many there were in a row.
    pub fn failed(&mut self, subject: Subject, cause: Option<EventId>, now: Instant) -> u32 {
        let fresh = || Attempts {
            cause,
            failures: 0,
            not_before: now,
        };
        let attempts = self.attempts.entry(subject).or_insert_with(fresh);
        if attempts.cause != cause {
            *attempts = fresh();
        }
        attempts.failures += 1;
        attempts.not_before = now + self.back_off.after(attempts.failures, subject.uuid());
        attempts.failures
    }

    /// Notes that something was not done, for a reason that does not count as its failure.
    pub fn postponed(&mut self, subject: Subject, cause: Option<EventId>, now: Instant) {
        let attempts = self.attempts.entry(subject).or_insert(Attempts {
            cause,
            failures: 0,
            not_before: now,
        });
        attempts.not_before = now + self.back_off.after(1, subject.uuid());
    }

    /// Forgets failures to do what is no longer asked for; `cause` is the event that asks now.
    pub fn superseded(&mut self, subject: Subject, cause: EventId) {
        if self
            .attempts
            .get(&subject)
            .is_some_and(|attempts| attempts.cause.is_some_and(|old| old != cause))
        {
            self.attempts.remove(&subject);
        }
    }

    /// Notes a success.
    pub fn succeeded(&mut self, subject: Subject) {
        self.attempts.remove(&subject);
    }

    /// Forgets all failures.
    pub fn clear(&mut self) {
        self.attempts.clear();
    }

    /// What has to wait.
    pub fn waiting(&self, now: Instant) -> BTreeSet<Subject> {
        self.attempts
            .iter()
            .filter(|(_, attempts)| attempts.not_before > now)
            .map(|(subject, _)| *subject)
            .collect()
    }

    /// When the next of them has waited long enough.
    pub fn next(&self, now: Instant) -> Option<Instant> {
        self.attempts
            .values()
            .map(|attempts| attempts.not_before)
            .filter(|time| *time > now)
            .min()
    }
}

#[cfg(test)]
mod tests {
    use firefly_domain::ProjectKey;

    use super::*;

    fn project() -> Subject {
        Subject::Project(ProjectKey::new("alice", "montage", "app").unwrap().id())
    }

    #[test]
    fn each_failure_doubles_the_wait_up_to_a_bound() {
        let back_off = BackOff::default();
        let after = |failures| back_off.after(failures, project().uuid());
        let at_most = |wait: Duration| wait..=wait * 5 / 4;
        assert!(at_most(back_off.first).contains(&after(1)));
        assert!(at_most(back_off.first * 4).contains(&after(3)));
        assert!(at_most(back_off.longest).contains(&after(u32::MAX)));
    }

    #[test]
    fn a_project_waits_and_then_may_try_again() {
        let (mut retries, now) = (Retries::default(), Instant::now());
        retries.failed(project(), None, now);
        assert!(retries.waiting(now).contains(&project()));
        let wait = BackOff::default().after(1, project().uuid());
        assert_eq!(retries.next(now), Some(now + wait));
        assert!(retries.waiting(now + wait).is_empty());
        retries.succeeded(project());
        assert!(retries.waiting(now).is_empty());
    }

    #[test]
    fn failures_count_for_one_request() {
        let (mut retries, now) = (Retries::default(), Instant::now());
        let cause = |number| EventId::from_uuid(uuid::Uuid::from_u128(number));
        assert_eq!(retries.failed(project(), Some(cause(1)), now), 1);
        retries.superseded(project(), cause(1));
        assert_eq!(retries.failed(project(), Some(cause(1)), now), 2);
        retries.superseded(project(), cause(2));
        assert!(
            retries.waiting(now).is_empty(),
            "what is asked for now waits for what failed before"
        );
        assert_eq!(retries.failed(project(), Some(cause(2)), now), 1);
        retries.failed(project(), None, now);
        assert_eq!(retries.failed(project(), Some(cause(3)), now), 1);
    }
}
