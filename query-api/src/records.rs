//! `/sessions`, `/workspaces`, `/activity` and `/projections`: plain rows of the read models.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, NaiveDate, Utc};
use firefly_domain::ProjectKey;
use firefly_read_models::builds::Status;
use firefly_read_models::{ActivityRow, Build, SessionRow, WorkspaceRow};
use firefly_web::{Caller, Problem};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use crate::App;
use crate::error::Error;
use crate::listing::{Listing, Order, Paging};
use crate::parameters::Parameters;
use crate::past;
use crate::projects::NOT_THEN;
use crate::terms::{BuildStatus, Moment, SessionEndReason, Terms, WorkspaceState};

/// Rows are sorted by the last event about them.
pub const BY_POSITION: Order = Order {
    name: "updated",
    columns: &["position"],
    descending: true,
};

/// A page of sessions, or all of them as they were.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum SessionsAnswer {
    Now(Sessions),
    Then(past::Sessions),
}

/// A page of sessions.
#[derive(Serialize, ToSchema)]
pub struct Sessions {
    sessions: Vec<Session>,
    next: Option<String>,
}

/// A session, as a list has it.
#[derive(Serialize, ToSchema)]
#[schema(as = ListedSession)]
struct Session {
    id: String,
    user: String,
    client: String,
    /// The ids of the projects in hand.
    #[schema(value_type = Vec<String>)]
    projects: Box<RawValue>,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    #[schema(value_type = Option<SessionEndReason>)]
    end_reason: Option<String>,
    position: i64,
}

impl From<SessionRow> for Session {
    fn from(row: SessionRow) -> Self {
        Self {
            id: row.id,
            user: row.user,
            client: row.client,
            projects: RawValue::from_string(row.projects).unwrap_or_default(),
            started_at: row.started_at,
            ended_at: row.ended_at,
            end_reason: row.end_reason,
            position: row.position,
        }
    }
}

/// How far the projections are.
#[derive(Serialize, ToSchema)]
pub struct Projections {
    projections: Vec<Projection>,
    /// The position of the log's last event.
    head: u64,
}

/// A build of a projection.
#[derive(Serialize, ToSchema)]
#[schema(as = ProjectionBuild)]
struct Projection {
    name: String,
    version: i64,
    /// `live`, `building`, `verifying` or `verified`.
    #[schema(value_type = BuildStatus)]
    status: Status,
    build: i64,
    position: i64,
    /// Events that it has taken in.
    events: i64,
    started_at: Option<DateTime<Utc>>,
    updated_at: Option<DateTime<Utc>>,
    failure: Option<String>,
    failed_position: Option<i64>,
    failed_event: Option<String>,
}

