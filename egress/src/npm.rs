//! npm's registry, read through a cache that all projects share.
//!
//! Projects can only ask, so what is in the cache comes from the registry alone, and none can plant anything for another.
//! Credentials are no part of it: fields that projects send are not looked at, and packages that need them are reached
//! through a tunnel, by whoever has them.

mod failure;
mod flights;
mod integrity;
mod package;
mod path;
mod reading;
mod registry;
mod rewrite;
mod tarball;

use std::sync::Arc;

use http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
    IF_NONE_MATCH, WARNING,
};
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::{Body as HttpBody, Incoming};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::{Answer, Body, empty, full};
use crate::config::{Config, Limits};
use crate::egress::{Error, may_fetch};
use crate::measure;
use crate::store::{Store, blocking};
use failure::Failure;
use flights::Flights;
use package::{Fetching, Form, Known, Outcome};
use path::{NoRoute, Package, Route, Tarball};
use registry::{Ask, Registry};
use tarball::{Download, Opened};

/// How an answer was come by.
const FIREFLY_CACHE: HeaderName = HeaderName::from_static("firefly-cache");

/// RFC 7234: that a response is stale.
const STALE: HeaderValue = HeaderValue::from_static("110 firefly \"Response is Stale\"");

/// A version's files never change.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, immutable, max-age=31557600");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
const READING: HeaderValue = HeaderValue::from_static("GET, HEAD");

/// The cache, as requests see it.
pub(crate) struct Npm(Arc<Cache>);

/// The cache, as its tasks see it.
struct Cache {
    store: Store,
    registry: Registry,
    /// The registry's base.
    base: String,
    may_fetch: bool,
    documents: Flights<Fetching>,
    tarballs: Flights<Download>,
    limits: Limits,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

/// An answer, and what is counted of it.
type Counted = (Answer, &'static str);

impl Npm {
    /// Opens the cache.
    pub(crate) async fn open(
        config: &Config,
        tasks: TaskTracker,
        stopping: CancellationToken,
    ) -> Result<Self, Error> {
        let (directory, bytes_max) = (config.cache_dir.clone(), config.cache_bytes);
        let store = blocking(move || Store::open(&directory, bytes_max)).await;
        let store = store.map_err(|source| Error::Cache {
            path: config.cache_dir.clone(),
            source,
        })?;
        Ok(Self(Arc::new(Cache {
            store,
            registry: Registry::new(config)?,
            base: config.registry.as_str().to_owned(),
            may_fetch: may_fetch(config.policy),
            documents: Flights::default(),
            tarballs: Flights::default(),
            limits: config.limits.clone(),
            tasks,
            stopping,
        })))
    }

    /// Answers one request.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let route = match path::route(request.uri().path()) {
            Ok(Route::Unserved) => {
                let said = "Firefly serves packages and nothing else of the registry";
                return told(StatusCode::NOT_FOUND, said);
            }
            Ok(route) => route,
            Err(NoRoute) => return told(StatusCode::NOT_FOUND, &NoRoute.to_string()),
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let said = "Firefly only reads from the registry; publish to it from elsewhere";
            let mut answer = told(StatusCode::METHOD_NOT_ALLOWED, said);
            answer.headers_mut().insert(ALLOW, READING);
            return answer;
        }
        if !request.body().is_end_stream() {
            return told(StatusCode::BAD_REQUEST, "what is only read takes no body");
        }
        let (kind, answered) = match route {
            Route::Ping => return json_of(StatusCode::OK, &json!({})),
            Route::Unserved => return empty(StatusCode::NOT_FOUND),
            Route::Package(package) => ("package", self.package(&package, request.headers()).await),
            Route::Tarball(tarball) => ("tarball", self.tarball(tarball, request.method()).await),
            Route::Manifest(package, version) => {
                let path = format!("{package}/{}", version.as_str());
                ("other", self.as_it_comes(&path).await)
            }
        };
        let (mut answer, outcome) = answered.unwrap_or_else(|failure| failed(&failure));
        measure::npm(kind, outcome);
        let outcome = HeaderValue::from_static(outcome);
        answer.headers_mut().insert(FIREFLY_CACHE, outcome);
        if *request.method() == Method::HEAD {
            answer = answer.map(|_| full(""));
        }
        answer
    }

    async fn package(&self, package: &Package, asked: &HeaderMap) -> Result<Counted, Arc<Failure>> {
        let cache = &self.0;
        let form = form(asked);
        match cache.document(package, form).await {
            Ok(known) => Ok((
                cache.document_answer(&known, form, asked),
                known.outcome.as_str(),
            )),
            Err(failure) if matches!(*failure, Failure::Unkept(..)) => {
                tracing::warn!(
                    error = &*failure as &dyn std::error::Error,
                    "a package is passed on"
                );
                let chunks = cache.document_as_it_comes(package, form).await?;
                let body = reading::body(chunks);
                let content_type = HeaderValue::from_static(form.content_type());
                Ok((answer(body, content_type), Outcome::Passed.as_str()))
            }
            Err(failure) => Err(failure),
        }
    }

