//! `/projects`: the projects of a caller, from the read model of the same name.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use firefly_domain::ProjectKey;
use firefly_domain::control::Unsaved;
use firefly_web::{Caller, ProjectPath, etag};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::App;
use crate::error::Error;
use crate::history::unknown;
use crate::parameters::Parameters;
use crate::past::At;
use crate::view::{FailureView, ProjectView, index_page};

/// Projects in one answer.
const PROJECTS_MAX: i64 = 1_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Only projects in this state.
    state: Option<String>,
    /// As they were at this moment.
    at: Option<String>,
}

#[derive(Serialize)]
pub struct List {
    projects: Vec<ProjectView>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    user: String,
    owner: String,
    repo: String,
    source: String,
    branch: Option<String>,
    state: String,
    step: Option<String>,
    generation: i64,
    container: Option<String>,
    failure_step: Option<String>,
    failure_code: Option<String>,
    failure_detail: Option<String>,
    closed_reason: Option<String>,
    unsaved_files: i64,
    unsaved_commits: i64,
    opened_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    revision: i64,
    position: i64,
}

/// The caller's projects, the one that changed last first; deleted ones only when asked for.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Parameters(filter): Parameters<Filter>,
) -> Result<Json<List>, Error> {
    if let Some(at) = &filter.at {
        let mut projects = app.projects_then(&caller.0.user, at).await?;
        projects.retain(|project| match &filter.state {
            Some(state) => project.state == *state,
            None => project.state != "deleted",
        });
        return Ok(Json(List { projects }));
    }
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT * FROM projects WHERE user = ?1 AND CASE WHEN ?2 IS NULL THEN state <> 'deleted' ELSE state = ?2 END \
         ORDER BY position DESC LIMIT ?3",
    )
    .bind(caller.0.user.as_str())
    .bind(filter.state)
    .bind(PROJECTS_MAX)
    .fetch_all(&app.config.read_models)
    .await
    .map_err(|error| Error::read_models(&error))?;
    let projects = rows
        .into_iter()
        .map(|row| row.into_view(&app.config.preview_url))
        .collect();
    Ok(Json(List { projects }))
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
    let row: Option<Row> = sqlx::query_as("SELECT * FROM projects WHERE id = ?")
        .bind(key.id().to_string())
        .fetch_optional(&app.config.read_models)
        .await
        .map_err(|error| Error::read_models(&error))?;
    let view = row
        .ok_or_else(|| unknown(&key))?
        .into_view(&app.config.preview_url);
    let etag = etag::of(view.revision);
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.split(',').any(|tag| tag.trim() == etag));
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Json(view).into_response()
    };
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    Ok(response)
}

impl Row {
    fn into_view(self, preview_url: &str) -> ProjectView {
        let failure = match (self.failure_step, self.failure_code, self.failure_detail) {
            (Some(step), Some(code), Some(detail)) => Some(FailureView { step, code, detail }),
            _ => None,
        };
        let key = format!("{}/{}/{}", self.user, self.owner, self.repo);
        let preview_url = ProjectKey::new(&self.user, &self.owner, &self.repo)
            .map_or_else(|_| String::new(), |key| index_page(preview_url, &key));
        ProjectView {
            id: self.id,
            key,
            user: self.user,
            owner: self.owner,
            repo: self.repo,
            source: self.source,
            branch: self.branch,
            state: self.state,
            step: self.step,
            generation: self.generation.unsigned_abs(),
            failure,
            closed_reason: self.closed_reason,
            unsaved: Unsaved {
                files: self.unsaved_files.unsigned_abs(),
                commits: self.unsaved_commits.unsigned_abs(),
            },
            preview_url,
            container: self.container,
            opened_at: self.opened_at,
            updated_at: self.updated_at,
            revision: self.revision.unsigned_abs(),
            position: self.position.unsigned_abs(),
        }
    }
}
