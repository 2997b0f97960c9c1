//! What a process knows of its own hold on the lease. Pure: times are given.

use std::time::Duration;

use firefly_domain::lease::{Holder, State, Token};
use firefly_event_store::Revision;
use tokio::time::Instant;

use super::{MARGIN, TERM, WAITERS_REMEMBERED};

#[derive(Debug, Default)]
pub(super) struct Standing {
    pub(super) tenure: Option<Tenure>,
    /// Who was last seen to get it, other than this process.
    pub(super) holder: Option<Holder>,
    /// Until when somebody is taken to wait who sees only the log; none only once that was forgotten with a sign.
    pub(super) awaited_until: Option<Instant>,
    /// The lease, folded up to a revision.
    pub(super) folded: State,
    pub(super) next: Option<Revision>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Tenure {
    pub(super) token: Token,
    /// On the clock that goes on while the host sleeps.
    pub(super) valid_until: Duration,
}

impl Tenure {
    /// One whose last sign was asked for at a time.
    pub(super) const fn from(token: Token, asked: Duration) -> Self {
        Self {
            token,
            valid_until: asked.saturating_add(TERM).saturating_sub(MARGIN),
        }
    }
}

impl Standing {
    pub(super) const fn is_awaited(&self) -> bool {
        self.awaited_until.is_some()
    }

    /// Whether it is held with a number, at a time.
    pub(super) fn holds(&self, token: Token, uptime: Duration) -> bool {
        self.tenure
            .is_some_and(|tenure| tenure.token == token && uptime < tenure.valid_until)
    }

    /// Another holder has a number.
    pub(super) fn lose(&mut self, token: Token) {
        if self.tenure.is_some_and(|tenure| tenure.token < token) {
            self.tenure = None;
        }
    }

    /// A sign was asked for at a time, and is where all who wait will see it.
    pub(super) fn extend(&mut self, token: Token, asked: Duration) {
        if let Some(tenure) = self.tenure.as_mut().filter(|tenure| tenure.token == token) {
            let extended = Tenure::from(token, asked).valid_until;
            tenure.valid_until = tenure.valid_until.max(extended);
        }
    }

    /// Takes the lease in as it was read.
    pub(super) fn read(&mut self, state: State, next: Option<Revision>, now: Instant) {
        if next <= self.next {
            return;
        }
        let known = if state.token == self.folded.token {
            self.folded.waiting
        } else {
            0
        };
        if state.waiting > known {
            self.awaited_until = Some(now + WAITERS_REMEMBERED);
        }
        (self.folded, self.next) = (state, next);
    }

    /// A sign that was asked for at a time is in the log: those who waited long ago have seen it, if they wait still.
    pub(super) fn forget_waiters(&mut self, asked: Instant) {
        self.awaited_until = self.awaited_until.filter(|until| *until > asked);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn held() -> Standing {
        Standing {
            tenure: Some(Tenure::from(Token::new(2), 100 * SECOND)),
            ..Standing::default()
        }
    }

    #[test]
    fn a_term_is_over_a_margin_earlier_than_it_seems_to_those_who_wait() {
        let standing = held();
        let end = 100 * SECOND + TERM - MARGIN;
        assert!(standing.holds(Token::new(2), end - SECOND));
        assert!(!standing.holds(Token::new(2), end));
        assert!(!standing.holds(Token::new(1), 100 * SECOND));
    }

    #[test]
    fn a_sign_that_was_asked_for_long_ago_does_not_shorten_a_term() {
        let mut standing = held();
        standing.extend(Token::new(2), 50 * SECOND);
        standing.extend(Token::new(1), 200 * SECOND);
        assert!(standing.holds(Token::new(2), 104 * SECOND));
        assert!(!standing.holds(Token::new(2), 105 * SECOND));
        standing.extend(Token::new(2), 104 * SECOND);
        assert!(standing.holds(Token::new(2), 108 * SECOND));
    }

    #[test]
    fn only_a_later_holder_takes_it_away() {
        let mut standing = held();
        standing.lose(Token::new(1));
        standing.lose(Token::new(2));
        assert!(standing.tenure.is_some());
        standing.lose(Token::new(3));
        assert!(standing.tenure.is_none());
    }

    #[tokio::test]
    async fn those_who_wait_are_counted_for_each_holder_anew() {
        let (mut standing, now) = (Standing::default(), Instant::now());
        let state = |token, waiting| State {
            token: Token::new(token),
            waiting,
            ..State::default()
        };
        let next = |number| Some(Revision::new(number));
        standing.read(state(1, 5), next(9), now);
        assert!(standing.is_awaited());
        standing.forget_waiters(now + WAITERS_REMEMBERED);
        assert!(!standing.is_awaited());
        standing.read(state(2, 1), next(11), now);
        assert!(standing.is_awaited(), "somebody waits for the next holder");
        standing.forget_waiters(now + WAITERS_REMEMBERED);
        standing.read(state(2, 2), next(10), now);
        assert!(!standing.is_awaited(), "that was read already");
    }
}
