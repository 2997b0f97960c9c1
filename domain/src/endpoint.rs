//! Where a project-server answers, as the log keeps it.

use std::fmt;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

/// What a text begins with that names a socket by its path.
const UNIX_PREFIX: &str = "unix:";

/// Where a project-server answers, reachable from this host only: `host:port`, or `unix:` and the absolute path of a
/// Unix socket. The text is kept as it was recorded, whatever it is; [`Endpoint::address`] judges it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Endpoint(String);

/// What an [`Endpoint`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address<'a> {
    /// A `host:port`.
    Tcp(&'a str),
    /// The absolute path of a Unix socket, in which no part is `..`.
    Unix(&'a Path),
}

/// The text of an endpoint names nothing that could be connected to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no endpoint; it should be host:port, or unix: and an absolute path")]
pub struct InvalidEndpoint(String);

impl Endpoint {
    /// Takes a text as the container runtime reported it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The endpoint of a Unix socket. What is no text in the path is lost, and then it leads nowhere.
    pub fn unix(path: &Path) -> Self {
        Self(format!("{UNIX_PREFIX}{}", path.to_string_lossy()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the text says.
    ///
    /// # Errors
    ///
    /// It is neither of the two forms.
    pub fn address(&self) -> Result<Address<'_>, InvalidEndpoint> {
        let found = match self.0.strip_prefix(UNIX_PREFIX) {
            Some(path) => is_socket_path(path).then(|| Address::Unix(Path::new(path))),
            None => is_authority(&self.0).then_some(Address::Tcp(&self.0)),
        };
        found.ok_or_else(|| InvalidEndpoint(self.0.clone()))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_socket_path(path: &str) -> bool {
    let parts = || Path::new(path).components();
    path.starts_with('/')
        && !path.contains('\0')
        && parts().all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
        && matches!(parts().next_back(), Some(Component::Normal(_)))
}

fn is_authority(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let is_host = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    !host.is_empty() && host.chars().all(is_host) && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        for authority in ["127.0.0.1:4000", "[::1]:80", "localhost:2441"] {
            let endpoint = Endpoint::new(authority);
            assert_eq!(endpoint.address(), Ok(Address::Tcp(authority)));
        }
        let path = Path::new("/data/run/a b/project-server.sock");
        let endpoint = Endpoint::unix(path);
        assert_eq!(endpoint.as_str(), "unix:/data/run/a b/project-server.sock");
        assert_eq!(endpoint.address(), Ok(Address::Unix(path)));
    }

    #[test]
    fn nothing_else_is_connected_to() {
        for text in [
            "",
            "localhost",
            "localhost:",
            ":80",
            "localhost:99999",
            "user@localhost:80",
            "a/b:80",
            "unix:",
            "unix:/",
            "unix:run/socket",
            "unix:/run/../socket",
            "unix:/run/a\0b",
        ] {
            let endpoint = Endpoint::new(text);
            assert!(endpoint.address().is_err(), "{text:?} was taken");
            assert_eq!(endpoint.as_str(), text);
        }
    }
}
