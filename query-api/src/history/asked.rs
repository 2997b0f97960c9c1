//! What a reader of history asks for, as query parameters.

use firefly_domain::{Aggregate, Project, ProjectKey, Segment, Session, SessionId};
use firefly_event_store::{Position, Revision, StreamId};
use firefly_web::{Caller, Problem};
use http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::filter::{self, Filter};
use crate::App;
use crate::error::Error;
use crate::moment::Asked as Moment;
use crate::reading::{Bounds, Order, Source};
use crate::subjects;

/// Events in one answer if nothing else is asked for.
const EVENTS_DEFAULT: usize = 100;

/// Events in one answer.
pub const EVENTS_MAX: usize = 1_000;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Only this project, as `user/owner/repo`.
    #[param(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){2}$")]
    pub project: Option<String>,
    /// Only projects and sessions of this user.
    #[param(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    pub user: Option<String>,
    /// Only this session.
    #[param(format = Uuid)]
    pub session: Option<String>,
    /// Only what follows from one request.
    #[param(format = Uuid)]
    pub correlation: Option<String>,
    /// Only what this one caused: `user:NAME`, `system:ROLE`, `anonymous`, or as history shows it.
    #[param(
        pattern = r"^(anonymous|system:.*|firefly \(.*\)|(user:)?[A-Za-z0-9][A-Za-z0-9._-]{0,99})$"
    )]
    pub actor: Option<String>,
    /// Only these types, with commas in between.
    #[param(value_type = Option<Vec<String>>, style = Form, explode = false)]
    #[serde(rename = "type")]
    pub types: Option<String>,
    /// From this moment on.
    #[param(value_type = Option<crate::terms::Moment>, inline)]
    pub from: Option<String>,
    /// Up to this moment.
    #[param(value_type = Option<crate::terms::Moment>, inline)]
    pub to: Option<String>,
    /// Only behind this position: the next page, oldest first.
    #[param(format = "uint64")]
    pub after: Option<u64>,
    /// Only before this position: the next page, newest first.
    #[param(format = "uint64")]
    pub before: Option<u64>,
    /// So many events at most.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<usize>,
    /// Which come first.
    #[param(value_type = Option<crate::terms::EventOrder>, inline)]
    pub order: Option<String>,
}

impl Asked {
    /// Refuses what the path says already.
    pub fn of_path(&self) -> Result<(), Problem> {
        if self.project.is_none() && self.session.is_none() && self.user.is_none() {
            return Ok(());
        }
        Err(Problem::malformed(
            "the path says whose history it is; for another one, ask /api/v1/history",
        ))
    }

    /// Whether nothing is said about which events of many to begin with.
    pub const fn is_unpaged(&self) -> bool {
        self.after.is_none()
            && self.before.is_none()
            && self.order.is_none()
            && self.limit.is_none()
    }

    pub fn order(&self) -> Result<Order, Problem> {
        match self.order.as_deref() {
            None | Some("oldest") => Ok(Order::Oldest),
            Some("newest") => Ok(Order::Newest),
            Some(other) => Err(Problem::malformed(format!(
                "order is oldest or newest, not {other:?}"
            ))),
        }
    }

    pub fn limit(&self) -> Result<usize, Problem> {
        match self.limit {
            None => Ok(EVENTS_DEFAULT),
            Some(limit) if (1..=EVENTS_MAX).contains(&limit) => Ok(limit),
            Some(_) => Err(Problem::malformed(format!(
                "limit is a number from 1 to {EVENTS_MAX}"
            ))),
        }
    }

    pub fn filter(&self) -> Result<Filter, Problem> {
        Ok(Filter {
            actor: self.actor.as_deref().map(filter::actor).transpose()?,
            types: self.types.as_deref().map(filter::types).unwrap_or_default(),
            correlation: self
                .correlation
                .as_deref()
                .map(filter::correlation)
                .transpose()?,
            user: None,
        })
    }
}

/// What is read, and whose it must be.
pub struct Scope {
    pub source: Source,
    /// The user whose events alone are shown.
    pub user: Option<firefly_domain::Segment>,
}

