//! `/containers` and `…/containers/{generation}`: every container there was, and where the one that runs answers.
//!
//! Rows come from the read model of the same name. Whose a container is, the projects' rows say, and its address live state: it is
//! of interest for as long as it is true.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use chrono::{DateTime, Utc};
use firefly_domain::project::Phase;
use firefly_domain::{ProjectKey, Segment};
use firefly_read_models::{ContainerRow, ProjectRow, Value};
use firefly_web::path::ProjectNames;
use firefly_web::{Caller, Problem, ProjectPath};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::App;
use crate::conditional::{Known, unless_known};
use crate::error::Error;
use crate::items::tag;
use crate::listing::{Listing, Paging};
use crate::parameters::Parameters;
use crate::records::{BY_POSITION, OF_A_USER};
use crate::terms::{ContainerState, Terms};

/// A page of containers.
#[derive(Serialize, ToSchema)]
pub struct Containers {
    containers: Vec<Container>,
    next: Option<String>,
}

/// A container of a project.
#[derive(Serialize, ToSchema)]
#[schema(as = Container)]
pub struct Container {
    id: String,
    /// The project's id.
    project: String,
    /// The project's names, `user/owner/repo`.
    key: String,
    generation: i64,
    image: String,
    from_pool: bool,
    #[schema(value_type = ContainerState)]
    state: String,
    /// Where its project-server answers, once the preview is ready.
    endpoint: Option<String>,
    exit_code: Option<i64>,
    oom: bool,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    position: i64,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ContainerFilter {
    /// Only containers in one of these states.
    #[param(value_type = Option<Vec<ContainerState>>, style = Form, explode = false, inline)]
    state: Option<Terms<ContainerState>>,
    /// Only those of this project, as user/owner/repo.
    #[param(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){2}$")]
    project: Option<String>,
    /// Those of this user's projects, for an auditor.
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    user: Option<Segment>,
    /// Rows of a page.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// What the page before gave as `next`.
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
}

/// The containers of the caller's projects, the one that changed last first.
#[utoipa::path(
    get, path = "/containers", operation_id = "list_containers", tag = "queries", params(ContainerFilter),
    responses((status = 200, body = Containers, description = "A page of them.")),
    extensions(("x-refusals" = json!(["403 not-an-auditor"]))),
)]
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Parameters(filter): Parameters<ContainerFilter>,
) -> Result<Json<Containers>, Error> {
    let mut listing = Listing::new(BY_POSITION);
    let user = filter.user.as_ref();
    if let Some(project) = &filter.project {
        let key: ProjectKey = project
            .parse()
            .map_err(|error| Problem::malformed(format!("{error}")))?;
        app.may_read_project(&caller, &key)?;
        listing = listing.only("project = ?", key.id().to_string());
    }
    if user.is_some() || filter.project.is_none() {
        let user = user.unwrap_or(&caller.0.user);
        app.may_read_user(&caller, user)?;
        listing = listing.only(OF_A_USER, user.as_str());
    }
    if let Some(Terms(states)) = &filter.state {
        listing = listing.among("state", states.iter().map(|state| state.as_str()));
    }
    let paging = Paging {
        limit: filter.limit,
        cursor: filter.cursor,
    };
    let (rows, next) = listing
        .page::<ContainerRow>(&app.config.read_models, &paging)
        .await?;
    let containers = app.containers(rows).await?;
    Ok(Json(Containers { containers, next }))
}

/// Which opening of the project.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct OfGeneration {
    /// Counts the openings; the first is 1.
    #[param(minimum = 1)]
    generation: u64,
}

/// The container of one opening of a project; its `ETag` changes with it.
#[utoipa::path(
    get, path = "/projects/{user}/{owner}/{repo}/containers/{generation}", operation_id = "get_container", tag = "queries",
    params(ProjectNames, OfGeneration, Known),
    responses(
        (status = 200, body = Container, description = "The container.",
            headers(("ETag" = String, description = "The position of the last event about it."))),
        (status = 304, description = "It is as `If-None-Match` says.",
            headers(("ETag" = String, description = "The position of the last event about it."))),
    ),
    extensions(("x-refusals" = json!(["403 not-an-auditor", "404 container-not-found"]))),
)]
pub async fn one(
    State(app): State<App>,
    caller: Caller,
    ProjectPath(key): ProjectPath,
    generation: Result<Path<OfGeneration>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let Path(OfGeneration { generation }) =
        generation.map_err(|error| Problem::malformed(error.body_text()))?;
    app.may_read_project(&caller, &key)?;
    let id = ContainerRow::key_of(&key.id().to_string(), generation);
    let row = app.row::<ContainerRow>(&id).await?;
    let row = row.ok_or_else(|| no_container(&key, generation))?;
    let tag = tag(row.position);
    Ok(unless_known(&headers, &tag, &app.container(row, &key)))
}

impl App {
    /// Rows with the names of the projects that they belong to.
    async fn containers(&self, rows: Vec<ContainerRow>) -> Result<Vec<Container>, Error> {
        let mut ids: Vec<&str> = rows.iter().map(|row| row.project.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let places: Vec<String> = (1..=ids.len()).map(|place| format!("${place}")).collect();
        let condition = format!("WHERE id IN ({})", places.join(", "));
        let values: Vec<Value> = ids.iter().map(|id| Value::from(*id)).collect();
        let projects = self
            .config
            .read_models
            .rows::<ProjectRow>(&condition, &values);
        let projects = projects.await.map_err(|error| Error::read_models(&error))?;
        let named = |row: ContainerRow| {
            let project = projects.iter().find(|project| project.id == row.project)?;
            let key = ProjectKey::new(&project.user, &project.owner, &project.repo).ok()?;
            Some(self.container(row, &key))
        };
        Ok(rows.into_iter().filter_map(named).collect())
    }

    fn container(&self, row: ContainerRow, key: &ProjectKey) -> Container {
        let endpoint = self.hub.look(key, |project| match &project.phase {
            Phase::Ready {
                container,
                endpoint,
            } if container.as_str() == row.id => Some(endpoint.to_string()),
            _ => None,
        });
        Container {
            id: row.id,
            project: row.project,
            key: key.to_string(),
            generation: row.generation,
            image: row.image,
            from_pool: row.from_pool,
            state: row.state,
            endpoint: endpoint.flatten(),
            exit_code: row.exit_code,
            oom: row.oom,
            started_at: row.started_at,
            ended_at: row.ended_at,
            position: row.position,
        }
    }
}

fn no_container(key: &ProjectKey, generation: u64) -> Problem {
    let detail = format!(
        "opening {generation} of {key} has had no container; the project's history tells of those that had"
    );
    Problem::new(StatusCode::NOT_FOUND, "container-not-found", detail)
}
