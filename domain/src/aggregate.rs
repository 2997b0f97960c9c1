//! The decider: the one shape that every aggregate has.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Segment;

/// A consistency boundary: commands are decided against its state, and its state is the fold of its events.
///
/// The pattern is known as the decider (Jérémie Chassaing, 2021).
pub trait Aggregate {
    /// What has been decided so far; the default is the state before the first event.
    type State: Clone + Default + Send + Sync + 'static;
    /// What is asked for, with everything the decision needs.
    type Command: Clone + Send + Sync + 'static;
    /// What happened.
    type Event: Clone + Send + Sync + 'static;
    /// Why a command is refused.
    type Rejection: std::error::Error + Send + Sync + 'static;

    /// What a stream of this aggregate is called, before the dash and the id.
    const CATEGORY: &'static str;

    /// Decides a command: the events to record, none if it is already so, or a refusal.
    fn decide(
        state: &Self::State,
        command: Self::Command,
    ) -> Result<Vec<Self::Event>, Self::Rejection>;

    /// Takes an event in. It never fails and never judges: what is recorded has happened.
    fn evolve(state: Self::State, event: &Self::Event) -> Self::State;
}

/// Who caused an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "name")]
pub enum Actor {
    /// A signed-in person.
    #[serde(rename = "user")]
    User(Segment),
    /// A part of Firefly, by its role's name.
    #[serde(rename = "system")]
    System(String),
    /// Nobody known.
    #[serde(rename = "anonymous")]
    Anonymous,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => name.fmt(f),
            Self::System(role) => write!(f, "firefly ({role})"),
            Self::Anonymous => f.write_str("somebody"),
        }
    }
}
