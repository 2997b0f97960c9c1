//! A subscriber's place in live state.

use std::sync::Arc;

use firefly_event_store::Position;

use super::Hub;
use super::queue::Queue;
use super::registry::Topic;
use crate::message::End;
use crate::past::session::SessionFold;
use crate::view::ProjectView;

/// A subscriber's place, which is free again when this is dropped.
pub struct Place {
    hub: Hub,
    id: u64,
    topic: Topic,
    pub queue: Arc<Queue>,
}

impl Place {
    pub(super) const fn new(hub: Hub, id: u64, topic: Topic, queue: Arc<Queue>) -> Self {
        Self {
            hub,
            id,
            topic,
            queue,
        }
    }

    /// From now on changes are queued: all behind the position that is given back.
    pub fn attach(&self) -> Position {
        let mut state = self.hub.lock();
        state.registry.attach(self.id);
        state.position
    }

    /// The same, with the projects of its topic as they stand there.
    ///
    /// # Errors
    ///
    /// It is about a project with an event that could not be read, so nobody knows how that stands.
    pub fn attach_with_projects(&self) -> Result<(Position, Vec<ProjectView>), End> {
        let mut state = self.hub.lock();
        let preview_url = &self.hub.preview_url;
        let projects = match &self.topic {
            Topic::User(user) => state.projects_of(user, preview_url),
            Topic::Project(id) if state.is_left_out(*id) => return Err(End::Failed),
            Topic::Project(id) => state.standing(*id, preview_url).into_iter().collect(),
            Topic::Session(_) | Topic::Log => Vec::new(),
        };
        state.registry.attach(self.id);
        Ok((state.position, projects))
    }

    /// Leaves the session that it follows with the hub, as it was where this was attached, so that the hub need not read it.
    ///
    /// Behind that position the hub folds whatever session is followed; so if it has none, nothing has happened to it.
    pub fn leave_session(&self, folded: SessionFold) {
        if let Topic::Session(session) = self.topic {
            let mut state = self.hub.lock();
            state.put_session_if_none(session, folded);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.hub.lock();
        state.registry.leave(self.id);
        if let Topic::Session(session) = self.topic {
            state.tidy_session(session);
        }
    }
}
