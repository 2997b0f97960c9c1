//! `?at=`: projects and sessions as they were, by folding the log up to a moment with the domain's own `evolve`.
//!
//! Lists know from the read models which projects and sessions a user has ever had, and nothing else: what each of them
//! was like comes from its events.

pub mod session;

use std::sync::Arc;
use std::time::Duration;

use firefly_domain::{Aggregate, Project, ProjectKey, Segment, Session};
use firefly_event_store::{
    DecodeError, DomainEvent, Error as LogError, EventStore, Position, RecordedEvent, Revision,
    StreamId,
};
use firefly_read_models::{ProjectRow, Row, SessionRow, Value};
use firefly_web::Problem;
use futures::{StreamExt, TryStreamExt};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::App;
use crate::error::Error;
use crate::history::unknown;
use crate::hub::Folded;
use crate::moment::{Asked, shown};
use crate::reading::Pages;
use crate::view::ProjectView;
use session::{SessionFold, SessionView};

/// Streams of one list that are folded; the newest are taken.
const STREAMS_MAX: i64 = 1_000;

/// Events read at a time where a stream is read up to one of its events.
const PAGE_EVENTS: usize = 256;

/// Streams that are folded at the same time.
const FOLDS_AT_ONCE: usize = 8;

/// How long a list waits for read models that are behind the moment it is about.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(5);

/// The parameter of what can be asked for as it was.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct At {
    /// A position, a time, or for one project or session a revision; now, without it.
    #[param(value_type = Option<crate::terms::Moment>, inline)]
    pub at: Option<String>,
}

/// A user's sessions at a moment.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionsThen)]
pub struct Sessions {
    sessions: Vec<SessionView>,
    position: u64,
    /// Whether sessions are left out: there are the 1,000 that began last.
    truncated: bool,
}

/// Why something could not be folded.
#[derive(Debug)]
pub enum Failure {
    Log(LogError),
    /// One of its events could not be read.
    Unreadable(DecodeError),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Log(error) => Self::log(&error),
            Failure::Unreadable(error) => Self::unreadable(&error),
        }
    }
}

impl App {
    /// A project as it was after the event at a position; none if it was not opened yet.
    pub async fn project_at(
        &self,
        stream: &StreamId,
        until: Position,
    ) -> Result<Option<ProjectView>, Failure> {
        let mut folded: Option<Folded> = None;
        self.fold(stream, until, |recorded, event| {
            if let DomainEvent::Project(_, event) = event {
                folded
                    .get_or_insert_with(|| Folded::before(recorded))
                    .take(recorded, event);
            }
        })
        .await?;
        Ok(folded.and_then(|folded| folded.view(&self.config.preview_url)))
    }

    /// A project as it was at a moment.
    pub async fn project_then(&self, key: &ProjectKey, at: &str) -> Result<ProjectView, Error> {
        let stream = StreamId::of(Project::CATEGORY, key.id().as_uuid());
        let at = self.moment_of(&stream, Asked::parse("at", at)?).await?;
        self.existing_project_at(key, &stream, at).await
    }

    /// The same as [`project_at`](Self::project_at), where a project that was not opened yet is refused.
    pub async fn existing_project_at(
        &self,
        key: &ProjectKey,
        stream: &StreamId,
        until: Position,
    ) -> Result<ProjectView, Error> {
        if let Some(project) = self.project_at(stream, until).await? {
            return Ok(project);
        }
        let first = self.first_event(stream).await?;
        let problem = first.map_or_else(|| unknown(key), |first| not_yet(key, until, &first));
        Err(problem.into())
    }

    /// A session as it was after the event at a position; none if it had not begun.
    pub async fn session_at(
        &self,
        stream: &StreamId,
        until: Position,
    ) -> Result<Option<SessionView>, Failure> {
        let folded = self.session_fold_at(stream, until).await?;
        Ok(folded.view())
    }

    /// The same, to take more events in.
    pub async fn session_fold_at(
        &self,
        stream: &StreamId,
        until: Position,
    ) -> Result<SessionFold, Failure> {
        let mut folded = SessionFold::default();
        self.fold(stream, until, |recorded, event| {
            if let DomainEvent::Session(_, event) = event {
                folded.take(recorded, event);
            }
        })
        .await?;
        Ok(folded)
    }

    /// The projects that a user had at a moment, the one that changed last first; and whether there may be more of them.
    pub async fn projects_then(
        &self,
        user: &Segment,
        at: &str,
    ) -> Result<(Vec<ProjectView>, bool), Error> {
        let position = self.moment(Asked::parse("at", at)?).await?;
        let streams = self.project_streams(user, position).await?;
        let truncated = is_full(&streams);
        let mut views: Vec<ProjectView> = futures::stream::iter(streams)
            .map(|stream| async move { or_left_out(self.project_at(&stream, position).await) })
            .buffer_unordered(FOLDS_AT_ONCE)
            .try_filter_map(|view| async { Ok(view) })
            .try_collect()
            .await?;
        views.sort_by_key(|view| std::cmp::Reverse(view.position));
        Ok((views, truncated))
    }

