//! The document that says all about a package: kept, fresh for some minutes, then held against the registry's; and used
//! though it may be out of date when the registry is out of reach.

use std::io::{self, BufReader};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt;
use http::header::{CONTENT_TYPE, ETAG};
use http::{Method, StatusCode};
use serde::de::IgnoredAny;
use tokio::sync::watch;
use tokio::time::timeout;

use super::Cache;
use super::failure::Failure;
use super::flights::Landing;
use super::integrity::{self, Integrity};
use super::path::{Package, Tarball};
use super::registry::{Ask, Chunks, Fetched};
use super::rewrite::Rewriting;
use crate::store::{About, Draft, Entry, Reader, blocking};

/// The largest documents there are have some 100 MB.
const DOCUMENT_BYTES_MAX: u64 = 512 << 20;

/// How much a document says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// Everything.
    Full,
    /// What an installation needs.
    Abbreviated,
}

/// A document, and how it was come by.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) entry: Entry,
    pub(super) outcome: Outcome,
}

/// How something was come by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// It was there.
    Hit,
    /// It was there, and the registry says that it has not changed.
    Revalidated,
    /// It was fetched.
    Miss,
    /// It was there; whether it is up to date nobody could tell.
    Stale,
    /// It was fetched, and is not kept.
    Passed,
}

/// What becomes of a fetch, once it is known.
pub(super) type Fetching = watch::Receiver<Option<Result<Known, Arc<Failure>>>>;

impl Form {
    /// The type to say and to ask for.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Full => "application/json",
            Self::Abbreviated => "application/vnd.npm.install-v1+json",
        }
    }

    const fn accept(self) -> &'static str {
        match self {
            Self::Full => "application/json",
            Self::Abbreviated => {
                "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8"
            }
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Abbreviated => "abbreviated",
        }
    }
}

impl Outcome {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Revalidated => "revalidated",
            Self::Miss => "miss",
            Self::Stale => "stale",
            Self::Passed => "passed",
        }
    }
}

impl Cache {
    /// The document of a package.
    pub(super) async fn document(
        self: &Arc<Self>,
        package: &Package,
        form: Form,
    ) -> Result<Known, Arc<Failure>> {
        let key = self.document_key(package, form);
        let kept = self.store.get(&key).await;
        let outcome = match &kept {
            Some(entry) if self.is_fresh(entry) => Some(Outcome::Hit),
            Some(_) if !self.may_fetch || self.registry.is_out_of_reach() => Some(Outcome::Stale),
            Some(_) => None,
            None if !self.may_fetch => {
                return Err(Arc::new(Failure::NotCached(package.to_string())));
            }
            None => None,
        };
        if let (Some(entry), Some(outcome)) = (kept.clone(), outcome) {
            return Ok(Known { entry, outcome });
        }
        match (self.refresh(package, form).await, kept) {
            (Err(failure), Some(entry)) if failure.is_outage() => {
                tracing::warn!(
                    %package,
                    error = &*failure as &dyn std::error::Error,
                    "a package's document may be out of date"
                );
                let outcome = Outcome::Stale;
                Ok(Known { entry, outcome })
            }
            (Err(failure), Some(_)) if matches!(*failure, Failure::Absent(..)) => {
                // Taken back by its makers, or by the registry since it did harm.
                self.store.remove(&key).await;
                Err(failure)
            }
            (refreshed, _) => refreshed,
        }
    }

    /// The hash that a tarball must have, as the registry says in the document of its package.
    pub(super) async fn integrity(self: Arc<Self>, tarball: Tarball) -> Option<Integrity> {
        for form in [Form::Full, Form::Abbreviated] {
            // However old: what a version hashes to never changes.
            let kept = self
                .store
                .get(&self.document_key(&tarball.package, form))
                .await;
            if let Some(entry) = kept
                && let Some(integrity) = look_up(entry, &tarball).await
            {
                return Some(integrity);
            }
        }
        let known = self.refresh(&tarball.package, Form::Abbreviated).await;
        look_up(known.ok()?.entry, &tarball).await
    }

    /// Fetches a document as it comes, for want of a place to keep it.
    pub(super) async fn document_as_it_comes(
        &self,
        package: &Package,
        form: Form,
    ) -> Result<Chunks, Failure> {
        let path = package.path();
        let fetched = self.registry.ask(ask(&path, form, None)).await?;
        let mut rewriting = Rewriting::of(&self.base);
        let ends = futures::stream::once(async { None });
        let chunks = fetched.chunks().map(Some).chain(ends);
        let rewritten = chunks.map(move |chunk| match chunk {
            Some(chunk) => chunk.map(|chunk| rewriting.put(chunk)),
            None => Ok(rewriting.end()),
        });
        Ok(rewritten.boxed())
    }