impl From<Build> for Projection {
    fn from(build: Build) -> Self {
        Self {
            name: build.projection,
            version: build.version,
            status: build.status,
            build: build.build,
            position: build.position,
            events: build.events,
            started_at: DateTime::from_timestamp_micros(build.started_at),
            updated_at: DateTime::from_timestamp_micros(build.updated_at),
            failure: build.failure,
            failed_position: build.failed_position,
            failed_event: build.failed_event,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct SessionFilter {
    /// Only sessions that are over, or that are not.
    ended: Option<bool>,
    /// Rows of a page.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// What the page before gave as `next`.
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// As they were at this moment.
    #[param(value_type = Option<Moment>, inline)]
    at: Option<String>,
}

/// The caller's sign-ins, the one that changed last first; with `at`, as they were then.
#[utoipa::path(
    get, path = "/sessions", operation_id = "list_sessions", tag = "queries", params(SessionFilter),
    responses((status = 200, body = SessionsAnswer, description = "A page of them.")),
    extensions(("x-refusals" = json!(["400 moment-before-beginning", "400 moment-in-future", "500 event-unreadable", "503 log-unavailable"]))),
)]
pub async fn sessions(
    State(app): State<App>,
    caller: Caller,
    Parameters(filter): Parameters<SessionFilter>,
) -> Result<Json<SessionsAnswer>, Error> {
    if let Some(at) = filter.at {
        if filter.ended.is_some() || filter.limit.is_some() || filter.cursor.is_some() {
            return Err(Problem::malformed(NOT_THEN).into());
        }
        let then = app.sessions_then(&caller.0.user, &at).await?;
        return Ok(Json(SessionsAnswer::Then(then)));
    }
    let mut listing = Listing::new(BY_POSITION).only("\"user\" = ?", caller.0.user.as_str());
    if let Some(ended) = filter.ended {
        let condition = "CASE WHEN ended_at IS NULL THEN 0 ELSE 1 END = ?";
        listing = listing.only(condition, i64::from(ended));
    }
    let paging = Paging {
        limit: filter.limit,
        cursor: filter.cursor,
    };
    let (rows, next) = listing
        .page::<SessionRow>(&app.config.read_models, &paging)
        .await?;
    let sessions = rows.into_iter().map(Session::from).collect();
    Ok(Json(SessionsAnswer::Now(Sessions { sessions, next })))
}

/// Rows of a user's projects.
pub const OF_A_USER: &str = "project IN (SELECT id FROM projects WHERE \"user\" = ?)";

/// The id of a project that the caller may use.
fn id_of(caller: &Caller, project: &str) -> Result<String, Problem> {
    let key: ProjectKey = project
        .parse()
        .map_err(|error| Problem::malformed(format!("{error}")))?;
    caller.may_use(&key)?;
    Ok(key.id().to_string())
}

/// A page of workspaces.
#[derive(Serialize, ToSchema)]
pub struct Workspaces {
    workspaces: Vec<Workspace>,
    next: Option<String>,
}

/// The workspace of a project.
#[derive(Serialize, ToSchema)]
#[schema(as = Workspace)]
pub struct Workspace {
    project: String,
    source: String,
    #[schema(value_type = WorkspaceState)]
    state: String,
    branch: Option<String>,
    commit: Option<String>,
    packages: Option<i64>,
    unsaved_files: i64,
    unsaved_commits: i64,
    opened_at: DateTime<Utc>,
    deleted_at: Option<DateTime<Utc>>,
    position: i64,
}

impl From<WorkspaceRow> for Workspace {
    fn from(row: WorkspaceRow) -> Self {
        Self {
            project: row.project,
            source: row.source,
            state: row.state,
            branch: row.branch,
            commit: row.commit,
            packages: row.packages,
            unsaved_files: row.unsaved_files,
            unsaved_commits: row.unsaved_commits,
            opened_at: row.opened_at,
            deleted_at: row.deleted_at,
            position: row.position,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceFilter {
    /// Only workspaces in one of these states.
    #[param(value_type = Option<Vec<WorkspaceState>>, style = Form, explode = false, inline)]
    state: Option<Terms<WorkspaceState>>,
    /// Rows of a page.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// What the page before gave as `next`.
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
}

/// The caller's workspaces, the one that changed last first.
#[utoipa::path(
    get, path = "/workspaces", operation_id = "list_workspaces", tag = "queries", params(WorkspaceFilter),
    responses((status = 200, body = Workspaces, description = "A page of them.")),
)]
pub async fn workspaces(
    State(app): State<App>,
    caller: Caller,
    Parameters(filter): Parameters<WorkspaceFilter>,
) -> Result<Json<Workspaces>, Error> {
    let mut listing = Listing::new(BY_POSITION).only("\"user\" = ?", caller.0.user.as_str());
    if let Some(Terms(states)) = &filter.state {
        listing = listing.among("state", states.iter().map(|state| state.as_str()));
    }
    let paging = Paging {
        limit: filter.limit,
        cursor: filter.cursor,
    };
    let (rows, next) = listing
        .page::<WorkspaceRow>(&app.config.read_models, &paging)
        .await?;
    let workspaces = rows.into_iter().map(Workspace::from).collect();
    Ok(Json(Workspaces { workspaces, next }))
}

/// A page of days.
#[derive(Serialize, ToSchema)]
pub struct Activities {
    #[schema(value_type = Vec<Activity>)]
    activity: Vec<ActivityRow>,
    next: Option<String>,
}

/// What happened to a project on a day, counted.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents the row, which is answered as it is")]
struct Activity {
    /// The day and the project's id, with a slash in between.
    key: String,
    /// The day in UTC.
    day: NaiveDate,
    #[schema(format = Uuid)]
    project: String,
    opened: i64,
    ready: i64,
    failed: i64,
    exited: i64,
    closed: i64,
    /// The time that all openings of the day took until they were ready, in milliseconds.
    ready_ms: i64,
    position: i64,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ActivityFilter {
    /// Only that of this project, as user/owner/repo.
    #[param(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){2}$")]
    project: Option<String>,
    /// From this day on, in UTC.
    from: Option<NaiveDate>,
    /// Up to this day, and that one too.
    to: Option<NaiveDate>,
    /// Rows of a page.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// What the page before gave as `next`.
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
}

/// What happened to the caller's projects on each day, the last day first.
#[utoipa::path(
    get, path = "/activity", operation_id = "list_activity", tag = "queries", params(ActivityFilter),
    responses((status = 200, body = Activities, description = "A page of them.")),
    extensions(("x-refusals" = json!(["403 not-your-project"]))),
)]
pub async fn activity(
    State(app): State<App>,
    caller: Caller,
    Parameters(filter): Parameters<ActivityFilter>,
) -> Result<Json<Activities>, Error> {
    let order = Order {
        name: "day",
        columns: &["key"],
        descending: true,
    };
    let mut listing = Listing::new(order).only(OF_A_USER, caller.0.user.as_str());
    if let Some(project) = &filter.project {
        listing = listing.only("project = ?", id_of(&caller, project)?);
    }
    if let Some(from) = filter.from {
        listing = listing.only("day >= ?", from.to_string());
    }
    if let Some(to) = filter.to {
        listing = listing.only("day <= ?", to.to_string());
    }
    let paging = Paging {
        limit: filter.limit,
        cursor: filter.cursor,
    };
    let (activity, next) = listing
        .page::<ActivityRow>(&app.config.read_models, &paging)
        .await?;
    Ok(Json(Activities { activity, next }))
}

/// There is nothing to ask for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// How far each projection has come, why it stopped if it did, and what is being rebuilt.
#[utoipa::path(
    get, path = "/projections", operation_id = "list_projections", tag = "operations",
    responses((status = 200, body = Projections, description = "All of them.")),
)]
pub async fn projections(
    State(app): State<App>,
    _caller: Caller,
    Parameters(Nothing {}): Parameters<Nothing>,
) -> Result<Json<Projections>, Error> {
    let builds = app.config.read_models.builds().await;
    let builds = builds.map_err(|error| Error::read_models(&error))?;
    Ok(Json(Projections {
        projections: builds.into_iter().map(Projection::from).collect(),
        head: app.store.head().borrow().number(),
    }))
}
