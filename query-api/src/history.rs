//! `/history`, `…/history` and `…/history/diff`: everything that happened, from the log itself.
//!
//! The log has no index by actor, type or correlation id, so such filters read through it. Each answer looks at a bounded
//! number of events and says where the next one goes on, whether or not it has found as many as were asked for.

pub mod asked;
pub mod changes;
pub mod diff;
pub mod filter;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use firefly_domain::{Aggregate, Project, ProjectKey};
use firefly_event_store::{Position, RecordedEvent, StreamId};
use firefly_web::path::ProjectNames;
use firefly_web::{Caller, Problem, ProjectPath};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;
use crate::error::Error;
use crate::parameters::Parameters;
use crate::reading::{Bounds, Order, Pages, Source};
use crate::subjects::{Subject, Subjects};
use crate::view::EventView;
use asked::Asked;
use filter::Filter;

/// Events of one project or session if no page is asked for; the newest are kept.
pub const STREAM_EVENTS_MAX: usize = 5_000;

/// Events that one answer looks at: half a second of reading.
const LOOKED_AT_MAX: usize = 50_000;

/// Bytes of payloads in one answer; it ends behind the event that goes over them.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Events, and where to go on.
#[derive(Serialize, ToSchema)]
pub struct History {
    events: Vec<Entry>,
    /// Whether there is more than these.
    truncated: bool,
    /// What to send as `after`, or newest first as `before`, to go on.
    next: Option<u64>,
    /// The last position that these events, or this part of the log, has.
    position: u64,
}

/// An event, and in the history of several whom it is about.
#[derive(Serialize, ToSchema)]
#[schema(as = HistoryEntry)]
pub struct Entry {
    #[serde(flatten)]
    event: EventView,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<String>,
}

/// What is to be found.
struct Search {
    source: Source,
    bounds: Bounds,
    order: Order,
    limit: usize,
    filter: Filter,
    /// Whether to say whom each event is about.
    name_subjects: bool,
}

/// What was found.
struct Found {
    events: Vec<Entry>,
    /// The last position that was looked at, if there are more behind it.
    next: Option<Position>,
}

/// What happened to all that the caller may see; an auditor sees everything.
#[utoipa::path(
    get, path = "/history", operation_id = "get_history", tag = "history", params(Asked),
    responses((status = 200, body = History, description = "A page of events.")),
    extensions(("x-refusals" = json!(["400 moment-before-beginning", "400 revision-unknown", "403 not-an-auditor",
        "404 project-not-found", "404 session-not-found", "503 log-unavailable"]))),
)]
pub async fn of_all(
    State(app): State<App>,
    caller: Caller,
    Parameters(asked): Parameters<Asked>,
) -> Result<Json<History>, Error> {
    let scope = app
        .scope(
            &caller,
            asked.project.as_deref(),
            asked.session.as_deref(),
            asked.user.as_deref(),
        )
        .await?;
    let filter = Filter {
        user: scope.user,
        ..asked.filter()?
    };
    app.page(&asked, scope.source, filter, true).await.map(Json)
}

/// What happened to one project.
#[utoipa::path(
    get, path = "/projects/{user}/{owner}/{repo}/history", operation_id = "get_project_history", tag = "history",
    params(ProjectNames, Asked),
    responses((status = 200, body = History, description = "All of it, or a page if one is asked for.")),
    extensions(("x-refusals" = json!(["400 revision-unknown", "403 not-an-auditor", "404 project-not-found",
        "503 log-unavailable"]))),
)]
pub async fn of_project(
    State(app): State<App>,
    caller: Caller,
    ProjectPath(key): ProjectPath,
    Parameters(asked): Parameters<Asked>,
) -> Result<Json<History>, Error> {
    app.may_read_project(&caller, &key)?;
    asked.of_path()?;
    let stream = StreamId::of(Project::CATEGORY, key.id().as_uuid());
    if app.first_event(&stream).await?.is_none() {
        return Err(unknown(&key).into());
    }
    app.page_of_one(&asked, stream).await.map(Json)
}

/// What happened to one session.
#[utoipa::path(
    get, path = "/sessions/{id}/history", operation_id = "get_session_history", tag = "history",
    params(crate::past::session::SessionId, Asked),
    responses((status = 200, body = History, description = "All of it, or a page if one is asked for.")),
    extensions(("x-refusals" = json!(["400 revision-unknown", "403 not-an-auditor", "404 session-not-found",
        "503 log-unavailable"]))),
)]
pub async fn of_session(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Parameters(asked): Parameters<Asked>,
) -> Result<Json<History>, Error> {
    asked.of_path()?;
    let stream = app.session_stream(&caller, &id).await?;
    app.page_of_one(&asked, stream).await.map(Json)
}

