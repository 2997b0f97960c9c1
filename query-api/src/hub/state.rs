//! What the hub knows: projects as they stand, sessions that somebody follows, and who follows what.
//!
//! It takes in one event after the other and says what is to be sent to whom. It reads nothing and sends nothing.

use std::collections::HashMap;

use firefly_domain::{
    Aggregate, Project, ProjectId, ProjectKey, Segment, Session, SessionId, project, session,
};
use firefly_event_store::{DecodeError, DomainEvent, Position, RecordedEvent};

use super::delivery::{Delivery, Shown};
use super::folded::Folded;
use super::registry::{Registry, Topic};
use crate::message::End;
use crate::past::session::SessionFold;
use crate::view::{EventView, ProjectView};

#[derive(Default)]
pub struct State {
    /// The last event that was taken in.
    pub position: Position,
    pub registry: Registry,
    /// Set when nothing is taken in any more; whoever comes later ends at once.
    pub stopped: Option<End>,
    projects: HashMap<ProjectId, Folded>,
    /// The projects that a user ever had.
    of_users: HashMap<Segment, Vec<ProjectId>>,
    /// Projects with an event that could not be read; what they are now is unknown. Whose they are is known where it was
    /// before that event.
    unreadable: HashMap<ProjectId, Option<Segment>>,
    /// Sessions that somebody follows, from their first event behind that on. The log has all others.
    sessions: HashMap<SessionId, SessionFold>,
}

/// What an event says, if it can be read.
pub type Decoded = Result<Option<DomainEvent>, DecodeError>;

impl State {
    /// Takes an event in: what is to be sent, and to whom.
    pub fn take(
        &mut self,
        recorded: &RecordedEvent,
        decoded: &Decoded,
        preview_url: &str,
    ) -> Option<Delivery> {
        self.position = recorded.position;
        let shown = match decoded {
            Ok(Some(DomainEvent::Project(id, event))) if !self.is_left_out(*id) => {
                self.of_project(*id, recorded, event, preview_url)
            }
            Ok(Some(DomainEvent::Session(id, event))) => self.of_session(*id, recorded, event),
            Ok(_) | Err(_) => self.of_left_out(recorded),
        };
        let log = self.registry.members(&Topic::Log);
        if shown.is_to_nobody() && log.is_none() {
            return None;
        }
        let joined = decoded.as_ref().ok().and_then(Option::as_ref);
        let joined = joined.and_then(|event| self.joined(event, recorded.position));
        Some(Delivery {
            position: recorded.position,
            event: EventView::read(recorded, joined),
            shown,
            log,
        })
    }

    fn of_project(
        &mut self,
        id: ProjectId,
        recorded: &RecordedEvent,
        event: &project::Event,
        preview_url: &str,
    ) -> Shown {
        let is_new = !self.projects.contains_key(&id);
        let folded = self.projects.entry(id);
        let folded = folded.or_insert_with(|| Folded::before(recorded));
        folded.take(recorded, event);
        let Some(known) = folded.known() else {
            return Shown::default();
        };
        let user = &known.key.user;
        if is_new {
            let projects = self.of_users.entry(user.clone()).or_default();
            projects.push(id);
        }
        let topics = [Topic::User(user.clone()), Topic::Project(id)];
        let to = topics
            .iter()
            .filter_map(|topic| self.registry.members(topic));
        let to: Vec<_> = to.collect();
        let project = (!to.is_empty()).then(|| folded.view(preview_url)).flatten();
        Shown {
            to,
            project,
            session: None,
        }
    }

    fn of_session(
        &mut self,
        id: SessionId,
        recorded: &RecordedEvent,
        event: &session::Event,
    ) -> Shown {
        let Some(folded) = self.sessions.get_mut(&id) else {
            return Shown::default();
        };
        folded.take(recorded, event);
        let Some(session) = folded.view() else {
            return Shown::default();
        };
        Shown {
            to: Vec::from_iter(self.registry.members(&Topic::Session(id))),
            project: None,
            session: Some(session),
        }
    }

    /// An event of a project that is left out: its owner is told of it, but not of what the project has become.
    fn of_left_out(&self, recorded: &RecordedEvent) -> Shown {
        let project = project_of(recorded).and_then(|id| self.unreadable.get(&id));
        let owner = project.and_then(Option::as_ref);
        let to = owner.and_then(|user| self.registry.members(&Topic::User(user.clone())));
        Shown {
            to: Vec::from_iter(to),
            project: None,
            session: None,
        }
    }

