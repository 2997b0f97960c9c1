//! One change on its way to all whom it concerns: each text is made once, and only if somebody gets it.

use firefly_event_store::Position;

use super::registry::Members;
use crate::message::Message;
use crate::past::session::SessionView;
use crate::view::{EventView, ProjectView};

/// A change, and who gets it.
pub struct Delivery {
    pub position: Position,
    pub event: EventView,
    pub shown: Shown,
    /// Those who follow the log; they are told the event alone.
    pub log: Option<Members>,
}

/// What a project or a session has become, and who is told so; neither, where nobody knows.
#[derive(Default)]
pub struct Shown {
    pub to: Vec<Members>,
    pub project: Option<ProjectView>,
    pub session: Option<SessionView>,
}

/// What a delivery came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delivered {
    pub messages: usize,
    /// Of the texts, each of which all who get it share.
    pub bytes: usize,
    /// Subscriptions that ended, since there was no room for it.
    pub too_slow: usize,
}

impl Shown {
    pub fn is_to_nobody(&self) -> bool {
        self.to.is_empty()
    }
}

impl Delivery {
    /// Queues it for everybody.
    pub fn push(&self) -> Delivered {
        let mut delivered = Delivered::default();
        if !self.shown.is_to_nobody() {
            let (project, session) = (self.shown.project.as_ref(), self.shown.session.as_ref());
            delivered.push(&self.shown.to, &self.change(project, session));
        }
        if let Some(log) = &self.log {
            delivered.push(std::slice::from_ref(log), &self.change(None, None));
        }
        delivered
    }

    const fn change<'a>(
        &'a self,
        project: Option<&'a ProjectView>,
        session: Option<&'a SessionView>,
    ) -> Message<'a> {
        Message::Change {
            position: self.position,
            event: &self.event,
            project,
            session,
        }
    }
}

impl Delivered {
    fn push(&mut self, to: &[Members], message: &Message<'_>) {
        let text = message.text();
        self.bytes += text.json.len();
        for members in to {
            self.messages += members.len();
            self.too_slow += members.push(&text);
        }
    }
}
