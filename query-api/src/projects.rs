//! `/projects`: the projects of a caller, from the read model of the same name.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use firefly_domain::ProjectKey;
use firefly_domain::control::Unsaved;
use firefly_read_models::ProjectRow;
use firefly_web::{Caller, Problem, ProjectPath, etag};
use http::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::App;
use crate::conditional::unless_known;
use crate::error::Error;
use crate::history::unknown;
use crate::listing::{Listing, Order, Paging, order};
use crate::parameters::Parameters;
use crate::past::At;
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Only projects in one of these states, with commas in between; without it, all but deleted ones.
    state: Option<String>,
    /// Only projects of repositories of this owner.
    owner: Option<String>,
    /// Only projects with or without work that is nowhere else.
    unsaved: Option<bool>,
    /// `updated`, `opened` or `name`, with a `-` in front for the other way round.
    sort: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
    /// As they were at this moment.
    at: Option<String>,
}

#[derive(Serialize)]
pub struct List {
    projects: Vec<ProjectView>,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
}

/// The caller's projects, the one that changed last first; deleted ones only when asked for.
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
        let mut projects = app.projects_then(&caller.0.user, at).await?;
        projects.retain(|project| match &filter.state {
            Some(state) => state.split(',').any(|state| state.trim() == project.state),
            None => project.state != "deleted",
        });
        return Ok(Json(List {
            projects,
            next: None,
        }));
    }
    let order = order(&ORDERS, filter.sort.as_deref())?;
    let mut listing = Listing::new(order).only("\"user\" = ?", caller.0.user.as_str());
    listing = match &filter.state {
        Some(states) => listing.among("state", states),
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
    Ok(Json(List { projects, next }))
}

/// One project; its `ETag` is the revision that commands take as `If-Match`.
pub async fn one(
    State(app): State<App>,
    caller: Caller,
    ProjectPath(key): ProjectPath,
    Parameters(At { at }): Parameters<At>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    caller.may_use(&key)?;
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
