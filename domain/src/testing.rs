//! Given, when, then: how the aggregates' rules are tested.

use std::fmt::Debug;

use crate::Aggregate;

/// The events a test starts from.
pub struct Given<A: Aggregate> {
    state: A::State,
}

/// The outcome of a command, still to be compared.
pub struct When<A: Aggregate> {
    outcome: Result<Vec<A::Event>, A::Rejection>,
}

/// Starts from what happened before.
pub fn given<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    let state = events
        .into_iter()
        .fold(A::State::default(), |state, event| A::evolve(state, &event));
    Given { state }
}

impl<A: Aggregate> Given<A> {
    /// Decides a command.
    pub fn when(self, command: A::Command) -> When<A> {
        When {
            outcome: A::decide(&self.state, command),
        }
    }
}

impl<A: Aggregate> When<A>
where
    A::Event: Debug + PartialEq,
    A::Rejection: PartialEq,
{
    /// These events are recorded, no others.
    #[track_caller]
    pub fn then(self, events: impl IntoIterator<Item = A::Event>) {
        assert_eq!(
            self.outcome.expect("the command was refused"),
            events.into_iter().collect::<Vec<_>>()
        );
    }

    /// It is already so.
    #[track_caller]
    pub fn then_nothing(self) {
        self.then([]);
    }

    /// The command is refused for this reason.
    #[track_caller]
    pub fn then_rejected(self, rejection: A::Rejection) {
        assert_eq!(
            self.outcome.expect_err("the command was accepted"),
            rejection
        );
    }
}
