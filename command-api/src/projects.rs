//! Commands to projects: open, close, restart, delete.

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use firefly_domain::project::{Command, Rejection, State as ProjectState};
use firefly_domain::{Branch, Project, ProjectKey};
use firefly_event_store::{CommandError, Context, Handled};
use firefly_web::{Problem, ProjectPath, StrictJson};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::App;
use crate::asked::Asked;
use crate::error::Error;
use crate::outcome::Outcome;
use crate::source::Named;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/projects/open", post(open_source))
        .route("/projects/{user}/{owner}/{repo}/open", post(open))
        .route("/projects/{user}/{owner}/{repo}/close", post(close))
        .route("/projects/{user}/{owner}/{repo}/restart", post(restart))
        .route("/projects/{user}/{owner}/{repo}/delete", post(delete))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenSource {
    source: String,
    branch: Option<Branch>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Open {
    source: Option<String>,
    branch: Option<Branch>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Delete {
    #[serde(default)]
    force: bool,
}

#[derive(Debug, Serialize)]
struct Body {
    project: Summary,
    position: u64,
    revision: Option<u64>,
}

/// As much of a project as a decision knows; queries and the live socket know the rest.
#[derive(Debug, Serialize)]
struct Summary {
    id: String,
    key: String,
    source: String,
    state: &'static str,
    generation: u64,
}

type Answer = Result<Outcome<Body>, Error>;

/// Opens whatever is named; the project's names follow from it.
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
