//! The Project aggregate: one user's workspace of one repository, from its first opening to its deletion.
//!
//! ```text
//!            open                 ready
//! Absent ─────────▶ Opening ─────────────▶ Ready
//!                    ▲  │ failed             │ close, crash
//!                    │  ▼                    ▼
//!                    │ Failed ──close──▶ Closing ──container stopped──▶ Closed ──open──▶ Opening
//!                    └───open┘                                            │ delete
//!                                        Deleted ◀──workspace gone── Deleting
//!
//!            quiet            wake             ready          quiet for long, memory wanted
//! Ready ─────────────▶ Paused ────▶ Waking ─────────▶ Ready      Ready, Paused ────▶ Closing
//! ```
//!
//! A project that is closed because nobody used it comes back when somebody wants to see it; one that a person closed
//! waits for somebody to open it.
//!
//! Every opening has a [`Generation`](crate::Generation). What the reactor reports names the generation it is about,
//! and a report of an older one is refused: that is the fence between a container and its successor.

pub mod command;
mod decide;
pub mod event;
mod report;
pub mod state;
#[cfg(test)]
mod tests;

pub use command::{Command, Origin, Outcome};
pub use decide::Rejection;
pub use event::{CloseReason, Event, ExitCause, OpenCause, WakeCause};
pub use state::{Known, Phase, State};

use crate::Aggregate;

/// Marks the aggregate; it has no values.
#[derive(Debug)]
pub enum Project {}

impl Aggregate for Project {
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    const CATEGORY: &'static str = "project";

    fn decide(state: &State, command: Command) -> Result<Vec<Event>, Rejection> {
        decide::decide(state, command)
    }

    fn evolve(state: State, event: &Event) -> State {
        state::evolve(state, event)
    }
}
