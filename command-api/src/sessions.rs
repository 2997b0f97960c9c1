//! Commands to sessions: start, join and leave a project, end.

use axum::extract::State;
use chrono::Utc;
use firefly_domain::session::{Command, EndReason};
use firefly_domain::{Actor, ProjectKey, SessionId};
use firefly_event_store::Context;
use firefly_identity::Identity;
use firefly_web::{Caller, Problem, StrictJson};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::App;
use crate::asked::Asked;
use crate::error::Error;
use crate::nothing::Nothing;
use crate::outcome::Outcome;

/// Characters of a client's name.
const CLIENT_LENGTH_MAX: usize = 64;

/// What proxies add to the requests that they pass on.
const PASSED_ON: [&str; 4] = ["forwarded", "via", "x-forwarded-for", "x-forwarded-host"];

/// The one command that nobody is signed in for.
pub fn sign_in() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(start))
}

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(join))
        .routes(routes!(leave))
        .routes(routes!(end))
}

/// Who signs in.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = SignIn)]
#[serde(deny_unknown_fields)]
struct Start {
    /// The name of the program, for history; without control characters.
    #[schema(pattern = r"^[^\u0000-\u001f\u007f-\u009f]{1,64}$", example = "tour")]
    client: String,
}

/// A project to take in hand, or to put down.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ProjectInHand)]
#[serde(deny_unknown_fields)]
struct InHand {
    /// `user/owner/repo`.
    #[schema(
        pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){2}$",
        example = "local/template/starter"
    )]
    project: String,
}

/// A session that has begun.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SignedIn)]
struct Started {
    #[schema(format = Uuid)]
    session: String,
    user: String,
    /// What other requests send as `Authorization: Bearer`.
    token: String,
    /// When the token is of no use any more; sign in again before.
    #[schema(format = DateTime)]
    expires_at: String,
}

/// What was decided about a session.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SessionDecision)]
struct Done {
    #[schema(format = Uuid)]
    session: String,
    /// Where in the log the decision stands.
    position: u64,
}

/// Signs the local user in, who asks directly: what a proxy passes on may come from anybody.
#[utoipa::path(
    post, path = "/sessions/start", operation_id = "sign_in", tag = "sessions", security(()),
    request_body = Start,
    responses((status = 201, body = Started, description = "Signed in.")),
    extensions(("x-refusals" = json!(["403 local-sign-in-off"]))),
)]
async fn start(
    State(app): State<App>,
    headers: HeaderMap,
    StrictJson(request): StrictJson<Start>,
) -> Result<Outcome<Started>, Error> {
    let Some(local) = &app.config.local else {
        let detail = "local sign-in is off, since Firefly does not listen on a loopback address";
        return Err(Problem::new(StatusCode::FORBIDDEN, "local-sign-in-off", detail).into());
    };
    if PASSED_ON.iter().any(|name| headers.contains_key(*name)) {
        let detail = "local sign-in is for people on Firefly's own host, not for requests that a proxy passes on";
        return Err(Problem::new(StatusCode::FORBIDDEN, "local-sign-in-off", detail).into());
    }
    let named = !request.client.is_empty()
        && request.client.chars().count() <= CLIENT_LENGTH_MAX
        && !request.client.chars().any(char::is_control);
    if !named {
        let detail = format!("give the client a name of 1 to {CLIENT_LENGTH_MAX} characters");
        return Err(Problem::malformed(detail).into());
    }
    let identity = Identity {
        user: local.user().clone(),
        session: SessionId::from_uuid(Uuid::now_v7()),
    };
    let command = Command::Start {
        user: identity.user.clone(),
        client: request.client,
    };
    let context = Context::new(Actor::User(identity.user.clone()), Uuid::now_v7());
    let handled = app
        .sessions
        .handle(identity.session.as_uuid(), command, &context)
        .await?;
    let issued = app.config.tokens.issue(&identity, Utc::now());
    Ok(Outcome {
        status: StatusCode::CREATED,
        position: handled.position,
        revision: handled.revision,
        body: Started {
            session: identity.session.to_string(),
            user: identity.user.to_string(),
            token: issued.token,
            expires_at: issued.expires_at.to_rfc3339(),
        },
    })
}

/// Takes a project in hand.
#[utoipa::path(
    post, path = "/sessions/join", operation_id = "join_project", tag = "sessions",
    request_body = InHand,
    responses((status = 200, body = Done, description = "Decided and durable.")),
    extensions(("x-refusals" = json!(["403 not-your-project", "409 session-over", "409 too-many-projects"]))),
)]
async fn join(
    State(app): State<App>,
    asked: Asked,
    StrictJson(request): StrictJson<InHand>,
) -> Result<Outcome<Done>, Error> {
    let key = key(&asked.caller, &request)?;
    app.decide_session(&asked, Command::Join(key.id())).await
}

/// Puts a project down.
#[utoipa::path(
    post, path = "/sessions/leave", operation_id = "leave_project", tag = "sessions",
    request_body = InHand,
    responses((status = 200, body = Done, description = "Decided and durable.")),
    extensions(("x-refusals" = json!(["403 not-your-project", "409 session-over"]))),
)]
async fn leave(
    State(app): State<App>,
    asked: Asked,
    StrictJson(request): StrictJson<InHand>,
) -> Result<Outcome<Done>, Error> {
    let key = key(&asked.caller, &request)?;
    app.decide_session(&asked, Command::Leave(key.id())).await
}

/// Ends the session; its tokens are of no use any more.
#[utoipa::path(
    post, path = "/sessions/end", operation_id = "sign_out", tag = "sessions",
    request_body = Nothing,
    responses((status = 200, body = Done, description = "Decided and durable.")),
    extensions(("x-refusals" = json!(["409 session-over"]))),
)]
async fn end(
    State(app): State<App>,
    asked: Asked,
    StrictJson(Nothing {}): StrictJson<Nothing>,
) -> Result<Outcome<Done>, Error> {
    let done = app
        .decide_session(&asked, Command::End(EndReason::SignedOut))
        .await?;
    app.config
        .authenticator
        .end(asked.caller.0.session, Utc::now());
    Ok(done)
}

fn key(caller: &Caller, request: &InHand) -> Result<ProjectKey, Problem> {
    let key: ProjectKey = request
        .project
        .parse()
        .map_err(|error| Problem::malformed(format!("{error}")))?;
    caller.may_use(&key)?;
    Ok(key)
}

impl App {
    async fn decide_session(
        &self,
        asked: &Asked,
        command: Command,
    ) -> Result<Outcome<Done>, Error> {
        let session = asked.caller.0.session;
        let handled = self
            .sessions
            .handle(session.as_uuid(), command, &asked.context)
            .await?;
        Ok(Outcome {
            status: StatusCode::OK,
            position: handled.position,
            revision: handled.revision,
            body: Done {
                session: session.to_string(),
                position: handled.position.number(),
            },
        })
    }
}
