//! Commands in over HTTP.
//!
//! Every endpoint does the same: read strictly, say who asks, turn the request into a domain command, let the command
//! loop decide it, answer with what was decided and where in the log that stands. Nothing here knows what a read model
//! or a container is.

mod asked;
mod documented;
mod error;
mod idempotency;
mod nothing;
mod outcome;
mod projections;
mod projects;
mod sessions;
mod source;

use std::sync::Arc;

use axum::extract::FromRef;
use axum::{Router, middleware};
use firefly_domain::{Project, Projection, Session};
use firefly_event_store::{CommandHandler, EventStore};
use firefly_identity::{LocalSignIn, Tokens};
use firefly_read_models::Database;
use firefly_read_models::builds::Projected;
use firefly_web::{Authenticator, Document};
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

pub use source::GITHUB_URL;

/// What the command API works with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Signs the tokens of new sessions.
    pub tokens: Tokens,
    /// Recognises callers.
    pub authenticator: Authenticator,
    /// Lets the local user in, on a listener that only this host reaches. Paths of this host may be opened then, too.
    pub local: Option<LocalSignIn>,
    /// Where `owner/repo` is looked for, without a slash at the end; [`GITHUB_URL`] unless it is a test's.
    pub github_url: String,
    /// Where operators' requests to projections are left.
    pub read_models: Database,
    /// The projections that there are.
    pub projections: Vec<Projected>,
}

#[derive(Clone)]
struct App {
    config: Arc<Config>,
    projects: CommandHandler<Project>,
    sessions: CommandHandler<Session>,
    projections: CommandHandler<Projection>,
    log: Uuid,
    in_flight: idempotency::InFlight,
}

impl FromRef<App> for Authenticator {
    fn from_ref(app: &App) -> Self {
        app.config.authenticator.clone()
    }
}

/// The routes of the command API, below `/api/v1`.
pub fn router(config: Config, store: Arc<dyn EventStore>) -> Router {
    let app = App {
        config: Arc::new(config),
        projects: CommandHandler::new(Arc::clone(&store)),
        sessions: CommandHandler::new(Arc::clone(&store)),
        log: store.id(),
        projections: CommandHandler::new(store),
        in_flight: idempotency::InFlight::default(),
    };
    let layer = middleware::from_fn_with_state(app.clone(), idempotency::layer);
    let commands = signed_in().layer(layer).merge(sessions::sign_in());
    let (router, _) = below_prefix(commands).split_for_parts();
    router.with_state(app)
}

/// The documentation of the same routes.
pub fn document() -> Document {
    documented::document(
        below_prefix(signed_in()).into_openapi(),
        below_prefix(sessions::sign_in()).into_openapi(),
    )
}

/// What only somebody who is signed in may ask.
fn signed_in() -> OpenApiRouter<App> {
    projects::routes()
        .merge(sessions::routes())
        .merge(projections::routes())
}

fn below_prefix(routes: OpenApiRouter<App>) -> OpenApiRouter<App> {
    OpenApiRouter::new().nest("/api/v1", routes)
}

#[cfg(test)]
mod tests;
