//! `/sessions`, `/containers` and `/projections`: plain rows of the read models.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use firefly_web::Caller;
use serde::Serialize;

use crate::App;
use crate::error::Error;
use crate::parameters::Parameters;
use crate::past::At;

/// Rows in one answer; the newest are kept.
const ROWS_MAX: i64 = 1_000;

#[derive(Serialize)]
pub struct Sessions {
    sessions: Vec<Session>,
}

#[derive(Serialize, sqlx::FromRow)]
struct Session {
    id: String,
    user: String,
    client: String,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    end_reason: Option<String>,
    position: i64,
}

#[derive(Serialize)]
pub struct Containers {
    containers: Vec<Container>,
}

#[derive(Serialize, sqlx::FromRow)]
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

#[derive(Serialize)]
pub struct Projections {
    projections: Vec<Projection>,
    /// The position of the log's last event.
    head: u64,
}

#[derive(Serialize, sqlx::FromRow)]
struct Projection {
    #[sqlx(rename = "projection")]
    name: String,
    version: i64,
    position: i64,
    updated_at: DateTime<Utc>,
    failure: Option<String>,
}

/// The caller's sign-ins, newest first; with `at`, as they were then.
pub async fn sessions(
    State(app): State<App>,
    caller: Caller,
    Parameters(At { at }): Parameters<At>,
) -> Result<Response, Error> {
    if let Some(at) = at {
        let then = app.sessions_then(&caller.0.user, &at).await?;
        return Ok(Json(then).into_response());
    }
    let sessions =
        sqlx::query_as("SELECT * FROM sessions WHERE user = ? ORDER BY position DESC LIMIT ?")
            .bind(caller.0.user.as_str())
            .bind(ROWS_MAX)
            .fetch_all(&app.config.read_models)
            .await
            .map_err(|error| Error::read_models(&error))?;
    Ok(Json(Sessions { sessions }).into_response())
}

/// The containers of the caller's projects, newest first.
pub async fn containers(State(app): State<App>, caller: Caller) -> Result<Json<Containers>, Error> {
    let containers = sqlx::query_as(
        "SELECT containers.* FROM containers JOIN projects ON projects.id = containers.project \
         WHERE projects.user = ? ORDER BY containers.position DESC LIMIT ?",
    )
    .bind(caller.0.user.as_str())
    .bind(ROWS_MAX)
    .fetch_all(&app.config.read_models)
    .await
    .map_err(|error| Error::read_models(&error))?;
    Ok(Json(Containers { containers }))
}

/// How far each projection has come, and why it stopped if it did.
pub async fn projections(
    State(app): State<App>,
    _caller: Caller,
) -> Result<Json<Projections>, Error> {
    let projections = sqlx::query_as("SELECT * FROM checkpoints ORDER BY projection")
        .fetch_all(&app.config.read_models)
        .await
        .map_err(|error| Error::read_models(&error))?;
    Ok(Json(Projections {
        projections,
        head: app.store.head().borrow().number(),
    }))
}
