//! A project, folded from its events, with what the log says about it.

use firefly_domain::project::{self, Known, State};
use firefly_domain::{Aggregate, Project};
use firefly_event_store::{Position, RecordedEvent};

use crate::view::{ProjectView, Stamp};

/// A project and what the log says about its state.
pub struct Folded {
    state: State,
    stamp: Stamp,
    /// Where its first event stands.
    began: Position,
}

impl Folded {
    /// Nothing yet; `first` is the first event that will be taken in.
    pub fn before(first: &RecordedEvent) -> Self {
        Self {
            state: State::default(),
            stamp: Stamp {
                opened_at: first.recorded_at,
                updated_at: first.recorded_at,
                revision: first.revision,
                position: first.position,
            },
            began: first.position,
        }
    }

    pub fn take(&mut self, recorded: &RecordedEvent, event: &project::Event) {
        if matches!(event, project::Event::Opened(_)) {
            self.stamp.opened_at = recorded.recorded_at;
        }
        self.stamp.updated_at = recorded.recorded_at;
        self.stamp.revision = recorded.revision;
        self.stamp.position = recorded.position;
        self.state = Project::evolve(std::mem::take(&mut self.state), event);
    }

    pub fn view(&self, preview_url: &str) -> Option<ProjectView> {
        self.known()
            .map(|known| ProjectView::new(known, self.stamp, preview_url))
    }

    /// The project, if it was ever opened.
    pub fn known(&self) -> Option<&Known> {
        self.state.known()
    }

    /// The same, unless it is deleted.
    pub fn standing(&self) -> Option<&Known> {
        self.known()
            .filter(|known| known.phase != project::Phase::Deleted)
    }

    /// Whether it had begun before an event.
    pub fn began_before(&self, position: Position) -> bool {
        self.began < position
    }
}
