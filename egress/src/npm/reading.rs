//! Bodies of answers: from files that are whole, from files that are being written, and from the registry as it comes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, BoxStream, Stream, StreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use sha1::Sha1;
use sha2::{Digest, Sha512};
use tokio_util::task::AbortOnDropHandle;

use super::Cache;
use super::failure::Failure;
use super::integrity::Integrity;
use super::path::Tarball;
use super::registry::{Chunks, Fetched};
use super::tarball::{Download, broken_off, is_right};
use crate::answer::{Body, BoxError};
use crate::measure;
use crate::store::{Entry, blocking};

/// Read from a file at once.
const CHUNK_BYTES: usize = 128 * 1_024;

/// A body of chunks.
pub(super) fn body<E>(chunks: impl Stream<Item = Result<Bytes, E>> + Send + 'static) -> Body
where
    E: Into<BoxError> + 'static,
{
    let frames = chunks.map(|chunk| chunk.map(Frame::data).map_err(Into::into));
    StreamBody::new(frames).boxed_unsync()
}

/// The content of an entry.
pub(super) fn kept(entry: &Entry) -> BoxStream<'static, io::Result<Bytes>> {
    let (file, end) = (Arc::clone(&entry.file), entry.about.bytes);
    let chunks = stream::try_unfold(0, move |at| {
        let file = Arc::clone(&file);
        async move {
            if at == end {
                return Ok(None);
            }
            let chunk = read(file, at, end).await?;
            let next = at + chunk.len() as u64;
            Ok(Some((chunk, next)))
        }
    });
    chunks.boxed()
}

/// A tarball that comes, from its beginning. If it can be kept no longer, it is asked for again, and what was given
/// already is left out.
pub(super) fn coming(
    cache: Arc<Cache>,
    tarball: Tarball,
    download: Download,
    file: Arc<File>,
) -> BoxStream<'static, Result<Bytes, Arc<Failure>>> {
    let along = Along {
        cache,
        tarball,
        download,
        file,
        at: 0,
        direct: None,
    };
    stream::try_unfold(along, |mut along| async move {
        let chunk = along.next().await?;
        Ok(chunk.map(|chunk| (chunk, along)))
    })
    .boxed()
}

struct Along {
    cache: Arc<Cache>,
    tarball: Tarball,
    download: Download,
    file: Arc<File>,
    /// So many bytes were given.
    at: u64,
    direct: Option<BoxStream<'static, Result<Bytes, Arc<Failure>>>>,
}

impl Along {
    async fn next(&mut self) -> Result<Option<Bytes>, Arc<Failure>> {
        loop {
            if let Some(direct) = &mut self.direct {
                return direct.next().await.transpose();
            }
            let progress = self.download.borrow_and_update().clone();
            if self.at < progress.readable {
                let chunk = read(Arc::clone(&self.file), self.at, progress.readable).await;
                let chunk = chunk.map_err(|error| broken_off(&self.tarball, &error))?;
                self.at += chunk.len() as u64;
                return Ok(Some(chunk));
            }
            match progress.end {
                Some(Ok(())) => return Ok(None),
                Some(Err(failure)) if matches!(*failure, Failure::Unkept(..)) => {
                    let fetched = self.cache.ask_for(&self.tarball).await?;
                    let (cache, tarball) = (Arc::clone(&self.cache), self.tarball.clone());
                    self.direct = Some(as_it_comes(&cache, tarball, fetched, self.at));
                }
                Some(Err(failure)) => return Err(failure),
                None => self
                    .download
                    .changed()
                    .await
                    .map_err(|_| Arc::new(Failure::Stopped))?,
            }
        }
    }
}

/// A tarball from the registry, without its first bytes; its last chunk is given once the hash has been seen.
pub(super) fn as_it_comes(
    cache: &Arc<Cache>,
    tarball: Tarball,
    fetched: Fetched,
    without: u64,
) -> BoxStream<'static, Result<Bytes, Arc<Failure>>> {
    let integrity = tokio::spawn(Arc::clone(cache).integrity(tarball.clone()));
    let direct = Direct {
        chunks: fetched.chunks(),
        integrity: AbortOnDropHandle::new(integrity),
        tarball,
        without,
        held: Bytes::new(),
        sha512: Sha512::new(),
        sha1: Sha1::new(),
        is_over: false,
    };
    stream::try_unfold(direct, |mut direct| async move {
        let chunk = direct.next().await?;
        Ok(chunk.map(|chunk| (chunk, direct)))
    })
    .boxed()
}

struct Direct {
    chunks: Chunks,
    integrity: AbortOnDropHandle<Option<Integrity>>,
    tarball: Tarball,
    without: u64,
    held: Bytes,
    sha512: Sha512,
    sha1: Sha1,
    is_over: bool,
}

impl Direct {
    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        if self.is_over {
            return Ok(None);
        }
        while let Some(chunk) = self.chunks.next().await {
            let chunk = chunk.map_err(|error| broken_off(&self.tarball, &error))?;
            self.sha512.update(&chunk);
            self.sha1.update(&chunk);
            let chunk = self.unseen(chunk);
            if !chunk.is_empty() {
                let before = std::mem::replace(&mut self.held, chunk);
                if !before.is_empty() {
                    return Ok(Some(before));
                }
            }
        }
        self.is_over = true;
        let integrity = (&mut self.integrity).await.ok().flatten();
        let (sha512, sha1) = (self.sha512.clone().finalize(), self.sha1.clone().finalize());
        is_right(&self.tarball, integrity.as_ref(), &sha512, &sha1)?;
        Ok(Some(std::mem::take(&mut self.held)))
    }

    fn unseen(&mut self, mut chunk: Bytes) -> Bytes {
        let left_out =
            usize::try_from(self.without).map_or(chunk.len(), |left| left.min(chunk.len()));
        self.without -= left_out as u64;
        chunk.split_off(left_out)
    }
}

async fn read(file: Arc<File>, at: u64, end: u64) -> io::Result<Bytes> {
    let wanted = usize::try_from(end - at).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
    let chunk = blocking(move || {
        let mut chunk = vec![0; wanted];
        file.read_exact_at(&mut chunk, at)?;
        Ok(Bytes::from(chunk))
    });
    let chunk = chunk.await?;
    measure::from_cache(chunk.len());
    Ok(chunk)
}
