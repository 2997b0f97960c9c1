//! Commands to projects: open, close, restart, delete.

use axum::extract::State;
use firefly_domain::project::{Command, Rejection, State as ProjectState};
use firefly_domain::{Branch, Project, ProjectKey};
use firefly_event_store::{CommandError, Context, Handled};
use firefly_web::path::ProjectNames;
use firefly_web::{Problem, ProjectPath, StrictJson};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::asked::Asked;
use crate::error::Error;
use crate::nothing::Nothing;
use crate::outcome::Outcome;
use crate::source::Named;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(open_source))
        .routes(routes!(open))
        .routes(routes!(close))
        .routes(routes!(restart))
        .routes(routes!(delete))
}

/// What to open; the project's names follow from it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OpenSource {
    /// A git URL (`https://…`), `owner/repo` on GitHub, `template:NAME`, or on a loopback address an absolute path.
    #[schema(max_length = 4096, example = "template:starter")]
    source: String,
    /// The branch to check out; the remote's default branch without it.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255, example = "main")]
    branch: Option<Branch>,
}

/// How to open a project whose names are known.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Open {
    /// Where its files come from, if it was never opened; without it, GitHub is asked for it.
    #[schema(max_length = 4096, example = "template:starter")]
    source: Option<String>,
    /// The branch to check out; the remote's default branch without it.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255, example = "main")]
    branch: Option<Branch>,
}

/// How to delete a project.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Delete {
    /// Whether work that is nowhere else is deleted too.
    #[serde(default)]
    force: bool,
}

/// What was decided.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Decision)]
struct Body {
    project: Summary,
    /// Where in the log the decision stands.
    position: u64,
    /// The project's last event.
    revision: Option<u64>,
}

/// As much of a project as a decision knows; queries and the live socket know the rest.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProjectSummary)]
struct Summary {
    #[schema(format = Uuid)]
    id: String,
    /// `user/owner/repo`.
    #[schema(example = "local/template/starter")]
    key: String,
    source: String,
    #[schema(value_type = DecidedState)]
    state: &'static str,
    /// Counts its openings.
    generation: u64,
}

/// The state of a project that was decided on.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
#[expect(
    dead_code,
    reason = "it says what texts there are; the domain makes them"
)]
enum DecidedState {
    Absent,
    Opening,
    Ready,
    Paused,
    Waking,
    Failed,
    Closing,
    Closed,
    Deleting,
    Deleted,
}

type Answer = Result<Outcome<Body>, Error>;

/// Opens whatever is named; the project's names follow from it.
#[utoipa::path(
    post, path = "/projects/open", operation_id = "open_source", tag = "commands",
    request_body = OpenSource,
    responses((status = 202, body = Body, description = "Decided and durable; what follows is seen on the live socket.")),
    extensions(("x-refusals" = json!(["409 project-closing", "409 project-deleting", "409 other-source", "409 other-branch"]))),
)]
async fn open_source(
    State(app): State<App>,
    asked: Asked,
    StrictJson(request): StrictJson<OpenSource>,
) -> Answer {
    let named = app.named(&request.source)?;
    let key = named.key(&asked.caller.0.user);
    let command = Command::Open {
        key: key.clone(),
        source: named.source,
        branch: request.branch,
    };
    app.decide_project(&key, command, &asked.context).await
}

/// Opens a project by its names: again from where it came, or for the first time from the source named.
#[utoipa::path(
    post, path = "/projects/{user}/{owner}/{repo}/open", operation_id = "open_project", tag = "commands",
    params(ProjectNames),
    request_body = Open,
    responses((status = 202, body = Body, description = "Decided and durable; what follows is seen on the live socket.")),
    extensions(("x-refusals" = json!(["403 not-your-project", "409 project-closing", "409 project-deleting", "409 other-source", "409 other-branch"]))),
)]
async fn open(
    State(app): State<App>,
    asked: Asked,
    ProjectPath(key): ProjectPath,
    StrictJson(request): StrictJson<Open>,
) -> Answer {
    asked.caller.may_use(&key)?;
    let source = match request.source {
        Some(source) => app.named(&source)?.source,
        None => match app
            .handle(
                &key,
                Command::Reopen {
                    branch: request.branch.clone(),
                },
                &asked.context,
            )
            .await
        {
            Err(CommandError::Rejected(Rejection::NotFound)) => {
                let github = &app.config.github_url;
                Named::github(key.owner.clone(), key.repo.clone(), github)
                    .map_err(malformed)?
                    .source
            }
            reopened => return Ok(answer(&key, reopened?)),
        },
    };
    let command = Command::Open {
        key: key.clone(),
        source,
        branch: request.branch,
    };
    app.decide_project(&key, command, &asked.context).await
}

