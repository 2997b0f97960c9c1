//! Reads: lists and single items from the read models, history from the log, and live state.
//!
//! Queries read SQL. Three things come from the log: history, which is the log; the past, which is folded from it up to a
//! moment; and live state, which the [`hub`] folds from it, so that a subscriber's snapshot and the changes behind it
//! cannot disagree.

mod access;
mod conditional;
mod describe;
mod error;
mod export;
mod freshness;
mod health;
mod history;
pub mod hub;
mod listing;
mod live;
mod message;
mod moment;
mod parameters;
mod past;
mod projects;
mod reading;
mod records;
mod subjects;
mod view;

use std::sync::Arc;

use axum::extract::FromRef;
use axum::routing::get;
use axum::{Router, middleware};
use firefly_domain::Segment;
use firefly_event_store::EventStore;
use firefly_read_models::Database;
use firefly_web::Authenticator;
use tokio::sync::Semaphore;

pub use freshness::Freshness;
pub use hub::{Hub, Subscribers};

/// What the query API works with.
#[derive(Clone)]
pub struct Config {
    /// Recognises callers.
    pub authenticator: Authenticator,
    /// The user who may read what happened to others, too; nobody may, without one.
    pub auditor: Option<Segment>,
    /// The read models.
    pub read_models: Database,
    /// How far the read models are behind the log.
    pub freshness: Arc<dyn Freshness>,
    /// Where previews are served, without a slash at the end: `http://project.localhost:2440`.
    pub preview_url: String,
}

/// Live sockets open at once. Each holds a descriptor; with all that the gateway may hold besides, they stay below the
/// usual 16,384 of a service.
const LIVE_SOCKETS_MAX: usize = 8_192;

/// Event streams open at once. Unlike a socket, each is a request that stays one of the gateway's 4,096 connections, and the
/// half of them is for others.
const EVENT_STREAMS_MAX: usize = 2_048;

/// Exports that are sent at once. Each holds a page of events, and keeps the log's readers busy.
const EXPORTS_MAX: usize = 4;

#[derive(Clone)]
struct App {
    config: Arc<Config>,
    store: Arc<dyn EventStore>,
    hub: Hub,
    live_places: Arc<Semaphore>,
    stream_places: Arc<Semaphore>,
    export_places: Arc<Semaphore>,
}

impl FromRef<App> for Authenticator {
    fn from_ref(app: &App) -> Self {
        app.config.authenticator.clone()
    }
}

/// The routes of the query API: below `/api/v1`, and the health checks.
pub fn router(config: Config, store: Arc<dyn EventStore>, hub: Hub) -> Router {
    routes(App {
        config: Arc::new(config),
        store,
        hub,
        live_places: Arc::new(Semaphore::new(LIVE_SOCKETS_MAX)),
        stream_places: Arc::new(Semaphore::new(EVENT_STREAMS_MAX)),
        export_places: Arc::new(Semaphore::new(EXPORTS_MAX)),
    })
}

fn routes(app: App) -> Router {
    let queries = Router::new()
        .route("/projects", get(projects::list))
        .route("/projects/{user}/{owner}/{repo}", get(projects::one))
        .route(
            "/projects/{user}/{owner}/{repo}/history",
            get(history::of_project),
        )
        .route(
            "/projects/{user}/{owner}/{repo}/history/diff",
            get(history::diff::of_project),
        )
        .route("/sessions", get(records::sessions))
        .route("/sessions/{id}", get(past::session::one))
        .route("/sessions/{id}/history", get(history::of_session))
        .route("/history", get(history::of_all))
        .route("/events", get(export::events))
        .route("/containers", get(records::containers))
        .route("/workspaces", get(records::workspaces))
        .route("/activity", get(records::activity))
        .route("/projections", get(records::projections))
        .layer(middleware::from_fn_with_state(app.clone(), freshness::wait));
    let queries = queries
        .route("/live", get(live::web_socket::open))
        .route("/events/stream", get(live::event_stream::open));
    Router::new()
        .nest("/api/v1", queries)
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .with_state(app)
}

#[cfg(test)]
mod tests;
