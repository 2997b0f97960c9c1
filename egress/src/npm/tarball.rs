//! The files of a version: fetched once for all who ask, read along while they come, and kept if the registry itself says
//! that they hash to what they do.
//!
//! A lock file names tarballs without their packages' documents having been read, so the document is asked for beside
//! the download; nothing else is believed. Whoever reads along gets all but the last byte until the hash has been seen, so
//! that nobody ends up with a whole tarball that is a wrong one. A tarball of which no document says a hash is passed
//! on and not kept.

use std::fs::File;
use std::io;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt;
use http::Method;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::Cache;
use super::failure::Failure;
use super::integrity::Integrity;
use super::path::Tarball;
use super::registry::{Ask, Fetched};
use crate::store::{About, Entry};

/// Whoever gets less than the whole cannot take it for the whole.
const HELD_BACK_BYTES: u64 = 1;

/// How far a download is.
#[derive(Clone, Default)]
pub(super) struct Progress {
    /// Set once bytes come.
    pub(super) source: Option<Source>,
    /// So many bytes may be read.
    pub(super) readable: u64,
    /// Set at its end: then all may be read, or no more comes.
    pub(super) end: Option<Result<(), Arc<Failure>>>,
}

/// Where to read along.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) file: Arc<File>,
    /// If the registry says it.
    pub(super) bytes: Option<u64>,
}

/// A download under way.
pub(super) type Download = watch::Receiver<Progress>;

/// A tarball that can be read.
pub(super) enum Opened {
    /// It is there.
    Kept(Entry),
    /// It comes.
    Coming(Download, Source),
    /// It comes, and is not kept.
    AsItComes(Fetched),
}

impl Cache {
    /// Opens a tarball, and fetches it if it is not there.
    pub(super) async fn tarball(
        self: &Arc<Self>,
        tarball: &Tarball,
    ) -> Result<Opened, Arc<Failure>> {
        let key = self.tarball_key(tarball);
        if let Some(entry) = self.store.get(&key).await {
            return Ok(Opened::Kept(entry));
        }
        if !self.may_fetch {
            return Err(Arc::new(Failure::NotCached(tarball.path())));
        }
        let mut download = self.tarballs.join(&key, |landing| {
            let (told, download) = watch::channel(Progress::default());
            let (cache, tarball) = (Arc::clone(self), tarball.clone());
            self.tasks.spawn(async move {
                let _landing = landing;
                let end = cache.download(&tarball, &told).await;
                told.send_modify(|progress| progress.end = Some(end.map_err(Arc::new)));
            });
            download
        });
        let begun =
            download.wait_for(|progress| progress.source.is_some() || progress.end.is_some());
        let progress = match begun.await {
            Ok(progress) => progress.clone(),
            Err(_) => return Err(Arc::new(Failure::Stopped)),
        };
        match (progress.source, progress.end) {
            (Some(source), _) => Ok(Opened::Coming(download, source)),
            (None, Some(Err(failure))) if matches!(*failure, Failure::Unkept(..)) => {
                Ok(Opened::AsItComes(self.ask_for(tarball).await?))
            }
            (None, Some(Err(failure))) => Err(failure),
            (None, _) => Err(Arc::new(Failure::Stopped)),
        }
    }

    /// Asks the registry for a tarball.
    pub(super) async fn ask_for(&self, tarball: &Tarball) -> Result<Fetched, Failure> {
        let ask = Ask {
            method: &Method::GET,
            path: &tarball.path(),
            accept: None,
            etag: None,
        };
        self.registry.ask(ask).await
    }

    /// What one registry gives out is not what another one does.
    fn tarball_key(&self, tarball: &Tarball) -> String {
        format!("{} tarball {}", self.base, tarball.path())
    }

    async fn download(
        self: &Arc<Self>,
        tarball: &Tarball,
        told: &watch::Sender<Progress>,
    ) -> Result<(), Failure> {
        let fetched = timeout(self.limits.download, self.fetch_tarball(tarball, told));
        let fetched = self.stopping.run_until_cancelled(fetched).await;
        match fetched {
            Some(Ok(fetched)) => fetched,
            Some(Err(_)) => Err(Failure::Slow(tarball.path())),
            None => Err(Failure::Stopped),
        }
    }

    async fn fetch_tarball(
        self: &Arc<Self>,
        tarball: &Tarball,
        told: &watch::Sender<Progress>,
    ) -> Result<(), Failure> {
        // An earlier download may have ended since it was looked for.
        if let Some(entry) = self.store.get(&self.tarball_key(tarball)).await {
            let bytes = entry.about.bytes;
            told.send_modify(|progress| {
                progress.readable = bytes;
                progress.source = Some(Source {
                    file: entry.file,
                    bytes: Some(bytes),
                });
            });
            return Ok(());
        }
        let fetched = self.ask_for(tarball).await?;
        let unkept = |error| Failure::Unkept(tarball.path(), error);
        let bytes = fetched.response.content_length();
        if bytes.is_some_and(|bytes| bytes > self.store.entry_bytes_max()) {
            return Err(unkept(too_large()));
        }
        let integrity = tokio::spawn(Arc::clone(self).integrity(tarball.clone()));
        let integrity = AbortOnDropHandle::new(integrity);
        let mut draft = self.store.draft().await.map_err(unkept)?;
        let file = draft.reader();
        told.send_modify(|progress| progress.source = Some(Source { file, bytes }));
        let mut chunks = fetched.chunks();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| broken_off(tarball, &error))?;
            draft = draft.write(chunk).await.map_err(unkept)?;
            if draft.bytes() > self.store.entry_bytes_max() {
                return Err(unkept(too_large()));
            }
            let readable = draft.bytes().saturating_sub(HELD_BACK_BYTES);
            told.send_modify(|progress| progress.readable = readable);
        }
        let integrity = integrity.await.ok().flatten();
        let (bytes, sha512) = (draft.bytes(), draft.sha512());
        if is_right(tarball, integrity.as_ref(), &sha512, &draft.sha1())? {
            let about = About {
                key: self.tarball_key(tarball),
                bytes,
                sha512: STANDARD.encode(sha512),
                etag: None,
                content_type: None,
            };
            if let Err(error) = self.store.keep(draft, about).await {
                tracing::warn!(?error, tarball = tarball.path(), "a package cannot be kept");
            }
        }
        told.send_modify(|progress| progress.readable = bytes);
        Ok(())
    }
}

/// Whether a tarball is known to be right; a wrong one is a failure.
pub(super) fn is_right(
    tarball: &Tarball,
    integrity: Option<&Integrity>,
    sha512: &[u8],
    sha1: &[u8],
) -> Result<bool, Failure> {
    match integrity {
        Some(integrity) if integrity.holds(sha512, sha1) => Ok(true),
        Some(_) => {
            tracing::error!(tarball = tarball.path(), "a package does not have its hash");
            Err(Failure::Integrity(tarball.path()))
        }
        None => {
            tracing::warn!(
                tarball = tarball.path(),
                "no document says what a package hashes to, so it is not kept"
            );
            Ok(false)
        }
    }
}

/// What came was not all.
pub(super) fn broken_off(tarball: &Tarball, error: &io::Error) -> Failure {
    Failure::Broken(tarball.path(), format!("breaks off ({error})"))
}

fn too_large() -> io::Error {
    io::Error::other("it is too large for the cache")
}