    /// For how long an entry is still fresh, if it is.
    pub(super) fn fresh_for(&self, entry: &Entry) -> Duration {
        // A clock that was set back makes everything old, rather than fresh for ever.
        let age = SystemTime::now().duration_since(entry.checked);
        age.map_or(Duration::ZERO, |age| self.limits.fresh.saturating_sub(age))
    }

    /// What one registry says is not what another one does.
    fn document_key(&self, package: &Package, form: Form) -> String {
        format!("{} {} {package}", self.base, form.as_str())
    }

    fn is_fresh(&self, entry: &Entry) -> bool {
        !self.fresh_for(entry).is_zero()
    }

    /// Asks the registry, once for all who want to know at the same time.
    async fn refresh(
        self: &Arc<Self>,
        package: &Package,
        form: Form,
    ) -> Result<Known, Arc<Failure>> {
        let mut fetching = self
            .documents
            .join(&self.document_key(package, form), |landing| {
                let (told, fetching) = watch::channel(None);
                let (cache, package) = (Arc::clone(self), package.clone());
                self.tasks.spawn(async move {
                    let stopping = cache.stopping.clone();
                    let fetched = cache.fetch_in_time(landing, &package, form);
                    let fetched = stopping.run_until_cancelled(fetched).await;
                    let fetched = fetched.unwrap_or(Err(Failure::Stopped));
                    told.send_replace(Some(fetched.map_err(Arc::new)));
                });
                fetching
            });
        let told = fetching.wait_for(Option::is_some).await;
        match told.as_deref() {
            Ok(Some(fetched)) => fetched.clone(),
            _ => Err(Arc::new(Failure::Stopped)),
        }
    }

    async fn fetch_in_time(
        &self,
        _landing: Landing<Fetching>,
        package: &Package,
        form: Form,
    ) -> Result<Known, Failure> {
        let fetched = timeout(self.limits.download, self.fetch_document(package, form)).await;
        fetched.unwrap_or_else(|_| Err(Failure::Slow(package.to_string())))
    }

    async fn fetch_document(&self, package: &Package, form: Form) -> Result<Known, Failure> {
        let (key, path) = (self.document_key(package, form), package.path());
        let kept = self.store.get(&key).await;
        let etag = kept.as_ref().and_then(|entry| entry.about.etag.as_deref());
        let fetched = self.registry.ask(ask(&path, form, etag)).await?;
        if let (StatusCode::NOT_MODIFIED, Some(entry)) = (fetched.response.status(), &kept) {
            let entry = self.store.confirm(entry).await;
            let outcome = Outcome::Revalidated;
            return Ok(Known { entry, outcome });
        }
        let (etag, content_type) = (fetched.field(&ETAG), fetched.field(&CONTENT_TYPE));
        let draft = self.write_document(package, fetched).await?;
        let about = About {
            key,
            bytes: draft.bytes(),
            sha512: STANDARD.encode(draft.sha512()),
            etag,
            content_type,
        };
        let entry = self.store.keep(draft, about).await;
        let entry = entry.map_err(|error| Failure::Unkept(package.to_string(), error))?;
        let outcome = Outcome::Miss;
        Ok(Known { entry, outcome })
    }

    async fn write_document(&self, package: &Package, fetched: Fetched) -> Result<Draft, Failure> {
        let unkept = |error| Failure::Unkept(package.to_string(), error);
        let broken = |why: String| Failure::Broken(package.to_string(), why);
        let mut draft = self.store.draft().await.map_err(unkept)?;
        let mut rewriting = Rewriting::of(&self.base);
        let mut chunks = fetched.chunks();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| broken(format!("breaks off ({error})")))?;
            if draft.bytes() + chunk.len() as u64 > DOCUMENT_BYTES_MAX {
                return Err(broken("is too long".into()));
            }
            draft = draft.write(rewriting.put(chunk)).await.map_err(unkept)?;
        }
        draft = draft.write(rewriting.end()).await.map_err(unkept)?;
        if draft.bytes() > self.store.entry_bytes_max() {
            return Err(unkept(io::Error::other("it is too large for the cache")));
        }
        let reader = Reader::new(draft.reader(), draft.bytes());
        let read = blocking(move || Ok(serde_json::from_reader(BufReader::new(reader))?));
        match read.await {
            Ok(IgnoredAny) => Ok(draft),
            Err(error) => Err(broken(format!("is no JSON ({error})"))),
        }
    }
}

async fn look_up(document: Entry, tarball: &Tarball) -> Option<Integrity> {
    let tarball = tarball.clone();
    let found = blocking(move || Ok(integrity::find(&document, &tarball)));
    found.await.ok().flatten()
}

const fn ask<'a>(path: &'a str, form: Form, etag: Option<&'a str>) -> Ask<'a> {
    Ask {
        method: &Method::GET,
        path,
        accept: Some(form.accept()),
        etag,
    }
}
