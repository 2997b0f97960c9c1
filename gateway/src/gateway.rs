//! Puts the parts together.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use http::{Request, StatusCode};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;

use crate::activity::Activity;
use crate::config::{Config, Limits};
use crate::console::Console;
use crate::measure::name_route;
use crate::origin::Origins;
use crate::preview::{Previews, ProjectLookup};
use crate::site::Sites;
use firefly_web::problem::Problem;

/// What the gateway stands in front of.
pub struct Parts {
    /// Everything on the app host that is not the console, authenticated there. Its requests carry the client's
    /// address as [`ConnectInfo`] of a [`SocketAddr`].
    pub api: Router,
    /// Where previews are.
    pub projects: Arc<dyn ProjectLookup>,
    /// Where their use is noted.
    pub activity: Activity,
}

/// The public port, ready to run.
pub struct Gateway {
    pub(crate) router: Router,
    pub(crate) limits: Limits,
    pub(crate) tasks: TaskTracker,
    pub(crate) stopping: CancellationToken,
}

/// Puts a gateway together. Nothing is bound yet.
pub fn build(config: Config, parts: Parts) -> Gateway {
    let limits = config.limits.clone();
    let tasks = TaskTracker::new();
    let stopping = CancellationToken::new();
    let origins = Origins::new(&config);
    let previews = Previews::new(
        &config,
        &origins,
        parts.projects,
        parts.activity,
        tasks.clone(),
        stopping.clone(),
    );
    let sites = Arc::new(Sites {
        config,
        origins,
        console: Console::new(),
        api: parts.api.layer(from_fn(name_route)),
        previews,
    });
    let router = Router::new()
        .fallback(answer)
        .layer(Extension(sites))
        .layer(CatchPanicLayer::custom(panicked));
    Gateway {
        router,
        limits,
        tasks,
        stopping,
    }
}

/// A port with one thing on it, and the same bounds on connections as the public one. Nothing is bound yet.
pub fn bare(router: Router) -> Gateway {
    Gateway {
        router: router.layer(CatchPanicLayer::custom(panicked)),
        limits: Limits::default(),
        tasks: TaskTracker::new(),
        stopping: CancellationToken::new(),
    }
}

async fn answer(
    Extension(sites): Extension<Arc<Sites>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request<Body>,
) -> Response {
    sites.answer(peer, request).await
}

fn panicked(payload: Box<dyn Any + Send + 'static>) -> Response {
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("of unknown kind");
    tracing::error!(panic = message, "a request's handler panicked");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "this is a fault of Firefly; the server's log says more",
    )
    .into_response()
}
