//! A running gateway, a project-server of a few routes, and a client that can say any host.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::serve::Listener;
use firefly_domain::{Endpoint, ProjectKey};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{Activity, Config, Error, Gateway, Parts, Preview, ProjectLookup, build};

/// No wait of these tests is near this long unless something is broken.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub const APP: &str = "localhost";
pub const PREVIEWS: &str = "project.localhost";

/// A routing table that tests write.
#[derive(Clone, Default)]
pub struct Projects {
    known: Arc<Mutex<HashMap<String, Preview>>>,
    /// Counts the calls to wake one.
    woken: Arc<watch::Sender<u32>>,
    /// Told whenever the table changes.
    changed: Arc<watch::Sender<()>>,
}

impl Projects {
    pub fn set(&self, key: &str, state: Preview) {
        self.known.lock().unwrap().insert(key.to_owned(), state);
        self.changed.send_replace(());
    }

    /// Waits until somebody has tried to wake a project.
    pub async fn was_woken(&self) {
        let mut woken = self.woken.subscribe();
        let once = woken.wait_for(|count| *count > 0);
        timeout(PATIENCE, once).await.unwrap().unwrap();
    }

    pub fn serve_at(&self, key: &str, address: SocketAddr) {
        self.set(key, Preview::Ready(Endpoint::new(address.to_string())));
    }

    pub fn serve_on(&self, key: &str, socket: &Path) {
        self.set(key, Preview::Ready(Endpoint::unix(socket)));
    }
}

impl ProjectLookup for Projects {
    fn find(&self, key: &ProjectKey) -> Preview {
        let known = self.known.lock().unwrap();
        known
            .get(&key.to_string())
            .cloned()
            .unwrap_or(Preview::Unknown)
    }

    /// It is up to the test to wake it.
    fn wake(&self, key: &ProjectKey) -> BoxFuture<'static, Preview> {
        self.woken.send_modify(|count| *count += 1);
        let (projects, key) = (self.clone(), key.clone());
        async move {
            let mut changed = projects.changed.subscribe();
            loop {
                match projects.find(&key) {
                    Preview::Asleep => changed.changed().await.unwrap(),
                    awake => return awake,
                }
            }
        }
        .boxed()
    }
}

/// A gateway on a free port.
pub struct Running {
    pub address: SocketAddr,
    pub projects: Projects,
    pub activity: Activity,
    pub shutdown: CancellationToken,
    pub ended: JoinHandle<Result<(), Error>>,
    client: Client<HttpConnector, Body>,
}

