//! The Projection aggregate: what operators have said about a read model. What it holds is no part of it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Aggregate, EventId};

/// Characters of a reason.
pub const REASON_LENGTH_MAX: usize = 500;

/// Names of projections are hashed below this; it never changes.
const PROJECTION_NAMESPACE: Uuid = Uuid::from_u128(0x6d1f_8ad0_3c7e_4b52_9d55_6b0e_5a4c_21f7);

/// Marks the aggregate; it has no values.
#[derive(Debug)]
pub enum Projection {}

impl Projection {
    /// The id that belongs to a name.
    pub fn id(name: &str) -> Uuid {
        Uuid::new_v5(&PROJECTION_NAMESPACE, name.as_bytes())
    }
}

/// The state of a projection, as far as people have a say in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Events that it passes over.
    pub skipped: BTreeSet<EventId>,
}

/// A request to a projection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Pass an event over that it cannot take in.
    Skip {
        /// The projection's name.
        projection: String,
        /// The event.
        event: EventId,
        /// Where the event stands.
        position: u64,
        /// Why.
        reason: String,
    },
}

/// Something that happened to a projection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An event is passed over from now on.
    Skipped(Skipped),
}

/// See [`Event::Skipped`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The projection's name.
    pub projection: String,
    /// The event.
    pub event: EventId,
    /// Where the event stands.
    pub position: u64,
    /// Why.
    pub reason: String,
}

/// Why a command to a projection is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Nobody will know why.
    #[error("say why, in 1 to {REASON_LENGTH_MAX} characters")]
    Reason,
}

impl Rejection {
    /// The stable code for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Reason => "reason-missing",
        }
    }
}

impl Aggregate for Projection {
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    const CATEGORY: &'static str = "projection";

    fn decide(state: &State, command: Command) -> Result<Vec<Event>, Rejection> {
        let Command::Skip {
            projection,
            event,
            position,
            reason,
        } = command;
        if reason.trim().is_empty() || reason.chars().count() > REASON_LENGTH_MAX {
            return Err(Rejection::Reason);
        }
        if state.skipped.contains(&event) {
            return Ok(vec![]);
        }
        Ok(vec![Event::Skipped(Skipped {
            projection,
            event,
            position,
            reason,
        })])
    }

    fn evolve(mut state: State, event: &Event) -> State {
        let Event::Skipped(skipped) = event;
        state.skipped.insert(skipped.event);
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;

    fn skip(reason: &str) -> Command {
        Command::Skip {
            projection: "projects".into(),
            event: EventId::from_uuid(Uuid::from_u128(7)),
            position: 12,
            reason: reason.into(),
        }
    }

    fn skipped() -> Event {
        Event::Skipped(Skipped {
            projection: "projects".into(),
            event: EventId::from_uuid(Uuid::from_u128(7)),
            position: 12,
            reason: "it was made by hand".into(),
        })
    }

    #[test]
    fn an_event_is_skipped_once_and_with_a_reason() {
        given::<Projection>([])
            .when(skip("it was made by hand"))
            .then([skipped()]);
        given::<Projection>([skipped()])
            .when(skip("again"))
            .then_nothing();
        for reason in ["", "  ", &"x".repeat(REASON_LENGTH_MAX + 1)] {
            given::<Projection>([])
                .when(skip(reason))
                .then_rejected(Rejection::Reason);
        }
    }
}
