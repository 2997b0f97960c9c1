//! The Lease aggregate: which of several processes acts. Each that gets it gets a number, and a higher number fences the
//! lower ones off (Martin Kleppmann, "How to do distributed locking", 2016).
//!
//! The log has no clock that counts here. A holder is taken to be gone if it gave no sign for as long as the lease lasts,
//! on the clock of the one who watches; what was watched travels in the command.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Aggregate;

/// Names of leases are hashed below this; it never changes.
const LEASE_NAMESPACE: Uuid = Uuid::from_u128(0x2f0c_91b4_7d5e_4a38_8c16_e3a9_05d7_46bb);

/// Marks the aggregate; it has no values.
#[derive(Debug)]
pub enum Lease {}

impl Lease {
    /// The id that belongs to what the lease is on, such as `reactor`.
    pub fn id(subject: &str) -> Uuid {
        Uuid::new_v5(&LEASE_NAMESPACE, subject.as_bytes())
    }
}

/// Counts the holders of a lease; the first has 1.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Token(u64);

impl Token {
    /// Takes a number read from an event.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number itself.
    pub const fn number(self) -> u64 {
        self.0
    }

    const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Who may hold a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// One life of a process.
    pub process: Uuid,
    /// The installation that it is of.
    pub instance: Uuid,
}

/// The state of a lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Who has it, or had it last.
    pub holder: Option<Holder>,
    /// Whether it was given back since.
    pub released: bool,
    /// The number of that holder.
    pub token: Token,
    /// Signs of life that it has given.
    pub signs: u64,
    /// How often others have said since then that they wait.
    pub waiting: u64,
}

/// A request for a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Take it, if nobody has it, or if its holder gave no sign since it was looked at.
    Acquire {
        /// Who asks.
        holder: Holder,
        /// The lease as it was when the one who asks began to watch it for as long as it lasts.
        watched: Option<State>,
    },
    /// Say that its holder lives.
    Renew {
        /// The holder's number.
        token: Token,
    },
    /// Give it back.
    Release {
        /// The holder's number.
        token: Token,
    },
    /// Say that somebody waits for it: the one who holds it then gives signs from then on.
    Wait {
        /// Who waits.
        holder: Holder,
    },
}

/// Something that happened to a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody has it from here on.
    Acquired(Acquired),
    /// Its holder lives.
    Renewed(Renewed),
    /// Its holder gave it back.
    Released(Released),
    /// Somebody waits for it.
    Awaited(Awaited),
}

/// See [`Event::Acquired`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acquired {
    /// Who has it.
    #[serde(flatten)]
    pub holder: Holder,
    /// The holder's number.
    pub token: Token,
}

/// See [`Event::Renewed`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    /// The holder's number.
    pub token: Token,
}

/// See [`Event::Released`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// The holder's number.
    pub token: Token,
}

/// See [`Event::Awaited`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaited {
    /// Who waits.
    #[serde(flatten)]
    pub holder: Holder,
}

/// Why a command to a lease is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Somebody else has it.
    #[error("another process holds the lease, with number {}; wait until it gives no more signs", .0.number())]
    Held(Token),
    /// Somebody else has had it since.
    #[error("the lease has gone to another process, with number {}; stop acting", .0.number())]
    Lost(Token),
}

impl State {
    fn is_held_with(&self, token: Token) -> bool {
        !self.released && self.token == token
    }
}

impl Aggregate for Lease {
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    const CATEGORY: &'static str = "lease";

    fn decide(state: &State, command: Command) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Acquire { holder, watched } => acquire(state, holder, watched),
            Command::Renew { token } if state.is_held_with(token) => {
                Ok(vec![Event::Renewed(Renewed { token })])
            }
            Command::Renew { .. } => Err(Rejection::Lost(state.token)),
            Command::Release { token } if state.is_held_with(token) => {
                Ok(vec![Event::Released(Released { token })])
            }
            Command::Release { .. } => Ok(vec![]),
            Command::Wait { holder } => Ok(vec![Event::Awaited(Awaited { holder })]),
        }
    }

    fn evolve(mut state: State, event: &Event) -> State {
        match event {
            Event::Acquired(acquired) => {
                state.holder = Some(acquired.holder);
                state.token = acquired.token;
                state.released = false;
                state.signs = 0;
                state.waiting = 0;
            }
            Event::Renewed(_) => state.signs += 1,
            Event::Released(_) => state.released = true,
            Event::Awaited(_) => state.waiting += 1,
        }
        state
    }
}

