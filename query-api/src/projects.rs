//! `/projects`: the projects of a caller, from the read model of the same name.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use firefly_domain::control::Unsaved;
use firefly_domain::{ProjectKey, Segment};
use firefly_read_models::ProjectRow;
use firefly_web::path::ProjectNames;
use firefly_web::{Caller, Problem, ProjectPath, etag};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::App;
use crate::conditional::{Known, unless_known};
use crate::error::Error;
use crate::history::unknown;
use crate::listing::{Listing, Order, Paging, order};
use crate::parameters::Parameters;
use crate::past::At;
use crate::terms::{Moment, ProjectSort, ProjectState, Terms};
use crate::view::{FailureView, ProjectView, index_page};

/// How projects can be sorted.
const ORDERS: [Order; 3] = [
    Order {
        name: "updated",
        columns: &["position"],
        descending: true,
    },
    Order {
        name: "opened",
        columns: &["opened_at", "id"],
        descending: true,
    },
    Order {
        name: "name",
        columns: &["owner", "repo", "id"],
        descending: false,
    },
];

/// Why a list of the past is not narrowed down.
pub const NOT_THEN: &str = "a list of the past is given as a whole, by state at the most";

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Only projects in one of these states, with commas in between; without it, all but deleted ones.
    #[param(value_type = Option<Vec<ProjectState>>, style = Form, explode = false, inline)]
    state: Option<Terms<ProjectState>>,
    /// Only projects of repositories of this owner.
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    owner: Option<Segment>,
    /// Only projects with or without work that is nowhere else.
    unsaved: Option<bool>,
    /// `updated`, `opened` or `name`, with a `-` in front for the other way round.
    #[param(value_type = Option<ProjectSort>, inline)]
    sort: Option<String>,
    /// Rows of a page.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// What the page before gave as `next`.
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// As they were at this moment; then nothing but `state` narrows them down.
    #[param(value_type = Option<Moment>, inline)]
    at: Option<String>,
}

/// A page of projects.
#[derive(Serialize, ToSchema)]
#[schema(as = Projects)]
pub struct List {
    projects: Vec<ProjectView>,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
    /// Whether a list of the past leaves projects out: it has the 1,000 that changed last.
    truncated: bool,
}

/// The caller's projects, the one that changed last first; deleted ones only when asked for.
#[utoipa::path(
    get, path = "/projects", operation_id = "list_projects", tag = "queries", params(Filter),
    responses((status = 200, body = List, description = "A page of them.")),
    extensions(("x-refusals" = json!(["400 moment-before-beginning", "400 moment-in-future", "500 event-unreadable", "503 log-unavailable"]))),
)]
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Parameters(filter): Parameters<Filter>,
) -> Result<Json<List>, Error> {
    if let Some(at) = &filter.at {
        let is_paged = filter.sort.is_some() || filter.limit.is_some() || filter.cursor.is_some();
        if is_paged || filter.owner.is_some() || filter.unsaved.is_some() {
            return Err(Problem::malformed(NOT_THEN).into());
        }
        let (mut projects, truncated) = app.projects_then(&caller.0.user, at).await?;
        projects.retain(|project| match &filter.state {
            Some(Terms(states)) => states.iter().any(|state| state.as_str() == project.state),
            None => project.state != "deleted",
        });
        return Ok(Json(List {
            projects,
            next: None,
            truncated,
        }));
    }
    let order = order(&ORDERS, filter.sort.as_deref())?;
    let mut listing = Listing::new(order).only("\"user\" = ?", caller.0.user.as_str());
    listing = match &filter.state {
        Some(Terms(states)) => listing.among("state", states.iter().map(|state| state.as_str())),
        None => listing.only("state <> ?", "deleted"),
    };
    if let Some(owner) = &filter.owner {
        listing = listing.only("owner = ?", owner.as_str());
    }
    if let Some(unsaved) = filter.unsaved {
        let condition = "CASE WHEN unsaved_files > 0 OR unsaved_commits > 0 THEN 1 ELSE 0 END = ?";
        listing = listing.only(condition, i64::from(unsaved));
    }
    let paging = Paging {
        limit: filter.limit,
        cursor: filter.cursor,
    };
    let (rows, next) = listing
        .page::<ProjectRow>(&app.config.read_models, &paging)
        .await?;
    let preview_url = &app.config.preview_url;
    let projects = rows.into_iter().map(|row| view(row, preview_url)).collect();
    Ok(Json(List {
        projects,
        next,
        truncated: false,
    }))
}

/// One project; its `ETag` is the revision that commands take as `If-Match`.
#[utoipa::path(
    get, path = "/projects/{user}/{owner}/{repo}", operation_id = "get_project", tag = "queries",
    params(ProjectNames, At, Known),
    responses(
        (status = 200, body = ProjectView, description = "The project; with `at` without a tag.",
            headers(("ETag" = String, description = "Its revision."))),
        (status = 304, description = "It is as `If-None-Match` says.",
            headers(("ETag" = String, description = "Its revision."))),
    ),
    extensions(("x-refusals" = json!(["400 moment-before-beginning", "400 moment-in-future", "400 revision-unknown",
        "403 not-an-auditor", "404 project-not-found", "500 event-unreadable", "503 log-unavailable"]))),
)]
pub async fn one(
    State(app): State<App>,
    caller: Caller,
    ProjectPath(key): ProjectPath,
    Parameters(At { at }): Parameters<At>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    app.may_read_project(&caller, &key)?;
    if let Some(at) = at {
        return Ok(Json(app.project_then(&key, &at).await?).into_response());
    }
    let rows = app
        .config
        .read_models
        .rows::<ProjectRow>("WHERE id = $1", &[key.id().to_string().into()])
        .await
        .map_err(|error| Error::read_models(&error))?;
    let row = rows.into_iter().next().ok_or_else(|| unknown(&key))?;
    let view = view(row, &app.config.preview_url);
    Ok(unless_known(&headers, &etag::of(view.revision), &view))
}

fn view(row: ProjectRow, preview_url: &str) -> ProjectView {
    let failure = match (row.failure_step, row.failure_code, row.failure_detail) {
        (Some(step), Some(code), Some(detail)) => Some(FailureView { step, code, detail }),
        _ => None,
    };
    let key = format!("{}/{}/{}", row.user, row.owner, row.repo);
    let preview_url = ProjectKey::new(&row.user, &row.owner, &row.repo)
        .map_or_else(|_| String::new(), |key| index_page(preview_url, &key));
    ProjectView {
        id: row.id,
        key,
        user: row.user,
        owner: row.owner,
        repo: row.repo,
        source: row.source,
        branch: row.branch,
        state: row.state,
        step: row.step,
        generation: row.generation.unsigned_abs(),
        failure,
        closed_reason: row.closed_reason,
        unsaved: Unsaved {
            files: row.unsaved_files.unsigned_abs(),
            commits: row.unsaved_commits.unsigned_abs(),
        },
        preview_url,
        container: row.container,
        opened_at: row.opened_at,
        updated_at: row.updated_at,
        revision: row.revision.unsigned_abs(),
        position: row.position.unsigned_abs(),
    }
}
