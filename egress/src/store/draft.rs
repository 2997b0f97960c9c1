//! Content that is being written, and hashed along.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sha1::Sha1;
use sha2::{Digest, Sha512};
use tempfile::NamedTempFile;

use super::{About, blocking};

/// Firefly alone reads the cache.
const FILE_MODE: u32 = 0o600;

/// Content that is being written. Dropping it removes it.
pub(crate) struct Draft {
    file: NamedTempFile,
    /// For those who read along.
    reader: Arc<File>,
    sha512: Sha512,
    sha1: Sha1,
    bytes: u64,
}

impl Draft {
    pub(super) fn begin(directory: &Path) -> io::Result<Self> {
        let file = tempfile::Builder::new()
            .permissions(Permissions::from_mode(FILE_MODE))
            .tempfile_in(directory)?;
        Ok(Self {
            reader: Arc::new(file.reopen()?),
            file,
            sha512: Sha512::new(),
            sha1: Sha1::new(),
            bytes: 0,
        })
    }

    /// Its content as far as it is written; it stays readable whatever becomes of the draft.
    pub(crate) fn reader(&self) -> Arc<File> {
        Arc::clone(&self.reader)
    }

    /// Bytes that are written.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The SHA-512 of what is written.
    pub(crate) fn sha512(&self) -> Vec<u8> {
        self.sha512.clone().finalize().to_vec()
    }

    /// The SHA-1 of what is written; all that is known of old packages.
    pub(crate) fn sha1(&self) -> Vec<u8> {
        self.sha1.clone().finalize().to_vec()
    }

    /// Puts a chunk behind what is written. A draft that could not be written is gone.
    pub(crate) async fn write(mut self, chunk: Bytes) -> io::Result<Self> {
        blocking(move || {
            self.file.write_all(&chunk)?;
            self.sha512.update(&chunk);
            self.sha1.update(&chunk);
            self.bytes += chunk.len() as u64;
            Ok(self)
        })
        .await
    }

    /// Puts the footer behind it.
    pub(super) fn end(mut self, about: &About) -> io::Result<Whole> {
        about.write(self.file.as_file_mut())?;
        Ok(Whole(self))
    }
}

/// A draft with its footer.
pub(super) struct Whole(Draft);

impl Whole {
    /// Gives it its name.
    pub(super) fn name(self, path: &Path) -> io::Result<Arc<File>> {
        let Draft { file, reader, .. } = self.0;
        file.persist(path).map_err(|error| error.error)?;
        Ok(reader)
    }
}

/// A hash as it is written.
pub(super) fn text(hash: &[u8]) -> String {
    STANDARD.encode(hash)
}