impl Running {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut config = Config::new("localhost", address.port());
        change(&mut config);
        let projects = Projects::default();
        let activity = Activity::default();
        let gateway: Gateway = build(
            config,
            Parts {
                api: api(),
                projects: Arc::new(projects.clone()),
                activity: activity.clone(),
            },
        );
        let shutdown = CancellationToken::new();
        let ended = tokio::spawn(gateway.run(listener, shutdown.clone()));
        Self {
            address,
            projects,
            activity,
            shutdown,
            ended,
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Sends a request to `host`, whatever address that really is.
    pub async fn send(
        &self,
        method: Method,
        host: &str,
        path: &str,
        fields: &[(&'static str, &str)],
        body: Body,
    ) -> Response {
        let uri: Uri = format!("http://{}{path}", self.address).parse().unwrap();
        let mut request = Request::builder().method(method).uri(uri);
        request = request.header("host", format!("{host}:{}", self.address.port()));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let answer = self.client.request(request.body(body).unwrap());
        timeout(PATIENCE, answer)
            .await
            .unwrap()
            .unwrap()
            .map(Body::new)
    }

    pub async fn get(&self, host: &str, path: &str, fields: &[(&'static str, &str)]) -> Response {
        self.send(Method::GET, host, path, fields, Body::empty())
            .await
    }

    /// Stops the gateway and waits for its end.
    pub async fn stop(self) {
        self.shutdown.cancel();
        timeout(PATIENCE, self.ended)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }
}

/// Stands for the API behind the gateway.
fn api() -> Router {
    Router::new()
        .route("/api/v1/echo", post(|body: Bytes| async move { body }))
        .route(
            "/api/v1/panic",
            get(|| async { panic!("on purpose") as StatusCode }),
        )
        .route(
            "/api/v1/json",
            post(|_: axum::Json<Value>| async { StatusCode::NO_CONTENT }),
        )
        .route("/api/v1/live", any(echo_socket))
}

/// Stands for a project-server; it reports what it is asked.
pub async fn project_server() -> (SocketAddr, CancellationToken) {
    serve(project_routes()).await
}

/// The same on a socket.
pub fn project_server_on(socket: &Path) -> CancellationToken {
    let listener = UnixListener::bind(socket).unwrap();
    serve_through(listener, project_routes())
}

fn project_routes() -> Router {
    Router::new()
        .route("/static/asked/{*rest}", any(asked))
        .route("/static/part", get(part))
        .route("/static/cookies", get(cookies))
        .route("/static/endless", get(endless))
        .route("/static/flood", get(flood))
        .route("/static/silent", get(std::future::pending::<()>))
        .route("/static/", any(echo_socket))
        .route("/static/socket", any(echo_socket))
}

/// Serves routes on a free port until the token is cancelled.
pub async fn serve(routes: Router) -> (SocketAddr, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, serve_through(listener, routes))
}

fn serve_through<L>(listener: L, routes: Router) -> CancellationToken
where
    L: Listener,
    L::Addr: std::fmt::Debug,
{
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            served = axum::serve(listener, routes) => served.unwrap(),
            () = stopped.cancelled() => {}
        }
    });
    stop
}

async fn asked(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let fields: HashMap<&str, &str> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    let report = json!({
        "method": method.as_str(),
        "uri": uri.to_string(),
        "headers": fields,
        "body": body.len(),
    });
    let own = [
        ("x-own", "kept"),
        ("connection", "x-hop"),
        ("x-hop", "dropped"),
    ];
    (own, axum::Json(report)).into_response()
}

async fn part(headers: HeaderMap) -> Response {
    if headers
        .get("if-none-match")
        .is_some_and(|tag| tag == "\"v1\"")
    {
        return (StatusCode::NOT_MODIFIED, [("etag", "\"v1\"")]).into_response();
    }
    if headers
        .get("range")
        .is_some_and(|range| range == "bytes=2-4")
    {
        let fields = [("content-range", "bytes 2-4/10"), ("etag", "\"v1\"")];
        return (StatusCode::PARTIAL_CONTENT, fields, "234").into_response();
    }
    (
        [("accept-ranges", "bytes"), ("etag", "\"v1\"")],
        "0123456789",
    )
        .into_response()
}

async fn cookies() -> Response {
    let fields = [
        ("set-cookie", "stolen=1; Path=/"),
        ("service-worker-allowed", "/"),
    ];
    (fields, "no cookies").into_response()
}

/// One piece at once, and then nothing more for ever.
async fn endless() -> Body {
    let first = futures::stream::iter([Ok::<_, std::io::Error>("first")]);
    Body::from_stream(futures::StreamExt::chain(first, futures::stream::pending()))
}

/// More than any buffer on the way holds.
async fn flood() -> Body {
    let piece = Bytes::from_static(&[b'x'; 64 * 1_024]);
    let pieces = futures::stream::repeat_with(move || Ok::<_, std::io::Error>(piece.clone()));
    Body::from_stream(pieces)
}

async fn echo_socket(upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .protocols(["echo"])
        .on_upgrade(|mut socket| async move {
            while let Some(Ok(message)) = socket.recv().await {
                if matches!(message, Message::Text(_) | Message::Binary(_))
                    && socket.send(message).await.is_err()
                {
                    return;
                }
            }
        })
}

pub async fn text(response: Response) -> String {
    let body = response.into_body().collect();
    let bytes = timeout(PATIENCE, body).await.unwrap().unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub async fn json(response: Response) -> Value {
    serde_json::from_str(&text(response).await).unwrap()
}

/// Checks that an answer is a problem, and gives its code.
pub async fn problem_code(response: Response) -> String {
    let status = response.status();
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let problem = json(response).await;
    assert_eq!(problem["status"], status.as_u16());
    problem["code"].as_str().unwrap().to_owned()
}
