//! A registry that is made up: it counts what it is asked, and does what a test says.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Body;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use firefly_egress::Registry as Base;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, ETAG, IF_NONE_MATCH};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha2::{Digest, Sha512};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::io::ReaderStream;

/// What a test says that comes, chunk by chunk.
pub type Script = mpsc::UnboundedSender<std::io::Result<Bytes>>;

/// The registry.
#[derive(Clone)]
pub struct Registry {
    pub address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    documents: HashMap<String, Value>,
    tarballs: HashMap<String, Vec<u8>>,
    scripts: HashMap<
        String,
        (
            Option<usize>,
            mpsc::UnboundedReceiver<std::io::Result<Bytes>>,
        ),
    >,
    asked: HashMap<String, usize>,
    not_modified: usize,
    authorized: usize,
    serving: Option<JoinHandle<()>>,
    is_down: bool,
    says_etag: bool,
}

impl Registry {
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let registry = Self {
            address: listener.local_addr().unwrap(),
            inner: Arc::default(),
        };
        registry.serve(listener);
        registry
    }

    /// Connections belong to the task, and end with it.
    fn serve(&self, listener: TcpListener) {
        let registry = self.clone();
        let serving = async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let registry = registry.clone();
                let answers = service_fn(move |request: Request<Incoming>| {
                    let registry = registry.clone();
                    async move { Ok::<_, Infallible>(answer(&registry, &request)) }
                });
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), answers);
                connections.spawn(connection);
            }
        };
        self.inner().serving = Some(tokio::spawn(serving));
    }

    /// From now on nobody accepts connections there, and those that there are are cut.
    pub async fn refuse_connections(&self) {
        let serving = self.inner().serving.take().unwrap();
        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled());
    }

    /// And now somebody does again.
    pub async fn accept_connections(&self) {
        self.serve(TcpListener::bind(self.address).await.unwrap());
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// What to tell an egress.
    pub fn base(&self) -> Base {
        format!("http://{}/", self.address).parse().unwrap()
    }

    /// A package with one version of these bytes.
    pub fn publish(&self, name: &str, version: &str, tarball: &[u8]) {
        let file = name.rsplit('/').next().unwrap();
        let path = format!("{name}/-/{file}-{version}.tgz");
        let integrity = format!("sha512-{}", STANDARD.encode(Sha512::digest(tarball)));
        let mut inner = self.inner();
        let fresh = json!({"name": name, "versions": {}});
        let document = inner.documents.entry(name.to_owned()).or_insert(fresh);
        document["versions"][version] = json!({
            "name": name, "version": version,
            "dist": {"tarball": format!("http://{}/{path}", self.address), "integrity": integrity},
        });
        inner.tarballs.insert(path, tarball.to_vec());
    }

    /// Gives out other bytes than its document says.
    pub fn tamper(&self, path: &str, bytes: &[u8]) {
        self.inner()
            .tarballs
            .insert(path.to_owned(), bytes.to_vec());
    }

    /// Forgets a document, as if it had been taken back.
    pub fn withdraw(&self, name: &str) {
        self.inner().documents.remove(name);
    }

    /// The next answer at a path comes as the test says, with a length or without.
    pub fn script(&self, path: &str, length: Option<usize>) -> Script {
        let (script, chunks) = mpsc::unbounded_channel();
        self.inner()
            .scripts
            .insert(path.to_owned(), (length, chunks));
        script
    }

    pub fn set_down(&self, is_down: bool) {
        self.inner().is_down = is_down;
    }

    pub fn set_etags(&self) {
        self.inner().says_etag = true;
    }

    /// How often it was asked for a path.
    pub fn asked(&self, path: &str) -> usize {
        self.inner().asked.get(path).copied().unwrap_or_default()
    }

    /// How often it was asked at all.
    pub fn asked_in_all(&self) -> usize {
        self.inner().asked.values().sum()
    }

    pub fn not_modified(&self) -> usize {
        self.inner().not_modified
    }

    /// How often somebody sent credentials.
    pub fn authorized(&self) -> usize {
        self.inner().authorized
    }
}

fn answer(registry: &Registry, request: &Request<Incoming>) -> Response {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let mut inner = registry.inner();
    *inner.asked.entry(path.clone()).or_default() += 1;
    inner.authorized += usize::from(request.headers().contains_key(AUTHORIZATION));
    if inner.is_down {
        return status(StatusCode::SERVICE_UNAVAILABLE);
    }
    if let Some((length, chunks)) = inner.scripts.remove(&path) {
        let stream = tokio_stream(chunks);
        let mut response = Response::new(Body::from_stream(stream));
        if let Some(length) = length {
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
        return response;
    }
    if let Some(tarball) = inner.tarballs.get(&path) {
        return Response::new(tarball.clone().into());
    }
    let Some(document) = inner.documents.get(&path) else {
        return status(StatusCode::NOT_FOUND);
    };
    let document = document.to_string();
    let etag = format!("\"{}\"", STANDARD.encode(Sha512::digest(&document)));
    if request
        .headers()
        .get(IF_NONE_MATCH)
        .is_some_and(|there| *there == *etag)
    {
        inner.not_modified += 1;
        return status(StatusCode::NOT_MODIFIED);
    }
    let asks_packed = request
        .headers()
        .get(ACCEPT_ENCODING)
        .is_some_and(|value| value == "gzip");
    let mut response = if asks_packed {
        let packed =
            async_compression::tokio::bufread::GzipEncoder::new(std::io::Cursor::new(document));
        let mut response = Response::new(Body::from_stream(ReaderStream::new(packed)));
        response
            .headers_mut()
            .insert("content-encoding", "gzip".parse().unwrap());
        response
    } else {
        Response::new(document.into())
    };
    response
        .headers_mut()
        .insert("content-type", "application/json".parse().unwrap());
    if inner.says_etag {
        response.headers_mut().insert(ETAG, etag.parse().unwrap());
    }
    response
}

fn tokio_stream(
    chunks: mpsc::UnboundedReceiver<std::io::Result<Bytes>>,
) -> impl futures::Stream<Item = std::io::Result<Bytes>> {
    futures::stream::unfold(chunks, |mut chunks| async move {
        chunks.recv().await.map(|chunk| (chunk, chunks))
    })
}

fn status(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