impl App {
    /// What a caller may read of what they ask for: a project, a session, a user's events, or everything.
    ///
    /// Whoever is no auditor and names nothing gets their own.
    pub async fn scope(
        &self,
        caller: &Caller,
        project: Option<&str>,
        session: Option<&str>,
        user: Option<&str>,
    ) -> Result<Scope, Error> {
        let user = user.map(|name| filter::user("user", name)).transpose()?;
        if let Some(user) = &user {
            self.may_read_user(caller, user)?;
        }
        let source = match (project, session) {
            (None, None) => Source::Log,
            (Some(names), None) => Source::Stream(self.project_stream(caller, names).await?),
            (None, Some(id)) => Source::Stream(self.session_stream(caller, id).await?),
            (Some(_), Some(_)) => {
                let detail = "ask for a project or for a session; no event is of both";
                return Err(Problem::malformed(detail).into());
            }
        };
        let is_auditor = self.may_audit(caller).is_ok();
        let own = || (!is_auditor).then(|| caller.0.user.clone());
        Ok(Scope {
            source,
            user: user.or_else(own),
        })
    }

    async fn project_stream(&self, caller: &Caller, names: &str) -> Result<StreamId, Error> {
        let key = project_key(names)?;
        self.may_read_project(caller, &key)?;
        let stream = StreamId::of(Project::CATEGORY, key.id().as_uuid());
        let subject = subjects::of_stream(&*self.store, &stream).await;
        match subject.map_err(|error| Error::log(&error))? {
            Some(_) => Ok(stream),
            None => Err(super::unknown(&key).into()),
        }
    }

    /// The stream of a session that a caller may read.
    pub async fn session_stream(&self, caller: &Caller, id: &str) -> Result<StreamId, Error> {
        let (id, user) = self.session_user(id).await?;
        self.may_read_user(caller, &user)?;
        Ok(StreamId::of(Session::CATEGORY, id.as_uuid()))
    }

    /// A session by its id, and whose it is.
    pub async fn session_user(&self, id: &str) -> Result<(SessionId, Segment), Error> {
        let id: SessionId = id
            .parse()
            .map_err(|_| Problem::malformed(format!("a session's id is a UUID, not {id:?}")))?;
        let stream = StreamId::of(Session::CATEGORY, id.as_uuid());
        let subject = subjects::of_stream(&*self.store, &stream).await;
        let Some(subject) = subject.map_err(|error| Error::log(&error))? else {
            let detail = format!("there is no session {id}");
            return Err(Problem::new(StatusCode::NOT_FOUND, "session-not-found", detail).into());
        };
        Ok((id, subject.user))
    }

    /// Positions between two moments of what is read, both of them included.
    pub async fn between(
        &self,
        source: &Source,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<Bounds, Error> {
        let from = from.map(|text| Moment::parse("from", text)).transpose()?;
        let to = to.map(|text| Moment::parse("to", text)).transpose()?;
        let head = *self.store.head().borrow();
        let after = match from {
            None => Position::START,
            Some(Moment::Position(from)) => before(from),
            Some(Moment::Time(from)) => self.last_until(|recorded| recorded < from).await?,
            Some(Moment::Revision(from)) => before(self.position_of(source, from).await?),
        };
        let until = match to {
            None => head,
            Some(Moment::Position(to)) => to.min(head),
            Some(Moment::Time(to)) => self.last_until(|recorded| recorded <= to).await?,
            Some(Moment::Revision(to)) => self.position_of(source, to).await?,
        };
        let is_reversed = match (from, to) {
            (Some(Moment::Position(from)), Some(Moment::Position(to))) => from > to,
            (Some(Moment::Time(from)), Some(Moment::Time(to))) => from > to,
            (Some(Moment::Revision(from)), Some(Moment::Revision(to))) => from > to,
            _ => false,
        };
        if is_reversed {
            return Err(Problem::malformed("from is later than to; exchange them").into());
        }
        Ok(Bounds { after, until })
    }

    async fn position_of(&self, source: &Source, revision: Revision) -> Result<Position, Error> {
        let asked = Moment::Revision(revision);
        match source {
            Source::Stream(stream) => self.moment_of(stream, asked).await,
            Source::Log => self.moment(asked).await,
        }
    }
}

/// The position behind which an event stands.
const fn before(position: Position) -> Position {
    Position::new(position.number().saturating_sub(1))
}

/// A project's names, as a parameter has them.
pub fn project_key(names: &str) -> Result<ProjectKey, Problem> {
    let parts: Vec<&str> = names.split('/').collect();
    let [user, owner, repo] = parts[..] else {
        return Err(Problem::malformed(format!(
            "project takes user/owner/repo, not {names:?}"
        )));
    };
    ProjectKey::new(user, owner, repo).map_err(|error| Problem::malformed(error.to_string()))
}
