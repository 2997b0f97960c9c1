//! Where a project-server listens: an address of this host, or a Unix socket.

use std::fmt;
use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use firefly_domain::{Address, Endpoint};
use tokio::net::{TcpListener, UnixListener};

/// Only the user of the project's programs, and root, connect to the socket.
const SOCKET_MODE: u32 = 0o600;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An address; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A socket at an absolute path. One that a dead process has left there is replaced.
    Unix(PathBuf),
}

/// The text says nowhere to listen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is nowhere to listen; give an IP address with a port, or unix: and an absolute path"
)]
pub struct InvalidListen(String);

impl FromStr for Listen {
    type Err = InvalidListen;

    fn from_str(text: &str) -> Result<Self, InvalidListen> {
        let invalid = || InvalidListen(text.to_owned());
        match Endpoint::new(text).address() {
            Ok(Address::Tcp(address)) => address.parse().map(Self::Tcp).map_err(|_| invalid()),
            Ok(Address::Unix(path)) => Ok(Self::Unix(path.to_owned())),
            Err(_) => Err(invalid()),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => Endpoint::unix(path).fmt(f),
        }
    }
}

/// Something that connections come in through.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Begins to listen, and says where.
    pub(crate) async fn bind(listen: &Listen) -> io::Result<(Self, Endpoint)> {
        match listen {
            Listen::Tcp(address) => {
                let listener = TcpListener::bind(address).await?;
                let endpoint = Endpoint::new(listener.local_addr()?.to_string());
                Ok((Self::Tcp(listener), endpoint))
            }
            Listen::Unix(path) => {
                remove_stale(path)?;
                let listener = UnixListener::bind(path)?;
                std::fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE))?;
                Ok((Self::Unix(listener), Endpoint::unix(path)))
            }
        }
    }
}

/// Anything but a socket stays, and then there is no listening here.
fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_as_they_are_written() {
        for text in ["127.0.0.1:0", "[::1]:2441", "unix:/run/firefly/server.sock"] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), text);
        }
        for text in ["localhost:80", "2441", "unix:server.sock", ""] {
            assert!(text.parse::<Listen>().is_err(), "{text:?} was taken");
        }
    }

    #[tokio::test]
    async fn a_socket_left_behind_is_replaced_and_a_file_is_not() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("server.sock");
        let listen = Listen::Unix(path.clone());
        drop(Listener::bind(&listen).await.unwrap());
        assert!(path.exists(), "a listener leaves its socket behind");
        let (listener, endpoint) = Listener::bind(&listen).await.unwrap();
        assert_eq!(endpoint, Endpoint::unix(&path));
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, SOCKET_MODE);
        drop(listener);

        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "kept").unwrap();
        assert!(Listener::bind(&listen).await.is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "kept");
    }
}
