//! The socket that every container gets: in a directory of its own, which is what containers are given.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// Whoever runs in a container may go in, and nobody but Firefly may put anything there.
const DIRECTORY_MODE: u32 = 0o755;

/// Whoever runs in a container may connect.
const SOCKET_MODE: u32 = 0o666;

/// What the kernel has room for, with the zero at the end.
const PATH_BYTES_MAX: usize = 107;

/// There is no socket.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel takes no path as long as this.
    #[error("the path {0} is too long for a socket; give a data directory with a shorter one")]
    TooLong(PathBuf),
    /// It could not be put there.
    #[error("the socket {path} cannot be made; see who may write there")]
    Io {
        /// Where it was to be.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Listens on a socket at `path`. One that is there, of an earlier Firefly or of one that still runs, is replaced in one
/// step, so containers are to be given the directory and not the socket itself. Its directory is made when it is missing.
///
/// # Errors
///
/// See [`Error`].
pub fn listen(path: &Path) -> Result<UnixListener, Error> {
    let draft = path.with_extension(format!("{}", std::process::id()));
    if draft.as_os_str().len() > PATH_BYTES_MAX {
        return Err(Error::TooLong(path.to_owned()));
    }
    let made = make(path, &draft);
    made.map_err(|source| Error::Io {
        path: path.to_owned(),
        source,
    })
}

fn make(path: &Path, draft: &Path) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
        fs::set_permissions(directory, Permissions::from_mode(DIRECTORY_MODE))?;
    }
    match fs::remove_file(draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(draft)?;
    fs::set_permissions(draft, Permissions::from_mode(SOCKET_MODE))?;
    fs::rename(draft, path)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixStream;

    #[tokio::test]
    async fn the_last_one_has_the_socket() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/egress/egress.sock");
        let first = listen(&path).unwrap();
        let second = listen(&path).unwrap();
        let _client = UnixStream::connect(&path).await.unwrap();
        second.accept().await.unwrap();
        drop(first);
        drop(second);
        let third = listen(&path).unwrap();
        let _client = UnixStream::connect(&path).await.unwrap();
        third.accept().await.unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), SOCKET_MODE);
        assert_eq!(mode(path.parent().unwrap()), DIRECTORY_MODE);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_path_that_no_socket_can_have_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x".repeat(PATH_BYTES_MAX));
        assert!(matches!(listen(&path), Err(Error::TooLong(_))));
    }
}