    /// All sessions that a user had begun by a moment, newest first.
    pub async fn sessions_then(&self, user: &Segment, at: &str) -> Result<Sessions, Error> {
        let position = self.moment(Asked::parse("at", at)?).await?;
        let streams = self.session_streams(user, position).await?;
        let truncated = is_full(&streams);
        let mut sessions: Vec<SessionView> = futures::stream::iter(streams)
            .map(|stream| async move { or_left_out(self.session_at(&stream, position).await) })
            .buffer_unordered(FOLDS_AT_ONCE)
            .try_filter_map(|view| async { Ok(view) })
            .try_collect()
            .await?;
        sessions.sort_by_key(|session| std::cmp::Reverse(session.started_at));
        Ok(Sessions {
            sessions,
            position: position.number(),
            truncated,
        })
    }

    async fn fold(
        &self,
        stream: &StreamId,
        until: Position,
        mut take: impl FnMut(&RecordedEvent, &DomainEvent) + Send,
    ) -> Result<(), Failure> {
        let mut pages = Pages::of_stream(Arc::clone(&self.store), stream.clone(), until);
        while let Some(page) = pages.next().await.map_err(Failure::Log)? {
            for recorded in &page {
                let event = DomainEvent::decode(recorded).map_err(Failure::Unreadable)?;
                if let Some(event) = event {
                    take(recorded, &event);
                }
            }
        }
        Ok(())
    }

    /// The projects that a user had ever opened by a position, or later.
    async fn project_streams(
        &self,
        user: &Segment,
        position: Position,
    ) -> Result<Vec<StreamId>, Error> {
        self.read_models_have(position).await?;
        let behind = "WHERE \"user\" = $1 ORDER BY position DESC LIMIT $2";
        let values = [user.as_str().into(), STREAMS_MAX.into()];
        let rows = self
            .config
            .read_models
            .rows::<ProjectRow>(behind, &values)
            .await;
        let rows = rows.map_err(|error| Error::read_models(&error))?;
        Ok(streams(Project::CATEGORY, rows.iter().map(Row::key)))
    }

    /// The last sessions that a user had begun by a position.
    async fn session_streams(
        &self,
        user: &Segment,
        position: Position,
    ) -> Result<Vec<StreamId>, Error> {
        self.read_models_have(position).await?;
        let behind = Position::new(position.number().saturating_add(1));
        let last = self.store.read_all_back(Some(behind), 1).await;
        let last = last.map_err(|error| Error::log(&error))?;
        let behind = "WHERE \"user\" = $1 AND started_at <= $2 ORDER BY started_at DESC LIMIT $3";
        let values = [
            user.as_str().into(),
            Value::Integer(
                last.first()
                    .map(|event| event.recorded_at.timestamp_micros()),
            ),
            STREAMS_MAX.into(),
        ];
        let rows = self
            .config
            .read_models
            .rows::<SessionRow>(behind, &values)
            .await;
        let rows = rows.map_err(|error| Error::read_models(&error))?;
        Ok(streams(Session::CATEGORY, rows.iter().map(Row::key)))
    }

    /// Waits for read models that know everything that had begun by a position.
    async fn read_models_have(&self, position: Position) -> Result<(), Error> {
        timeout(CATCH_UP_TIMEOUT, self.config.freshness.reached(position))
            .await
            .map_err(|_| Error::behind())
    }
}

/// Reads what a stream had before one of its events.
pub async fn fold_before(
    store: &dyn EventStore,
    event: &RecordedEvent,
    mut take: impl FnMut(&RecordedEvent, &DomainEvent) + Send,
) -> Result<(), Failure> {
    let mut from = Revision::FIRST;
    while from < event.revision {
        let page = store.read_stream(&event.stream, from, PAGE_EVENTS).await;
        let page = page.map_err(Failure::Log)?;
        let Some(last) = page.last() else {
            break;
        };
        from = last.revision.next();
        let is_before = |recorded: &&RecordedEvent| recorded.revision < event.revision;
        for recorded in page.iter().take_while(is_before) {
            let decoded = DomainEvent::decode(recorded).map_err(Failure::Unreadable)?;
            if let Some(decoded) = decoded {
                take(recorded, &decoded);
            }
        }
    }
    Ok(())
}

/// An event that cannot be read costs its own project or session the place in a list, and no other.
fn or_left_out<T>(folded: Result<Option<T>, Failure>) -> Result<Option<T>, Error> {
    match folded {
        Err(Failure::Unreadable(error)) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a list of the past leaves out what has an event that cannot be read"
            );
            Ok(None)
        }
        folded => Ok(folded?),
    }
}

/// Whether as many streams were found as are folded at most.
fn is_full(streams: &[StreamId]) -> bool {
    i64::try_from(streams.len()).is_ok_and(|count| count >= STREAMS_MAX)
}

fn streams<'a>(category: &str, ids: impl Iterator<Item = &'a str>) -> Vec<StreamId> {
    let ids = ids.filter_map(|id| id.parse::<Uuid>().ok());
    ids.map(|id| StreamId::of(category, &id)).collect()
}

fn not_yet(key: &ProjectKey, at: Position, first: &RecordedEvent) -> Problem {
    let detail = format!(
        "{key} was not opened yet at position {at}; it was first opened at position {} on {}",
        first.position,
        shown(first.recorded_at)
    );
    Problem::new(StatusCode::NOT_FOUND, "project-not-found", detail)
}

/// A session had not begun at a moment.
fn session_not_yet(at: Position, first: Option<&RecordedEvent>) -> Problem {
    let begun = first.map_or_else(String::new, |first| {
        format!(
            "; it began at position {} on {}",
            first.position,
            shown(first.recorded_at)
        )
    });
    let detail = format!("the session had not begun yet at position {at}{begun}");
    Problem::new(StatusCode::NOT_FOUND, "session-not-found", detail)
}