fn acquire(state: &State, holder: Holder, watched: Option<State>) -> Result<Vec<Event>, Rejection> {
    let gone = |watched: State| watched.token == state.token && watched.signs == state.signs;
    if !state.released && state.holder.is_some_and(|it| it.process == holder.process) {
        return Ok(vec![]);
    }
    if state.holder.is_none() || state.released || watched.is_some_and(gone) {
        let token = state.token.next();
        return Ok(vec![Event::Acquired(Acquired { holder, token })]);
    }
    Err(Rejection::Held(state.token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;

    fn holder(number: u128) -> Holder {
        Holder {
            process: Uuid::from_u128(number),
            instance: Uuid::nil(),
        }
    }

    fn acquired(number: u128, token: u64) -> Event {
        Event::Acquired(Acquired {
            holder: holder(number),
            token: Token(token),
        })
    }

    fn renewed(token: u64) -> Event {
        Event::Renewed(Renewed {
            token: Token(token),
        })
    }

    fn released(token: u64) -> Event {
        Event::Released(Released {
            token: Token(token),
        })
    }

    fn acquire(number: u128, watched: Option<&[Event]>) -> Command {
        let fold = |events: &[Event]| events.iter().fold(State::default(), Lease::evolve);
        Command::Acquire {
            holder: holder(number),
            watched: watched.map(fold),
        }
    }

    #[test]
    fn what_nobody_has_is_had_for_the_asking() {
        given::<Lease>([])
            .when(acquire(1, None))
            .then([acquired(1, 1)]);
        given::<Lease>([acquired(1, 1), released(1)])
            .when(acquire(2, None))
            .then([acquired(2, 2)]);
    }

    #[test]
    fn who_has_it_has_it_already() {
        given::<Lease>([acquired(1, 1), renewed(1)])
            .when(acquire(1, None))
            .then_nothing();
    }

    #[test]
    fn only_a_holder_that_gave_no_sign_is_succeeded() {
        let watched = [acquired(1, 1), renewed(1)];
        given::<Lease>(watched.clone())
            .when(acquire(2, Some(&watched)))
            .then([acquired(2, 2)]);
        given::<Lease>([acquired(1, 1), renewed(1), renewed(1)])
            .when(acquire(2, Some(&watched)))
            .then_rejected(Rejection::Held(Token(1)));
        given::<Lease>([acquired(1, 1), acquired(3, 2)])
            .when(acquire(2, Some(&watched[..1])))
            .then_rejected(Rejection::Held(Token(2)));
        given::<Lease>(watched)
            .when(acquire(2, None))
            .then_rejected(Rejection::Held(Token(1)));
    }

    #[test]
    fn who_lost_it_is_told() {
        let renew = |token| Command::Renew {
            token: Token(token),
        };
        given::<Lease>([acquired(1, 1)])
            .when(renew(1))
            .then([renewed(1)]);
        given::<Lease>([acquired(1, 1), acquired(2, 2)])
            .when(renew(1))
            .then_rejected(Rejection::Lost(Token(2)));
        given::<Lease>([acquired(1, 1), released(1)])
            .when(renew(1))
            .then_rejected(Rejection::Lost(Token(1)));
    }

    #[test]
    fn it_is_given_back_by_its_holder_alone() {
        let release = |token| Command::Release {
            token: Token(token),
        };
        given::<Lease>([acquired(1, 1)])
            .when(release(1))
            .then([released(1)]);
        given::<Lease>([acquired(1, 1), acquired(2, 2)])
            .when(release(1))
            .then_nothing();
    }

    #[test]
    fn whoever_waits_says_so_each_time() {
        let awaited = || Event::Awaited(Awaited { holder: holder(2) });
        given::<Lease>([acquired(1, 1), awaited()])
            .when(Command::Wait { holder: holder(2) })
            .then([awaited()]);
    }
}
