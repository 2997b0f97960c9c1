//! What a subscription is about, and who may follow that.

use firefly_domain::{Aggregate, Project, ProjectKey, Segment, Session, SessionId};
use firefly_event_store::StreamId;
use firefly_web::{Caller, Problem};

use crate::App;
use crate::hub::Topic;

/// What is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All projects of the caller.
    Mine,
    /// One project, which may not have been opened yet.
    Project(ProjectKey),
    /// One session of a user.
    Session { id: SessionId, user: Segment },
    /// Every event.
    Log,
}

impl Scope {
    /// What live state is asked for.
    pub fn topic(&self, caller: &Caller) -> Topic {
        match self {
            Self::Mine => Topic::User(caller.0.user.clone()),
            Self::Project(key) => Topic::Project(key.id()),
            Self::Session { id, .. } => Topic::Session(*id),
            Self::Log => Topic::Log,
        }
    }

    /// The stream that all of it is in, if it is one.
    pub fn stream(&self) -> Option<StreamId> {
        match self {
            Self::Project(key) => Some(StreamId::of(Project::CATEGORY, key.id().as_uuid())),
            Self::Session { id, .. } => Some(StreamId::of(Session::CATEGORY, id.as_uuid())),
            Self::Mine | Self::Log => None,
        }
    }
}

impl App {
    /// Lets a caller follow something.
    ///
    /// # Errors
    ///
    /// 403: it is somebody else's, and the caller is no auditor.
    pub fn may_follow(&self, caller: &Caller, scope: &Scope) -> Result<(), Problem> {
        match scope {
            Scope::Mine => Ok(()),
            Scope::Project(key) => self.may_read_project(caller, key),
            Scope::Session { user, .. } => self.may_read_user(caller, user),
            Scope::Log => self.may_audit(caller),
        }
    }
}
