//! What operators ask of projections: to rebuild them, to try again, to pass an event over.
//!
//! Rebuilding changes nothing that anybody would want to look up later, so it is no event. That an event is passed over is.

use axum::extract::{Path, State};
use axum::routing::post;
use axum::{Json, Router};
use firefly_domain::projection::Command;
use firefly_domain::{EventId, Projection};
use firefly_read_models::builds::{Projected, Status};
use firefly_web::{Problem, StrictJson};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::App;
use crate::asked::Asked;
use crate::error::Error;
use crate::outcome::Outcome;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/projections/{name}/rebuild", post(rebuild))
        .route("/projections/{name}/cancel", post(cancel))
        .route("/projections/{name}/retry", post(retry))
        .route("/projections/{name}/skip", post(skip))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rebuild {
    /// Whether it is only compared with what is there.
    #[serde(default)]
    verify: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Skip {
    event: EventId,
    reason: String,
}

#[derive(Debug, Serialize)]
struct Accepted {
    projection: &'static str,
    build: i64,
}

#[derive(Debug, Serialize)]
struct Done {
    projection: &'static str,
    /// Whether there was anything to do.
    done: bool,
}

async fn rebuild(
    State(app): State<App>,
    Path(name): Path<String>,
    asked: Asked,
    StrictJson(request): StrictJson<Rebuild>,
) -> Result<(StatusCode, Json<Accepted>), Error> {
    let projected = app.projected(&asked, &name)?;
    let status = if request.verify {
        Status::Verifying
    } else {
        Status::Building
    };
    let database = &app.config.read_models;
    match database.ask_for(projected, app.log, status).await {
        Ok(Ok(build)) => Ok((
            StatusCode::ACCEPTED,
            Json(Accepted {
                projection: projected.projection,
                build: build.build,
            }),
        )),
        Ok(Err(at_work)) => {
            let detail = format!(
                "{name} is being rebuilt already, at position {}; wait for it or cancel it",
                at_work.position
            );
            Err(Problem::new(StatusCode::CONFLICT, "rebuild-at-work", detail).into())
        }
        Err(error) => Err(unavailable(&error)),
    }
}

async fn cancel(
    State(app): State<App>,
    Path(name): Path<String>,
    asked: Asked,
    StrictJson(Nothing {}): StrictJson<Nothing>,
) -> Result<Json<Done>, Error> {
    let projected = app.projected(&asked, &name)?;
    let cancelled = app.config.read_models.cancel(projected).await;
    Ok(done(
        projected,
        cancelled.map_err(|error| unavailable(&error))?,
    ))
}

async fn retry(
    State(app): State<App>,
    Path(name): Path<String>,
    asked: Asked,
    StrictJson(Nothing {}): StrictJson<Nothing>,
) -> Result<Json<Done>, Error> {
    let projected = app.projected(&asked, &name)?;
    let retried = app.config.read_models.retry(projected.projection).await;
    Ok(done(
        projected,
        retried.map_err(|error| unavailable(&error))?,
    ))
}

const fn done(projected: Projected, done: bool) -> Json<Done> {
    Json(Done {
        projection: projected.projection,
        done,
    })
}

/// Only the event that a projection stopped at is passed over: nobody knows better what comes later.
async fn skip(
    State(app): State<App>,
    Path(name): Path<String>,
    asked: Asked,
    StrictJson(request): StrictJson<Skip>,
) -> Result<Outcome<Done>, Error> {
    let projected = app.projected(&asked, &name)?;
    let projection = projected.projection;
    let database = &app.config.read_models;
    let builds = database.builds().await;
    let builds = builds.map_err(|error| unavailable(&error))?;
    let event = request.event.to_string();
    let stopped = builds.iter().find(|build| {
        build.projection == projection && build.failed_event.as_ref() == Some(&event)
    });
    let Some(position) = stopped.and_then(|build| build.failed_position) else {
        let detail = format!(
            "{name} has not stopped at event {event}; `firefly projections` tells where it stands"
        );
        return Err(Problem::new(StatusCode::CONFLICT, "not-stopped", detail).into());
    };
    let command = Command::Skip {
        projection: projection.to_owned(),
        event: request.event,
        position: position.unsigned_abs(),
        reason: request.reason,
    };
    let id = Projection::id(projection);
    let handled = app.projections.handle(&id, command, &asked.context).await?;
    let retried = database.retry(projection).await;
    retried.map_err(|error| unavailable(&error))?;
    Ok(Outcome {
        status: StatusCode::OK,
        position: handled.position,
        revision: handled.revision,
        body: Done {
            projection,
            done: true,
        },
    })
}

impl App {
    /// The projection with a name, for who may look after it: read models are everybody's, so that is the user of this host.
    fn projected(&self, asked: &Asked, name: &str) -> Result<Projected, Problem> {
        let operator = self.config.local.as_ref().map(|local| local.user());
        if operator != Some(&asked.caller.0.user) {
            let detail = "only the user of Firefly's own host looks after projections";
            let forbidden = StatusCode::FORBIDDEN;
            return Err(Problem::new(forbidden, "not-an-operator", detail));
        }
        let mut known = self.config.projections.iter();
        let found = known.find(|projected| projected.projection == name);
        found.copied().ok_or_else(|| {
            let detail = format!("there is no projection {name}; `firefly projections` lists them");
            Problem::new(StatusCode::NOT_FOUND, "projection-not-found", detail)
        })
    }
}

fn unavailable(error: &firefly_read_models::Error) -> Error {
    tracing::error!(?error, "the read models do not answer");
    let detail = "the read models do not answer; try again";
    Problem::unavailable("read-models-unavailable", detail).into()
}
