//! `…/workspace` and `…/containers/{generation}`: single rows of a project, each with a tag for who has it already.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use firefly_domain::ProjectKey;
use firefly_read_models::{ContainerRow, Row, WorkspaceRow};
use firefly_web::path::ProjectNames;
use firefly_web::{Caller, Problem, ProjectPath};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::App;
use crate::conditional::{Known, unless_known};
use crate::error::Error;
use crate::records::{Container, Workspace};

/// The workspace of a project; its `ETag` changes with it.
#[utoipa::path(
    get, path = "/projects/{user}/{owner}/{repo}/workspace", operation_id = "get_workspace", tag = "queries",
    params(ProjectNames, Known),
    responses(
        (status = 200, body = Workspace, description = "The workspace.",
            headers(("ETag" = String, description = "The position of the last event about it."))),
        (status = 304, description = "It is as `If-None-Match` says.",
            headers(("ETag" = String, description = "The position of the last event about it."))),
    ),
    extensions(("x-refusals" = json!(["403 not-an-auditor", "404 workspace-not-found"]))),
)]
pub async fn workspace(
    State(app): State<App>,
    caller: Caller,
    ProjectPath(key): ProjectPath,
    headers: HeaderMap,
) -> Result<Response, Error> {
    app.may_read_project(&caller, &key)?;
    let row = app.row::<WorkspaceRow>(&key.id().to_string()).await?;
    let row = row.ok_or_else(|| {
        let detail = format!("{key} has had no workspace; it gets one when it is opened");
        Problem::new(StatusCode::NOT_FOUND, "workspace-not-found", detail)
    })?;
    let tag = tag(row.position);
    Ok(unless_known(&headers, &tag, &Workspace::from(row)))
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
pub async fn container(
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
    Ok(unless_known(&headers, &tag, &Container::from(row)))
}

impl App {
    async fn row<R: Row>(&self, key: &str) -> Result<Option<R>, Error> {
        let column = R::TABLE.columns[0].name;
        let condition = format!("WHERE {column} = $1");
        let rows = self
            .config
            .read_models
            .rows::<R>(&condition, &[key.into()])
            .await;
        let rows = rows.map_err(|error| Error::read_models(&error))?;
        Ok(rows.into_iter().next())
    }
}

fn tag(position: i64) -> String {
    format!("\"pos-{position}\"")
}

fn no_container(key: &ProjectKey, generation: u64) -> Problem {
    let detail = format!(
        "opening {generation} of {key} has had no container; the project's history tells of those that had"
    );
    Problem::new(StatusCode::NOT_FOUND, "container-not-found", detail)
}
