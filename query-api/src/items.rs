//! `…/workspace`: a single row of a project, with a tag for who has it already; and how such rows are found.

use axum::extract::State;
use axum::response::Response;
use firefly_read_models::{Row, WorkspaceRow};
use firefly_web::path::ProjectNames;
use firefly_web::{Caller, Problem, ProjectPath};
use http::{HeaderMap, StatusCode};

use crate::App;
use crate::conditional::{Known, unless_known};
use crate::error::Error;
use crate::records::Workspace;

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

impl App {
    /// The row of a key, if there is one.
    pub async fn row<R: Row>(&self, key: &str) -> Result<Option<R>, Error> {
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

/// The tag of a row that changes with each event about it.
pub fn tag(position: i64) -> String {
    format!("\"pos-{position}\"")
}
