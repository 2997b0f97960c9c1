//! What operators ask of projections: to rebuild them, to try again, to pass an event over.
//!
//! Rebuilding changes nothing that anybody would want to look up later, so it is no event. That an event is passed over is.

use axum::Json;
use axum::extract::{Path, State};
use firefly_domain::projection::Command;
use firefly_domain::{EventId, Projection};
use firefly_read_models::builds::{Projected, Status};
use firefly_web::{Problem, StrictJson};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::asked::Asked;
use crate::error::Error;
use crate::nothing::Nothing;
use crate::outcome::Outcome;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(rebuild))
        .routes(routes!(cancel))
        .routes(routes!(retry))
        .routes(routes!(skip))
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it documents what `Path` reads")]
struct Name {
    /// The projection's name, as `/projections` lists it.
    #[param(example = "projects")]
    name: String,
}

/// What a rebuild is for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Rebuild {
    /// Whether it is only compared with what is there.
    #[serde(default)]
    verify: bool,
}

/// The event that a projection stopped at, and why it is passed over.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Skip {
    #[schema(value_type = String, format = Uuid)]
    event: EventId,
    #[schema(min_length = 1, max_length = 500, pattern = r"\S")]
    reason: String,
}

/// A rebuild that was left to whoever finds it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RebuildAccepted)]
struct Accepted {
    projection: &'static str,
    build: i64,
}

/// What came of a request to a projection.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProjectionDone)]
struct Done {
    projection: &'static str,
    /// Whether there was anything to do.
    done: bool,
}

/// Makes a projection's rows anew, beside those that queries read meanwhile.
#[utoipa::path(
    post, path = "/projections/{name}/rebuild", operation_id = "rebuild_projection", tag = "operations",
    params(Name), request_body = Rebuild,
    responses((status = 202, body = Accepted, description = "The rebuild was asked for; /projections tells how far it is.")),
    extensions(("x-refusals" = json!(["403 not-an-operator", "404 projection-not-found", "409 rebuild-at-work", "503 read-models-unavailable"]))),
)]
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

/// Gives up a rebuild.
#[utoipa::path(
    post, path = "/projections/{name}/cancel", operation_id = "cancel_projection", tag = "operations",
    params(Name), request_body = Nothing,
    responses((status = 200, body = Done, description = "Cancelled, or there was nothing to cancel.")),
    extensions(("x-refusals" = json!(["403 not-an-operator", "404 projection-not-found", "503 read-models-unavailable"]))),
)]
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

/// Lets a projection that stopped try again.
#[utoipa::path(
    post, path = "/projections/{name}/retry", operation_id = "retry_projection", tag = "operations",
    params(Name), request_body = Nothing,
    responses((status = 200, body = Done, description = "It tries again, or had not stopped.")),
    extensions(("x-refusals" = json!(["403 not-an-operator", "404 projection-not-found", "503 read-models-unavailable"]))),
)]
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

/// Passes over the event that a projection stopped at.
///
/// Only the event that a projection stopped at is passed over: nobody knows better what comes later.
#[utoipa::path(
    post, path = "/projections/{name}/skip", operation_id = "skip_projection", tag = "operations",
    params(Name), request_body = Skip,
    responses((status = 200, body = Done, description = "Passed over, which is recorded.")),
    extensions(("x-refusals" = json!(["400 reason-missing", "403 not-an-operator", "404 projection-not-found", "409 not-stopped", "503 read-models-unavailable"]))),
)]
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
