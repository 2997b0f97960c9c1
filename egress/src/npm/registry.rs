//! The registry behind the cache, asked over HTTP. What projects send along never reaches it.

use std::fs;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_compression::tokio::bufread::GzipDecoder;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, IF_NONE_MATCH};
use http::{Method, StatusCode};
use reqwest::{Certificate, Client, Proxy, Response, redirect};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_util::io::{ReaderStream, StreamReader};

use super::failure::Failure;
use crate::config::Config;
use crate::egress::Error;
use crate::measure;

const USER_AGENT: &str = concat!("firefly/", env!("CARGO_PKG_VERSION"));

/// Registries connect within a second.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a registry may say nothing.
const SILENCE: Duration = Duration::from_secs(30);

/// Mirrors redirect to where they keep files.
const REDIRECTS_MAX: usize = 3;

/// Read at once of what is unpacked.
const UNPACKED_BYTES: usize = 64 * 1_024;

const GZIP: &str = "gzip";

/// What comes from the registry, as it comes.
pub(super) type Chunks = BoxStream<'static, io::Result<Bytes>>;

/// The registry.
pub(super) struct Registry {
    client: Client,
    base: String,
    /// Documents and tarballs take turns apart, since a tarball waits for the document that says its hash.
    documents: Arc<Semaphore>,
    tarballs: Arc<Semaphore>,
    turn_wait: Duration,
    pause: Duration,
    paused_until: Mutex<Option<Instant>>,
}

/// An answer of the registry, and its turn.
pub(super) struct Fetched {
    pub(super) response: Response,
    is_document: bool,
    turn: OwnedSemaphorePermit,
}

/// What is asked for.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) method: &'a Method,
    /// Below the registry's base.
    pub(super) path: &'a str,
    /// The types that will do; tarballs have but one, and come as they are.
    pub(super) accept: Option<&'static str>,
    /// What is there already.
    pub(super) etag: Option<&'a str>,
}

impl Registry {
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        let limits = &config.limits;
        let mut client = Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .redirect(redirect::Policy::limited(REDIRECTS_MAX))
            .no_proxy();
        if let Some(path) = &config.further_roots {
            let unreadable = |source| Error::Roots {
                path: path.clone(),
                source,
            };
            let pem = fs::read(path).map_err(unreadable)?;
            let roots = Certificate::from_pem_bundle(&pem).map_err(Error::Client)?;
            client = client.tls_certs_merge(roots);
        }
        let host = config.registry.host();
        let passes_over = |proxy: &&crate::UpstreamProxy| {
            host.as_ref().is_some_and(|host| proxy.passes_over(host))
        };
        if let Some(proxy) = config
            .upstream_proxy
            .as_ref()
            .filter(|proxy| !passes_over(proxy))
        {
            let proxy = Proxy::all(proxy.url().clone()).map_err(Error::Client)?;
            client = client.proxy(proxy);
        }
        Ok(Self {
            client: client.build().map_err(Error::Client)?,
            base: config.registry.as_str().to_owned(),
            documents: Arc::new(Semaphore::new(limits.downloads)),
            tarballs: Arc::new(Semaphore::new(limits.downloads)),
            turn_wait: limits.idle,
            pause: limits.registry_pause,
            paused_until: Mutex::new(None),
        })
    }

    /// Asks, and judges the status: what comes back is 200 or, with an etag, 304.
    pub(super) async fn ask(&self, ask: Ask<'_>) -> Result<Fetched, Failure> {
        let turns = if ask.accept.is_some() {
            &self.documents
        } else {
            &self.tarballs
        };
        let turn = timeout(self.turn_wait, Arc::clone(turns).acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok).ok_or(Failure::Busy)?;
        let url = format!("{}{}", self.base, ask.path);
        let mut request = self.client.request(ask.method.clone(), url);
        if let Some(accept) = ask.accept {
            request = request.header(ACCEPT, accept).header(ACCEPT_ENCODING, GZIP);
        }
        if let Some(etag) = ask.etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let what = || ask.path.to_owned();
        let answered = request.send().await;
        self.note(answered.is_ok());
        let response =
            answered.map_err(|error| Failure::Unreachable(what(), error.without_url()))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if ask.etag.is_some() => {}
            status if status == StatusCode::TOO_MANY_REQUESTS || !status.is_client_error() => {
                return Err(Failure::Fails(what(), status));
            }
            status => return Err(Failure::Absent(what(), status)),
        }
        Ok(Fetched {
            response,
            is_document: ask.accept.is_some(),
            turn,
        })
    }

    /// Whether the registry could not be reached a moment ago, so that asking again would only make people wait.
    pub(super) fn is_out_of_reach(&self) -> bool {
        let until = *self
            .paused_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn note(&self, is_reached: bool) {
        let until = (!is_reached).then(|| Instant::now() + self.pause);
        *self
            .paused_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = until;
    }
}

impl Fetched {
    /// A field of the answer, if it is text.
    pub(super) fn field(&self, name: &http::HeaderName) -> Option<String> {
        let value = self.response.headers().get(name)?;
        value.to_str().ok().map(str::to_owned)
    }

    /// The content: of a document unpacked, of a tarball as it came, since that is what is hashed.
    pub(super) fn chunks(self) -> Chunks {
        let encoding = self.response.headers().get(CONTENT_ENCODING);
        let is_packed = self.is_document
            && encoding
                .is_some_and(|encoding| encoding.as_bytes().eq_ignore_ascii_case(GZIP.as_bytes()));
        let Self { response, turn, .. } = self;
        let chunks = response
            .bytes_stream()
            .map_err(|error| io::Error::other(error.without_url()))
            .inspect_ok(move |chunk| {
                let _held = &turn;
                measure::from_registry(chunk.len());
            });
        if is_packed {
            let unpacked = GzipDecoder::new(StreamReader::new(chunks.boxed()));
            ReaderStream::with_capacity(unpacked, UNPACKED_BYTES).boxed()
        } else {
            chunks.boxed()
        }
    }
}
