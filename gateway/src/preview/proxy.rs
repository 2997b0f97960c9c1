//! Passes a request on to a container, and its answer back, as they stream.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use firefly_domain::{Endpoint, ProjectKey};
use firefly_endpoint::Connector;
use http::header::CONTENT_LENGTH;
use http::{Request, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::timeout::TimeoutBody;

use super::places::{Place, Places};
use super::tunnel::Tunnels;
use super::uses::Uses;
use crate::config::Config;
use crate::headers;

/// A browser asks one host over six connections; more idle ones to a container would wait for nobody.
const IDLE_PER_CONTAINER_MAX: usize = 16;

/// Idle connections to containers are closed after this.
const IDLE: Duration = Duration::from_secs(30);

/// How long a request waits for its turn when too many are under way.
const TURN_WAIT: Duration = Duration::from_secs(2);

/// Why a container's answer could not be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// No connection, or it broke before an answer.
    #[error("the container could not be asked; see whether its project-server still runs")]
    Unreachable(#[source] ClientError),
    /// The routing table's endpoint and the path make no URL.
    #[error("the container's endpoint makes no URL; see what the container runtime reported")]
    Address(#[source] firefly_endpoint::Error),
    /// The answer did not begin in time.
    #[error("the container did not begin its answer in time; see what its project-server does")]
    Slow,
    /// As many requests or sockets are open as may be.
    #[error(
        "too many requests or sockets to containers are open; raise the limit or find who opens them"
    )]
    Busy,
    /// Another project's container answers at the endpoint by now.
    #[error(
        "the endpoint belongs to another project by now; the next container's is not known yet"
    )]
    Misdirected,
}

/// What is asked, and of whom.
#[derive(Clone, Copy)]
pub(super) struct Upstream<'a> {
    /// Whose preview it is.
    pub project: &'a ProjectKey,
    /// Where its project-server answers.
    pub endpoint: &'a Endpoint,
    /// The path there, with its query.
    pub path: &'a str,
}

/// The way to the containers.
pub(super) struct Proxy {
    client: Client<Connector, Body>,
    turns: Places,
    tunnels: Tunnels,
    response_headers: Duration,
    response_idle: Duration,
}

impl Proxy {
    pub(super) fn new(config: &Config, tasks: TaskTracker, stopping: CancellationToken) -> Self {
        let limits = &config.limits;
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_PER_CONTAINER_MAX)
            .build(Connector::new(limits.connect));
        Self {
            client,
            turns: Places::new(
                limits.upstream_requests,
                limits.upstream_requests_per_container,
            ),
            tunnels: Tunnels::new(limits, tasks, stopping),
            response_headers: limits.response_headers,
            response_idle: limits.response_idle,
        }
    }

    /// Asks a container what the request asks. The request's body stays here: what is only read has none that means
    /// anything, and a slow one would hold a connection to the container.
    pub(super) async fn forward(
        &self,
        peer: SocketAddr,
        mut request: Request<Body>,
        upstream: Upstream<'_>,
        uses: &Uses,
    ) -> Result<Response, Trouble> {
        *request.version_mut() = Version::HTTP_11;
        let is_websocket = headers::is_websocket(request.method(), request.headers());
        headers::to_container(request.headers_mut(), upstream.project, peer);
        request.headers_mut().remove(CONTENT_LENGTH);
        firefly_endpoint::direct(&mut request, upstream.endpoint, upstream.path)
            .map_err(Trouble::Address)?;
        if is_websocket {
            self.open_tunnel(request, upstream.endpoint, uses).await
        } else {
            self.pass(request, upstream.endpoint, uses).await
        }
    }

    async fn pass(
        &self,
        request: Request<Body>,
        endpoint: &Endpoint,
        uses: &Uses,
    ) -> Result<Response, Trouble> {
        let turn = timeout(TURN_WAIT, self.turns.take(endpoint))
            .await
            .map_err(|_| Trouble::Busy)?;
        let mut response = self.ask(request).await?;
        headers::to_browser(response.headers_mut());
        Ok(response.map(|body| {
            let body = TimeoutBody::new(self.response_idle, body);
            hold_until_sent(body, turn, uses.clone())
        }))
    }

    async fn open_tunnel(
        &self,
        mut request: Request<Body>,
        endpoint: &Endpoint,
        uses: &Uses,
    ) -> Result<Response, Trouble> {
        let place = self.tunnels.reserve(endpoint).ok_or(Trouble::Busy)?;
        let client = hyper::upgrade::on(&mut request);
        headers::ask_websocket(request.headers_mut());
        let mut response = self.ask(request).await?;
        headers::to_browser(response.headers_mut());
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            headers::ask_websocket(response.headers_mut());
            let container = hyper::upgrade::on(&mut response);
            self.tunnels.join(client, container, place, uses.clone());
            return Ok(response.map(|_| Body::empty()));
        }
        // Not a socket after all: its place is held as long as the answer takes.
        Ok(response.map(|body| {
            let body = TimeoutBody::new(self.response_idle, body);
            hold_until_sent(body, place, uses.clone())
        }))
    }

    async fn ask(&self, request: Request<Body>) -> Result<http::Response<Incoming>, Trouble> {
        let request = request.map(|_| Body::empty());
        let answer = timeout(self.response_headers, self.client.request(request))
            .await
            .map_err(|_| Trouble::Slow)?
            .map_err(Trouble::Unreachable)?;
        match answer.status() {
            StatusCode::MISDIRECTED_REQUEST => Err(Trouble::Misdirected),
            _ => Ok(answer),
        }
    }
}

/// Keeps a place taken, and the project in use, as long as the answer is being sent.
fn hold_until_sent(body: TimeoutBody<Incoming>, place: Place, uses: Uses) -> Body {
    Body::new(body.map_frame(move |frame| {
        let _held = &place;
        uses.note();
        frame
    }))
}
