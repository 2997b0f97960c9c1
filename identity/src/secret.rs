//! The installation's secret: made once, kept in a file that only its owner can read.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use rand::TryRngCore;
use rand::rngs::OsRng;
use sha2::Sha256;

/// Bytes of the secret: as many as the hash has that it is used with.
const SECRET_BYTES: usize = 32;

/// The key from which an installation derives all others.
#[derive(Clone)]
pub struct Secret([u8; SECRET_BYTES]);

/// The secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read or written.
    #[error("the secret {} cannot be read or made", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file holds something else.
    #[error("the secret {} does not hold {SECRET_BYTES} bytes; restore it, or remove it and sign in again", path.display())]
    Length {
        /// The file.
        path: PathBuf,
    },
    /// Other users of the host may read the file.
    #[error("the secret {} can be read by others; set its mode to 0600", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
}

impl Secret {
    /// Reads the secret, or makes one if there is no file yet.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn load_or_create(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::File {
            path: path.to_owned(),
            source,
        };
        match Self::create(path) {
            Ok(secret) => Ok(secret),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let file = File::open(path).map_err(failed)?;
                if file.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0 {
                    return Err(Error::Exposed {
                        path: path.to_owned(),
                    });
                }
                let mut bytes = Vec::with_capacity(SECRET_BYTES + 1);
                file.take(SECRET_BYTES as u64 + 1)
                    .read_to_end(&mut bytes)
                    .map_err(failed)?;
                bytes.try_into().map(Self).map_err(|_| Error::Length {
                    path: path.to_owned(),
                })
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Writes a new secret under another name and links it into place, so that a crash leaves all of it or nothing.
    fn create(path: &Path) -> io::Result<Self> {
        if path.try_exists()? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let mut bytes = [0; SECRET_BYTES];
        OsRng.try_fill_bytes(&mut bytes).map_err(io::Error::other)?;
        let draft = path.with_extension(format!("{}.new", std::process::id()));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        let linked = std::fs::hard_link(&draft, path);
        std::fs::remove_file(&draft)?;
        linked?;
        // The name is durable once its directory is.
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            File::open(folder)?.sync_all()?;
        }
        Ok(Self(bytes))
    }

    /// Derives a key for one purpose; keys of different purposes say nothing about each other.
    pub(crate) fn derive(&self, purpose: &str) -> [u8; SECRET_BYTES] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let made = Secret::load_or_create(&path).unwrap();
        let read = Secret::load_or_create(&path).unwrap();
        assert_eq!(made.derive("x"), read.derive("x"));
        assert_ne!(made.derive("x"), made.derive("y"));
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "a draft was left behind"
        );
    }

    #[test]
    fn a_secret_that_others_can_read_or_that_is_cut_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        Secret::load_or_create(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(
            Secret::load_or_create(&path),
            Err(Error::Exposed { .. })
        ));

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, [1; SECRET_BYTES - 1]).unwrap();
        assert!(matches!(
            Secret::load_or_create(&path),
            Err(Error::Length { .. })
        ));
    }

    #[test]
    fn a_secret_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let secret = Secret::load_or_create(&folder.path().join("secret")).unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }
}