    async fn tarball(&self, tarball: Tarball, method: &Method) -> Result<Counted, Arc<Failure>> {
        let cache = &self.0;
        let opened = cache.tarball(&tarball).await?;
        let (body, bytes, outcome) = match opened {
            Opened::Kept(entry) => {
                let bytes = Some(entry.about.bytes);
                (reading::body(reading::kept(&entry)), bytes, Outcome::Hit)
            }
            Opened::Coming(download, source) => {
                let bytes = source.bytes;
                let cache = Arc::clone(cache);
                let chunks = reading::coming(cache, tarball, download, source.file);
                (reading::body(chunks), bytes, Outcome::Miss)
            }
            Opened::AsItComes(fetched) => {
                let bytes = fetched.response.content_length();
                let chunks = match *method {
                    Method::HEAD => full(""),
                    _ => reading::body(reading::as_it_comes(cache, tarball, fetched, 0)),
                };
                (chunks, bytes, Outcome::Passed)
            }
        };
        let mut answer = answer(body, BYTES);
        let headers = answer.headers_mut();
        headers.insert(CACHE_CONTROL, FOR_EVER);
        if let Some(bytes) = bytes {
            headers.insert(CONTENT_LENGTH, bytes.into());
        }
        Ok((answer, outcome.as_str()))
    }

    /// Something small that is not kept.
    async fn as_it_comes(&self, path: &str) -> Result<Counted, Arc<Failure>> {
        let cache = &self.0;
        if !cache.may_fetch {
            return Err(Arc::new(Failure::NotCached(path.to_owned())));
        }
        let ask = Ask {
            method: &Method::GET,
            path,
            accept: Some(Form::Full.content_type()),
            etag: None,
        };
        let fetched = cache.registry.ask(ask).await?;
        let answer = answer(reading::body(fetched.chunks()), JSON);
        Ok((answer, Outcome::Passed.as_str()))
    }
}

impl Cache {
    fn document_answer(&self, known: &Known, form: Form, asked: &HeaderMap) -> Answer {
        let about = &known.entry.about;
        // A hash of what is served, whatever the registry calls it.
        let etag = HeaderValue::try_from(format!("\"{}\"", about.sha512)).ok();
        let is_there = asked
            .get_all(IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|tag| tag.trim().trim_start_matches("W/"))
            .any(|tag| etag.as_ref().is_some_and(|etag| etag == tag));
        let mut answer = if is_there {
            empty(StatusCode::NOT_MODIFIED)
        } else {
            let content_type = about.content_type.as_deref();
            let content_type = content_type.and_then(|text| HeaderValue::try_from(text).ok());
            let content_type =
                content_type.unwrap_or_else(|| HeaderValue::from_static(form.content_type()));
            let mut answer = answer(reading::body(reading::kept(&known.entry)), content_type);
            answer
                .headers_mut()
                .insert(CONTENT_LENGTH, about.bytes.into());
            answer
        };
        let headers = answer.headers_mut();
        headers.extend(etag.map(|etag| (ETAG, etag)));
        let fresh = self.fresh_for(&known.entry).as_secs();
        let fresh = HeaderValue::try_from(format!("public, max-age={fresh}")).ok();
        headers.extend(fresh.map(|fresh| (CACHE_CONTROL, fresh)));
        if known.outcome == Outcome::Stale {
            headers.insert(WARNING, STALE);
        }
        answer
    }
}

/// The form of a document that is asked for.
fn form(asked: &HeaderMap) -> Form {
    let wants = |value: &HeaderValue| {
        let value = value.to_str().unwrap_or_default();
        value.contains(Form::Abbreviated.content_type())
    };
    if asked.get_all(ACCEPT).iter().any(wants) {
        Form::Abbreviated
    } else {
        Form::Full
    }
}

fn answer(body: Body, content_type: HeaderValue) -> Answer {
    let mut answer = Answer::new(body);
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

fn failed(failure: &Failure) -> Counted {
    let outcome = match failure {
        Failure::Absent(..) => "absent",
        _ => "failed",
    };
    tracing::debug!(
        error = failure as &dyn std::error::Error,
        "a package is not served"
    );
    (told(failure.status(), &failure.to_string()), outcome)
}

/// A sentence, in the form that npm shows to people.
fn told(status: StatusCode, sentence: &str) -> Answer {
    json_of(status, &json!({ "error": sentence }))
}

fn json_of(status: StatusCode, value: &serde_json::Value) -> Answer {
    let mut answer = answer(full(value.to_string()), JSON);
    *answer.status_mut() = status;
    answer
}