impl App {
    /// The history of one project or session; all of it, unless a page is asked for.
    async fn page_of_one(&self, asked: &Asked, stream: StreamId) -> Result<History, Error> {
        let source = Source::Stream(stream);
        let filter = asked.filter()?;
        if !asked.is_unpaged() {
            return self.page(asked, source, filter, false).await;
        }
        let bounds = self
            .between(&source, asked.from.as_deref(), asked.to.as_deref())
            .await?;
        let search = Search {
            source,
            bounds,
            order: Order::Newest,
            limit: STREAM_EVENTS_MAX,
            filter,
            name_subjects: false,
        };
        let mut found = self.find(search).await?;
        found.events.reverse();
        let last = found.events.last().map(|entry| entry.event.position);
        Ok(History {
            truncated: found.next.is_some(),
            next: None,
            position: last.unwrap_or_else(|| bounds.until.number()),
            events: found.events,
        })
    }

    async fn page(
        &self,
        asked: &Asked,
        source: Source,
        filter: Filter,
        name_subjects: bool,
    ) -> Result<History, Error> {
        let mut bounds = self
            .between(&source, asked.from.as_deref(), asked.to.as_deref())
            .await?;
        if let Some(after) = asked.after.map(Position::new) {
            self.has_position(after)?;
            bounds.after = bounds.after.max(after);
        }
        if let Some(before) = asked.before {
            let last = Position::new(before.saturating_sub(1));
            bounds.until = bounds.until.min(last);
        }
        let search = Search {
            source,
            bounds,
            order: asked.order()?,
            limit: asked.limit()?,
            filter,
            name_subjects,
        };
        let found = self.find(search).await?;
        Ok(History {
            events: found.events,
            truncated: found.next.is_some(),
            next: found.next.map(Position::number),
            position: bounds.until.number(),
        })
    }

    async fn find(&self, search: Search) -> Result<Found, Error> {
        let (mut subjects, mut events) = (Subjects::default(), Vec::new());
        let (mut looked_at, mut bytes, mut reached) = (0, 0, search.bounds.after);
        let store = Arc::clone(&self.store);
        let mut pages = Pages::new(store, search.source, search.order, search.bounds);
        while let Some(page) = pages.next().await.map_err(|error| Error::log(&error))? {
            for recorded in &page {
                let is_full = events.len() == search.limit || bytes >= ANSWER_BYTES_MAX;
                if is_full || looked_at == LOOKED_AT_MAX {
                    let next = Some(reached);
                    return Ok(Found { events, next });
                }
                looked_at += 1;
                reached = recorded.position;
                if !search.filter.wants(recorded) {
                    continue;
                }
                let about = if search.name_subjects || search.filter.user.is_some() {
                    let subject = subjects.of(&*self.store, recorded).await;
                    subject.map_err(|error| Error::log(&error))?
                } else {
                    None
                };
                if search.filter.wants_about(about.as_deref()) {
                    let about = about.as_deref().filter(|_| search.name_subjects);
                    let joined = subjects.joined(&*self.store, recorded).await;
                    let joined = joined.map_err(|error| Error::log(&error))?;
                    bytes += recorded.data.get().len();
                    events.push(Entry::new(recorded, about, joined.as_deref()));
                }
            }
        }
        Ok(Found { events, next: None })
    }

    /// The first event of a stream, if it has begun.
    pub async fn first_event(&self, stream: &StreamId) -> Result<Option<RecordedEvent>, Error> {
        let from = firefly_event_store::Revision::FIRST;
        let first = self.store.read_stream(stream, from, 1).await;
        Ok(first
            .map_err(|error| Error::log(&error))?
            .into_iter()
            .next())
    }
}

impl Entry {
    fn new(recorded: &RecordedEvent, about: Option<&Subject>, joined: Option<&Subject>) -> Self {
        let project = about.and_then(|subject| subject.project.as_ref());
        let joined = joined.and_then(|subject| subject.project.as_ref());
        Self {
            event: EventView::read(recorded, joined),
            user: about.map(|subject| subject.user.to_string()),
            project: project.map(ToString::to_string),
        }
    }
}

/// There is no such project.
pub fn unknown(key: &ProjectKey) -> Problem {
    let detail = format!("{key} was never opened");
    Problem::new(StatusCode::NOT_FOUND, "project-not-found", detail)
}