    /// Sessions that somebody follows and that are not folded yet, each with the first of its events in a page.
    pub fn unfolded<'a>(&self, page: &'a [RecordedEvent]) -> Vec<(SessionId, &'a RecordedEvent)> {
        let mut unfolded: Vec<(SessionId, &RecordedEvent)> = Vec::new();
        for recorded in page {
            let Some(id) = session_of(recorded) else {
                continue;
            };
            let is_known = self.sessions.contains_key(&id)
                || !self.registry.has(&Topic::Session(id))
                || unfolded.iter().any(|(known, _)| *known == id);
            if !is_known {
                unfolded.push((id, recorded));
            }
        }
        unfolded
    }

    /// Puts in a session as the log has it before the event that is taken in next.
    pub fn put_session(&mut self, id: SessionId, folded: SessionFold) {
        self.sessions.insert(id, folded);
    }

    /// The same, where it is followed and not known yet.
    pub fn put_session_if_none(&mut self, id: SessionId, folded: SessionFold) {
        if self.registry.has(&Topic::Session(id)) {
            self.sessions.entry(id).or_insert(folded);
        }
    }

    /// Forgets a session that nobody follows any more.
    pub fn tidy_session(&mut self, id: SessionId) {
        if !self.registry.has(&Topic::Session(id)) {
            self.sessions.remove(&id);
        }
    }

    /// Goes on without a project; whether that is new.
    pub fn leave_out(&mut self, id: ProjectId) -> bool {
        if self.is_left_out(id) {
            return false;
        }
        let folded = self.projects.remove(&id);
        let known = folded.as_ref().and_then(Folded::known);
        let owner = known.map(|known| known.key.user.clone());
        self.unreadable.insert(id, owner);
        true
    }

    /// Whether a project has an event that could not be read.
    pub fn is_left_out(&self, id: ProjectId) -> bool {
        self.unreadable.contains_key(&id)
    }

    /// Whose a project is, if it was opened before any event of it that could not be read.
    pub fn owner(&self, id: ProjectId) -> Option<&Segment> {
        if let Some(owner) = self.unreadable.get(&id) {
            return owner.as_ref();
        }
        let known = self.projects.get(&id)?.known()?;
        Some(&known.key.user)
    }

    pub fn unreadable_count(&self) -> usize {
        self.unreadable.len()
    }

    /// A project that can be read.
    pub fn project(&self, id: ProjectId) -> Option<&Folded> {
        self.projects.get(&id)
    }

    /// What a user's projects are like, in the order of their names, without those that are deleted.
    pub fn projects_of(&self, user: &Segment, preview_url: &str) -> Vec<ProjectView> {
        let ids = self.of_users.get(user).into_iter().flatten();
        let mut views: Vec<ProjectView> = ids
            .filter_map(|id| self.standing(*id, preview_url))
            .collect();
        views.sort_by(|one, other| one.key.cmp(&other.key));
        views
    }

    /// What a project is like, unless it is deleted.
    pub fn standing(&self, id: ProjectId, preview_url: &str) -> Option<ProjectView> {
        let folded = self.projects.get(&id)?;
        folded.standing()?;
        folded.view(preview_url)
    }

    /// The project that an event of a session speaks of, if there was one by then.
    pub fn joined(&self, event: &DomainEvent, position: Position) -> Option<&ProjectKey> {
        let project = match event {
            DomainEvent::Session(_, session::Event::Joined(joined)) => joined.project,
            DomainEvent::Session(_, session::Event::Left(left)) => left.project,
            DomainEvent::Session(..) | DomainEvent::Project(..) => return None,
        };
        let folded = self.projects.get(&project)?;
        let known = folded.began_before(position).then(|| folded.known());
        known.flatten().map(|known| &known.key)
    }
}

/// The project that an event is of, if it is of one.
pub fn project_of(recorded: &RecordedEvent) -> Option<ProjectId> {
    let of_project = recorded.stream.category() == Project::CATEGORY;
    let id = recorded.stream.uuid().filter(|_| of_project);
    id.map(ProjectId::from_uuid)
}

/// The session that an event is of, if it is of one.
pub fn session_of(recorded: &RecordedEvent) -> Option<SessionId> {
    let of_session = recorded.stream.category() == Session::CATEGORY;
    let id = recorded.stream.uuid().filter(|_| of_session);
    id.map(SessionId::from_uuid)
}
