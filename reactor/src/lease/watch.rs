//! What somebody who waits has seen, and what follows from it. Pure: times are given.

use std::time::Duration;

use firefly_domain::lease::{State, Token};
use tokio::time::Instant;

use super::{TERM, WAIT_GAP, WAIT_INTERVAL};
use crate::peers::Life;

/// What somebody who waits has seen.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// What the holder last showed, and since when.
    seen: Option<(Sign, Instant)>,
    said: Option<Said>,
}

/// What changes with each sign of life that a holder gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sign {
    token: Token,
    /// Signs in the log.
    signs: u64,
    /// Signs beside it.
    life: Life,
}

/// That somebody waits was said to the holder with a number.
#[derive(Clone, Copy, Debug)]
struct Said {
    token: Token,
    /// When it was last said, on the clock that goes on while the host sleeps.
    last: Duration,
    /// Since when it is said without a gap.
    since: Instant,
}

impl Sign {
    pub(super) const fn of(state: &State, life: Life) -> Self {
        Self {
            token: state.token,
            signs: state.signs,
            life,
        }
    }
}

impl Watch {
    /// Whether it is time to say to the holder with this number that somebody waits.
    pub(super) fn must_say(&self, token: Token, uptime: Duration) -> bool {
        let is_fresh =
            |said: &Said| said.token == token && uptime.saturating_sub(said.last) < WAIT_INTERVAL;
        !self.said.as_ref().is_some_and(is_fresh)
    }

    /// It was said.
    pub(super) fn say(&mut self, token: Token, uptime: Duration, now: Instant) {
        let without_gap =
            |said: &Said| said.token == token && uptime.saturating_sub(said.last) < WAIT_GAP;
        let before = self.said.filter(without_gap);
        self.said = Some(Said {
            token,
            last: uptime,
            since: before.map_or(now, |said| said.since),
        });
    }

    /// Takes a look at the holder in, which began and ended at these times; whether it has been silent for a whole term.
    ///
    /// A holder of another installation gives signs only to those of whom it knows that they wait.
    pub(super) fn is_silent(&mut self, sign: Sign, began: Instant, ended: Instant) -> bool {
        let since = match self.seen {
            Some((seen, since)) if seen == sign => since,
            Some(_) | None => ended,
        };
        self.seen = Some((sign, since));
        let over = |since: Instant| began.saturating_duration_since(since) > TERM;
        let said = self.said.filter(|said| said.token == sign.token);
        let is_known = sign.life != Life::Unknown || said.is_some_and(|said| over(said.since));
        is_known && over(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn sign(signs: u64, life: Life) -> Sign {
        Sign {
            token: Token::new(1),
            signs,
            life,
        }
    }

    /// Looks that take no time, at seconds after the first one.
    fn looks(watch: &mut Watch, begun: Instant, looks: &[(u32, Sign)]) -> Vec<bool> {
        let at = |seconds: u32| begun + seconds * SECOND;
        looks
            .iter()
            .map(|(seconds, sign)| watch.is_silent(*sign, at(*seconds), at(*seconds)))
            .collect()
    }

    #[tokio::test]
    async fn a_peer_is_silent_once_it_has_shown_nothing_for_a_whole_term() {
        let begun = Instant::now();
        let first = sign(0, Life::Signs(7));
        let silent = looks(
            &mut Watch::default(),
            begun,
            &[(0, first), (6, first), (7, first)],
        );
        assert_eq!(silent, [false, false, true]);
        for other in [sign(1, Life::Signs(7)), sign(0, Life::Signs(8))] {
            let silent = looks(
                &mut Watch::default(),
                begun,
                &[(0, first), (5, other), (7, other), (11, other), (12, other)],
            );
            assert_eq!(silent, [false, false, false, false, true]);
        }
    }

    #[tokio::test]
    async fn a_slow_look_counts_from_its_end_and_decides_at_its_beginning() {
        let begun = Instant::now();
        let mut watch = Watch::default();
        let sign = sign(0, Life::Signs(7));
        assert!(!watch.is_silent(sign, begun, begun + 3 * SECOND));
        assert!(!watch.is_silent(sign, begun + 8 * SECOND, begun + 20 * SECOND));
        assert!(watch.is_silent(sign, begun + 10 * SECOND, begun + 10 * SECOND));
    }

    #[tokio::test]
    async fn whoever_sees_only_the_log_has_to_say_so_first() {
        let begun = Instant::now();
        let mut watch = Watch::default();
        let unknown = sign(0, Life::Unknown);
        assert_eq!(
            looks(&mut watch, begun, &[(0, unknown), (20, unknown)]),
            [false, false]
        );
        watch.say(Token::new(1), 20 * SECOND, begun + 20 * SECOND);
        assert_eq!(
            looks(&mut watch, begun, &[(26, unknown), (27, unknown)]),
            [false, true]
        );
    }

    #[tokio::test]
    async fn what_was_said_to_one_holder_does_not_count_for_the_next() {
        let begun = Instant::now();
        let mut watch = Watch::default();
        assert!(watch.must_say(Token::new(1), Duration::ZERO));
        watch.say(Token::new(1), Duration::ZERO, begun);
        assert!(!watch.must_say(Token::new(1), SECOND));
        assert!(watch.must_say(Token::new(2), SECOND));
        let next = Sign {
            token: Token::new(2),
            ..sign(0, Life::Unknown)
        };
        assert_eq!(
            looks(&mut watch, begun, &[(1, next), (20, next)]),
            [false, false]
        );
    }

    #[tokio::test]
    async fn whoever_was_not_heard_of_for_long_begins_anew() {
        let begun = Instant::now();
        let mut watch = Watch::default();
        let unknown = sign(0, Life::Unknown);
        watch.say(Token::new(1), Duration::ZERO, begun);
        assert!(watch.must_say(Token::new(1), WAIT_INTERVAL));
        // The host slept: hardly any time seems to have passed.
        let later = begun + 7 * SECOND;
        watch.say(Token::new(1), WAIT_GAP, later);
        assert!(!watch.is_silent(unknown, begun, begun));
        assert!(!watch.is_silent(unknown, later + 6 * SECOND, later + 6 * SECOND));
        assert!(watch.is_silent(unknown, later + 7 * SECOND, later + 7 * SECOND));
    }
}
