//! The Session aggregate: one sign-in of one user in one client.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Aggregate, ProjectId, Segment};

/// Projects that one session may be in at a time.
pub const PROJECTS_MAX: usize = 64;

/// Marks the aggregate; it has no values.
#[derive(Debug)]
pub enum Session {}

/// The state of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It has not begun.
    #[default]
    Absent,
    /// The user is signed in.
    Active {
        /// Who.
        user: Segment,
        /// The projects the user has in hand.
        projects: BTreeSet<ProjectId>,
    },
    /// It is over.
    Ended,
}

/// A request to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Begin.
    Start {
        /// Who signs in.
        user: Segment,
        /// With what kind of client.
        client: String,
    },
    /// Take a project in hand.
    Join(ProjectId),
    /// Put a project down.
    Leave(ProjectId),
    /// Sign out.
    End(EndReason),
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndReason {
    /// The user signed out.
    #[serde(rename = "signed-out")]
    SignedOut,
}

impl EndReason {
    /// The name on the wire and in the read models.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignedOut => "signed-out",
        }
    }
}

/// Something that happened to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A user signed in.
    Started(Started),
    /// The user took a project in hand.
    Joined(Joined),
    /// The user put a project down.
    Left(Left),
    /// It is over.
    Ended(Ended),
}

/// See [`Event::Started`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Who signed in.
    pub user: Segment,
    /// With what kind of client.
    pub client: String,
}

/// See [`Event::Joined`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The project.
    pub project: ProjectId,
}

/// See [`Event::Left`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// The project.
    pub project: ProjectId,
}

/// See [`Event::Ended`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Why.
    pub reason: EndReason,
}

/// Why a command to a session is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// There is no such session.
    #[error("there is no such session; sign in first")]
    NotFound,
    /// It is over.
    #[error("the session is over; sign in again")]
    Over,
    /// Its id was used before.
    #[error("the session has begun already; start one with a new id")]
    AlreadyStarted,
    /// It is in too many projects.
    #[error("the session is in {PROJECTS_MAX} projects already; leave one first")]
    TooManyProjects,
}

impl Rejection {
    /// The stable code for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "session-not-found",
            Self::Over => "session-over",
            Self::AlreadyStarted => "session-already-started",
            Self::TooManyProjects => "too-many-projects",
        }
    }
}

impl Aggregate for Session {
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    const CATEGORY: &'static str = "session";

    fn decide(state: &State, command: Command) -> Result<Vec<Event>, Rejection> {
        match (state, command) {
            (State::Absent, Command::Start { user, client }) => {
                Ok(vec![Event::Started(Started { user, client })])
            }
            (State::Absent, _) => Err(Rejection::NotFound),
            (State::Active { .. } | State::Ended, Command::Start { .. }) => {
                Err(Rejection::AlreadyStarted)
            }
            (State::Active { projects, .. }, Command::Join(project))
                if projects.contains(&project) =>
            {
                Ok(vec![])
            }
            (State::Active { projects, .. }, Command::Join(_))
                if projects.len() >= PROJECTS_MAX =>
            {
                Err(Rejection::TooManyProjects)
            }
            (State::Active { .. }, Command::Join(project)) => {
                Ok(vec![Event::Joined(Joined { project })])
            }
            (State::Active { projects, .. }, Command::Leave(project))
                if !projects.contains(&project) =>
            {
                Ok(vec![])
            }
            (State::Active { .. }, Command::Leave(project)) => {
                Ok(vec![Event::Left(Left { project })])
            }
            (State::Active { .. }, Command::End(reason)) => {
                Ok(vec![Event::Ended(Ended { reason })])
            }
            // Ending twice, or leaving what went with the session, is already so.
            (State::Ended, Command::End(_) | Command::Leave(_)) => Ok(vec![]),
            (State::Ended, Command::Join(_)) => Err(Rejection::Over),
        }
    }

    fn evolve(state: State, event: &Event) -> State {
        match (state, event) {
            (_, Event::Started(started)) => State::Active {
                user: started.user.clone(),
                projects: BTreeSet::new(),
            },
            (State::Active { user, mut projects }, Event::Joined(joined)) => {
                projects.insert(joined.project);
                State::Active { user, projects }
            }
            (State::Active { user, mut projects }, Event::Left(left)) => {
                projects.remove(&left.project);
                State::Active { user, projects }
            }
            (_, Event::Ended(_)) => State::Ended,
            (state @ (State::Absent | State::Ended), Event::Joined(_) | Event::Left(_)) => state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProjectKey;
    use crate::testing::given;

    fn alice() -> Segment {
        Segment::parse("alice").unwrap()
    }

    fn app() -> ProjectId {
        ProjectKey::new("alice", "montage", "app").unwrap().id()
    }

    fn start() -> Command {
        Command::Start {
            user: alice(),
            client: "console".into(),
        }
    }

    fn started() -> Event {
        Event::Started(Started {
            user: alice(),
            client: "console".into(),
        })
    }

    fn joined() -> Event {
        Event::Joined(Joined { project: app() })
    }

    fn ended() -> Event {
        Event::Ended(Ended {
            reason: EndReason::SignedOut,
        })
    }

    #[test]
    fn a_session_begins_once() {
        given::<Session>([]).when(start()).then([started()]);
        given::<Session>([started()])
            .when(start())
            .then_rejected(Rejection::AlreadyStarted);
        given::<Session>([started(), ended()])
            .when(start())
            .then_rejected(Rejection::AlreadyStarted);
    }

    #[test]
    fn a_project_is_joined_and_left_once() {
        given::<Session>([started()])
            .when(Command::Join(app()))
            .then([joined()]);
        given::<Session>([started(), joined()])
            .when(Command::Join(app()))
            .then_nothing();
        given::<Session>([started(), joined()])
            .when(Command::Leave(app()))
            .then([Event::Left(Left { project: app() })]);
        given::<Session>([started()])
            .when(Command::Leave(app()))
            .then_nothing();
    }

    #[test]
    fn a_session_joins_a_bounded_number_of_projects() {
        let many = (0..PROJECTS_MAX).map(|number| {
            let key = ProjectKey::new("alice", "montage", &format!("app{number}")).unwrap();
            Event::Joined(Joined { project: key.id() })
        });
        given::<Session>(std::iter::once(started()).chain(many))
            .when(Command::Join(app()))
            .then_rejected(Rejection::TooManyProjects);
    }

    #[test]
    fn a_session_that_is_over_takes_no_project() {
        given::<Session>([started(), ended()])
            .when(Command::Join(app()))
            .then_rejected(Rejection::Over);
        given::<Session>([started(), ended()])
            .when(Command::End(EndReason::SignedOut))
            .then_nothing();
        given::<Session>([started()])
            .when(Command::End(EndReason::SignedOut))
            .then([ended()]);
    }

    #[test]
    fn an_unknown_session_does_nothing() {
        given::<Session>([])
            .when(Command::Join(app()))
            .then_rejected(Rejection::NotFound);
        given::<Session>([])
            .when(Command::End(EndReason::SignedOut))
            .then_rejected(Rejection::NotFound);
    }
}
