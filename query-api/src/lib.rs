//! Reads: lists and single items from the read models, history from the log, and live state.
//!
//! Queries read SQL. Three things come from the log: history, which is the log; the past, which is folded from it up to a
//! moment; and live state, which the [`hub`] folds from it, so that a subscriber's snapshot and the changes behind it
//! cannot disagree.

mod access;
mod conditional;
mod containers;
mod describe;
mod documented;
mod error;
mod export;
mod freshness;
mod health;
mod history;
pub mod hub;
mod items;
mod listing;
mod live;
pub mod logs;
mod message;
mod moment;
mod parameters;
mod past;
mod projects;
mod reading;
mod records;
mod subjects;
mod terms;
mod view;

use std::sync::Arc;

use axum::extract::FromRef;
use axum::{Router, middleware};
use firefly_domain::Segment;
use firefly_event_store::EventStore;
use firefly_read_models::Database;
use firefly_web::{Authenticator, Document};
use tokio::sync::Semaphore;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use freshness::Freshness;
pub use hub::{Hub, Subscribers};
pub use logs::Logs;

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
    /// Where the output of containers is to be had.
    pub logs: Arc<dyn Logs>,
    /// Where previews are served, without a slash at the end: `http://project.localhost:2440`.
    pub preview_url: String,
}

/// Live sockets open at once. Each holds a descriptor; with all that the gateway may hold besides, they stay below the
/// usual 16,384 of a service.
const LIVE_SOCKETS_MAX: usize = 8_192;

/// Event streams open at once. Unlike a socket, each is a request that stays one of the gateway's 4,096 connections, and the
/// half of them is for others.
const EVENT_STREAMS_MAX: usize = 2_048;

/// Catch-ups that read the log at once. While one reads, it may hold 32 of the largest events, and a page takes about a
/// millisecond otherwise; so more would need memory, and be no faster.
const CATCH_UPS_MAX: usize = 16;

/// Exports that are sent at once. Each holds a page of events, and keeps the log's readers busy.
const EXPORTS_MAX: usize = 4;

#[derive(Clone)]
struct App {
    config: Arc<Config>,
    store: Arc<dyn EventStore>,
    hub: Hub,
    live_places: Arc<Semaphore>,
    stream_places: Arc<Semaphore>,
    live_users: live::room::Users,
    catch_ups: Arc<Semaphore>,
    export_places: Arc<Semaphore>,
    log_places: Arc<Semaphore>,
    log_users: live::room::Users,
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
        live_users: live::room::Users::default(),
        catch_ups: Arc::new(Semaphore::new(CATCH_UPS_MAX)),
        export_places: Arc::new(Semaphore::new(EXPORTS_MAX)),
        log_places: Arc::new(Semaphore::new(logs::READERS_MAX)),
        log_users: live::room::Users::default(),
    })
}

fn routes(app: App) -> Router {
    let (queries, _) = queries().split_for_parts();
    let (live, _) = live().split_for_parts();
    let (health, _) = health().split_for_parts();
    let queries = queries.layer(middleware::from_fn_with_state(app.clone(), freshness::wait));
    Router::new()
        .nest("/api/v1", queries.merge(live))
        .merge(health)
        .with_state(app)
}

/// The documentation of the same routes.
pub fn document() -> Document {
    let queries = OpenApiRouter::new().nest("/api/v1", queries());
    let others = OpenApiRouter::new().nest("/api/v1", live()).merge(health());
    documented::document(queries.into_openapi(), others.into_openapi())
}

/// What reads at a position, below `/api/v1`.
fn queries() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(projects::list))
        .routes(routes!(projects::one))
        .routes(routes!(items::workspace))
        .routes(routes!(containers::one))
        .routes(routes!(history::of_project))
        .routes(routes!(history::diff::of_project))
        .routes(routes!(records::sessions))
        .routes(routes!(past::session::one))
        .routes(routes!(history::of_session))
        .routes(routes!(history::of_all))
        .routes(routes!(export::events))
        .routes(routes!(containers::list))
        .routes(routes!(records::workspaces))
        .routes(routes!(records::activity))
        .routes(routes!(records::projections))
}

/// What goes on for as long as somebody listens.
fn live() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(live::web_socket::open))
        .routes(routes!(live::event_stream::open))
        .routes(routes!(logs::of_project))
}

fn health() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
}

#[cfg(test)]
mod tests;
