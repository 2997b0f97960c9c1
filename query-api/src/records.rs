//! `/sessions`, `/containers`, `/workspaces`, `/activity` and `/projections`: plain rows of the read models.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, NaiveDate, Utc};
use firefly_domain::ProjectKey;
use firefly_read_models::builds::Status;
use firefly_read_models::{ActivityRow, Build, ContainerRow, SessionRow, WorkspaceRow};
use firefly_web::{Caller, Problem};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::App;
use crate::error::Error;
use crate::listing::{Listing, Order, Paging};
use crate::parameters::Parameters;
use crate::projects::NOT_THEN;

/// Rows are sorted by the last event about them.
const BY_POSITION: Order = Order {
    name: "updated",
    columns: &["position"],
    descending: true,
};

#[derive(Serialize)]
pub struct Sessions {
    sessions: Vec<Session>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Session {
    id: String,
    user: String,
    client: String,
    /// The ids of the projects in hand.
    projects: Box<RawValue>,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
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

#[derive(Serialize)]
pub struct Containers {
    containers: Vec<Container>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Container {
    id: String,
    project: String,
    generation: i64,
    image: String,
    from_pool: bool,
    state: String,
    exit_code: Option<i64>,
    oom: bool,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    position: i64,
}

impl From<ContainerRow> for Container {
    fn from(row: ContainerRow) -> Self {
        Self {
            id: row.id,
            project: row.project,
            generation: row.generation,
            image: row.image,
            from_pool: row.from_pool,
            state: row.state,
            exit_code: row.exit_code,
            oom: row.oom,
            started_at: row.started_at,
            ended_at: row.ended_at,
            position: row.position,
        }
    }
}

#[derive(Serialize)]
pub struct Projections {
    projections: Vec<Projection>,
    /// The position of the log's last event.
    head: u64,
}

#[derive(Serialize)]
struct Projection {
    name: String,
    version: i64,
    /// `live`, `building`, `verifying` or `verified`.
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionFilter {
    /// Only sessions that are over, or that are not.
    ended: Option<bool>,
    limit: Option<usize>,
    cursor: Option<String>,
    /// As they were at this moment.
    at: Option<String>,
}

/// The caller's sign-ins, the one that changed last first; with `at`, as they were then.
pub async fn sessions(
    State(app): State<App>,
    caller: Caller,
    Parameters(filter): Parameters<SessionFilter>,
) -> Result<Response, Error> {
    if let Some(at) = filter.at {
        if filter.ended.is_some() || filter.limit.is_some() || filter.cursor.is_some() {
            return Err(Problem::malformed(NOT_THEN).into());
        }
        let then = app.sessions_then(&caller.0.user, &at).await?;
        return Ok(Json(then).into_response());
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
    Ok(Json(Sessions { sessions, next }).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerFilter {
    /// Only containers in one of these states, with commas in between.
    state: Option<String>,
    /// Only those of this project, as user/owner/repo.
    project: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Rows of the caller's projects.
const OF_THE_CALLER: &str = "project IN (SELECT id FROM projects WHERE \"user\" = ?)";

/// The containers of the caller's projects, the one that changed last first.
pub async fn containers(
    State(app): State<App>,
    caller: Caller,
    Parameters(filter): Parameters<ContainerFilter>,
) -> Result<Json<Containers>, Error> {
    let mut listing = Listing::new(BY_POSITION).only(OF_THE_CALLER, caller.0.user.as_str());
    if let Some(states) = &filter.state {
        listing = listing.among("state", states);
    }
    if let Some(project) = &filter.project {
        listing = listing.only("project = ?", id_of(&caller, project)?);
    }
    let paging = Paging {
        limit: filter.limit,
        cursor: filter.cursor,
    };
    let (rows, next) = listing
        .page::<ContainerRow>(&app.config.read_models, &paging)
        .await?;
    let containers = rows.into_iter().map(Container::from).collect();
    Ok(Json(Containers { containers, next }))
}

/// The id of a project that the caller may use.
fn id_of(caller: &Caller, project: &str) -> Result<String, Problem> {
    let key: ProjectKey = project
        .parse()
        .map_err(|error| Problem::malformed(format!("{error}")))?;
    caller.may_use(&key)?;
    Ok(key.id().to_string())
}

#[derive(Serialize)]
pub struct Workspaces {
    workspaces: Vec<Workspace>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Workspace {
    project: String,
    source: String,
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceFilter {
    /// `none`, `present` or `deleted`, several with commas in between.
    state: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// The caller's workspaces, the one that changed last first.
pub async fn workspaces(
    State(app): State<App>,
    caller: Caller,
    Parameters(filter): Parameters<WorkspaceFilter>,
) -> Result<Json<Workspaces>, Error> {
    let mut listing = Listing::new(BY_POSITION).only("\"user\" = ?", caller.0.user.as_str());
    if let Some(states) = &filter.state {
        listing = listing.among("state", states);
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

#[derive(Serialize)]
pub struct Activities {
    activity: Vec<ActivityRow>,
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivityFilter {
    /// Only that of this project, as user/owner/repo.
    project: Option<String>,
    /// From this day on, in UTC.
    from: Option<NaiveDate>,
    /// Up to this day, and that one too.
    to: Option<NaiveDate>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// What happened to the caller's projects on each day, the last day first.
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
    let mut listing = Listing::new(order).only(OF_THE_CALLER, caller.0.user.as_str());
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