/// Ends a project's container and keeps its workspace.
#[utoipa::path(
    post, path = "/projects/{user}/{owner}/{repo}/close", operation_id = "close_project", tag = "commands",
    params(ProjectNames),
    request_body = Nothing,
    responses((status = 202, body = Body, description = "Decided and durable; what follows is seen on the live socket.")),
    extensions(("x-refusals" = json!(["403 not-your-project", "404 project-not-found", "409 project-deleting"]))),
)]
async fn close(
    State(app): State<App>,
    asked: Asked,
    ProjectPath(key): ProjectPath,
    StrictJson(Nothing {}): StrictJson<Nothing>,
) -> Answer {
    asked.caller.may_use(&key)?;
    app.decide_project(&key, Command::Close, &asked.context)
        .await
}

/// Replaces a project's container by a new one.
#[utoipa::path(
    post, path = "/projects/{user}/{owner}/{repo}/restart", operation_id = "restart_project", tag = "commands",
    params(ProjectNames),
    request_body = Nothing,
    responses((status = 202, body = Body, description = "Decided and durable; what follows is seen on the live socket.")),
    extensions(("x-refusals" = json!(["403 not-your-project", "404 project-not-found", "409 project-closing", "409 project-deleting"]))),
)]
async fn restart(
    State(app): State<App>,
    asked: Asked,
    ProjectPath(key): ProjectPath,
    StrictJson(Nothing {}): StrictJson<Nothing>,
) -> Answer {
    asked.caller.may_use(&key)?;
    app.decide_project(&key, Command::Restart, &asked.context)
        .await
}

/// Ends a project's container and removes its workspace; its history stays.
#[utoipa::path(
    post, path = "/projects/{user}/{owner}/{repo}/delete", operation_id = "delete_project", tag = "commands",
    params(ProjectNames),
    request_body = Delete,
    responses((status = 202, body = Body, description = "Decided and durable; what follows is seen on the live socket.")),
    extensions(("x-refusals" = json!(["403 not-your-project", "404 project-not-found", "409 project-closing", "409 project-deleting", "409 unsaved-work"]))),
)]
async fn delete(
    State(app): State<App>,
    asked: Asked,
    ProjectPath(key): ProjectPath,
    StrictJson(request): StrictJson<Delete>,
) -> Answer {
    asked.caller.may_use(&key)?;
    app.decide_project(
        &key,
        Command::Delete {
            force: request.force,
        },
        &asked.context,
    )
    .await
}

impl App {
    fn named(&self, source: &str) -> Result<Named, Problem> {
        Named::parse(source, &self.config.github_url, self.config.local.is_some())
            .map_err(malformed)
    }

    async fn decide_project(
        &self,
        key: &ProjectKey,
        command: Command,
        context: &Context,
    ) -> Answer {
        Ok(answer(key, self.handle(key, command, context).await?))
    }

    async fn handle(
        &self,
        key: &ProjectKey,
        command: Command,
        context: &Context,
    ) -> Result<Handled<Project>, CommandError<Rejection>> {
        self.projects
            .handle(key.id().as_uuid(), command, context)
            .await
    }
}

fn malformed(error: impl std::fmt::Display) -> Problem {
    Problem::malformed(error.to_string())
}

fn answer(key: &ProjectKey, handled: Handled<Project>) -> Outcome<Body> {
    let (state, source, generation) = match &handled.state {
        ProjectState::Absent => ("absent", String::new(), 0),
        ProjectState::Known(known) => (
            known.phase.name(),
            known.source.to_string(),
            known.generation.number(),
        ),
    };
    Outcome {
        status: StatusCode::ACCEPTED,
        position: handled.position,
        revision: handled.revision,
        body: Body {
            project: Summary {
                id: key.id().to_string(),
                key: key.to_string(),
                source,
                state,
                generation,
            },
            position: handled.position.number(),
            revision: handled.revision.map(|revision| revision.number()),
        },
    }
}
