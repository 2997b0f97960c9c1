//! The project host: `/<user>/<owner>/<repo>/<path>` shows a file of a workspace as its container serves it.

mod frames;
mod notice;
mod path;
mod places;
mod proxy;
mod tunnel;
mod uses;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use firefly_domain::{Endpoint, Failure, ProjectKey, Step};
use http::header::{ALLOW, LOCATION};
use futures::future::BoxFuture;
use http::{HeaderValue, Method, Request, StatusCode};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::notice::Notice;
use self::path::Target;
use self::proxy::{Proxy, Upstream};
use self::uses::Uses;
use crate::activity::Activity;
use crate::config::Config;
use crate::headers;
use crate::origin::Origins;
use crate::page;

/// What the gateway needs to know about a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preview {
    /// No such project.
    Unknown,
    /// It is being opened.
    Opening {
        /// The step at work, once one is.
        step: Option<Step>,
        /// What is being done, in a sentence or a few words.
        text: String,
    },
    /// Its project-server answers here.
    Ready(Endpoint),
    /// Nobody has used it for a while; it can be woken.
    Asleep,
    /// It has no container.
    Closed,
    /// It could not be opened.
    Failed(Failure),
}

/// Tells where previews are. It is asked on every request, so it answers from memory.
pub trait ProjectLookup: Send + Sync + 'static {
    /// What is known of a project at this moment.
    fn find(&self, key: &ProjectKey) -> Preview;

    /// Wakes a project, and waits until it sleeps no longer and is not on its way either. The gateway waits only so long,
    /// and asks again later.
    fn wake(&self, key: &ProjectKey) -> BoxFuture<'static, Preview>;
}

/// Answers for the project host.
pub(crate) struct Previews {
    projects: Arc<dyn ProjectLookup>,
    activity: Activity,
    /// Places for requests that wait until their project is awake.
    waiting: Semaphore,
    wake: Duration,
    proxy: Proxy,
    console: String,
    frame_ancestors: String,
}

impl Previews {
    /// Tunnels are spawned on `tasks` and end with `stopping`.
    pub(crate) fn new(
        config: &Config,
        origins: &Origins,
        projects: Arc<dyn ProjectLookup>,
        activity: Activity,
        tasks: TaskTracker,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            projects,
            activity,
            waiting: Semaphore::new(config.limits.waking_requests),
            wake: config.limits.wake,
            proxy: Proxy::new(config, tasks, stopping),
            console: origins.app().to_owned(),
            frame_ancestors: origins.frame_ancestors(),
        }
    }

    pub(crate) async fn answer(&self, peer: SocketAddr, request: Request<Body>) -> Response {
        let as_page = page::is_wanted(request.headers());
        if ![Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method()) {
            let mut response = self.show(&Notice::method_not_allowed(), as_page);
            let allowed = HeaderValue::from_static("GET, HEAD, OPTIONS");
            response.headers_mut().insert(ALLOW, allowed);
            return response;
        }
        if let Some(asset) = page::asset(request.uri().path()) {
            return asset;
        }
        match path::target(request.uri()) {
            Target::Index => self.show(&Notice::index(), as_page),
            Target::Nothing => self.show(&Notice::no_preview(), as_page),
            Target::Bare { slashed, .. }
                if !headers::is_websocket(request.method(), request.headers()) =>
            {
                redirect(&slashed)
            }
            Target::Bare { key, upstream, .. } | Target::Inside { key, upstream } => {
                match self.awake(&key).await {
                    Preview::Ready(endpoint) => {
                        let upstream = Upstream {
                            project: &key,
                            endpoint: &endpoint,
                            path: &upstream,
                        };
                        self.forward(peer, request, upstream, as_page).await
                    }
                    Preview::Unknown | Preview::Closed => self.show(&Notice::no_preview(), as_page),
                    Preview::Opening { step, text } => {
                        self.show(&Notice::opening(step, text), as_page)
                    }
                    Preview::Asleep => self.show(&Notice::waking(), as_page),
                    Preview::Failed(failure) => self.show(&Notice::failed(failure), as_page),
                }
            }
        }
    }

    /// What is known of a project; one that sleeps is woken first, and waited for.
    async fn awake(&self, key: &ProjectKey) -> Preview {
        let found = self.projects.find(key);
        if found != Preview::Asleep {
            return found;
        }
        let Ok(_place) = self.waiting.try_acquire() else {
            return found;
        };
        let woken = self.projects.wake(key);
        // Whoever cannot wait longer is told so, and finds it further on its way the next time.
        timeout(self.wake, woken)
            .await
            .unwrap_or_else(|_| self.projects.find(key))
    }

    async fn forward(
        &self,
        peer: SocketAddr,
        request: Request<Body>,
        upstream: Upstream<'_>,
        as_page: bool,
    ) -> Response {
        let uses = Uses::of(upstream.project, &self.activity, &self.projects);
        uses.note();
        let answered = tokio::select! {
            answered = self.proxy.forward(peer, request, upstream, &uses) => answered,
            never = uses.keep_awake() => match never {},
        };
        match answered {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(
                    project.key = %upstream.project,
                    endpoint = %upstream.endpoint,
                    error = &error as &dyn std::error::Error,
                    "a container did not answer a preview request"
                );
                self.show(&Notice::trouble(&error), as_page)
            }
        }
    }

    fn show(&self, notice: &Notice, as_page: bool) -> Response {
        notice.respond(as_page, &self.console, &self.frame_ancestors)
    }
}

fn redirect(location: &str) -> Response {
    match HeaderValue::try_from(location) {
        Ok(location) => (StatusCode::PERMANENT_REDIRECT, [(LOCATION, location)]).into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}
