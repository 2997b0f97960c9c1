//! One connection to an endpoint, within a time limit.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use firefly_domain::endpoint::InvalidEndpoint;
use firefly_domain::{Address, Endpoint};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{Stream, unix};

/// Why a project-server could not be connected to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The endpoint's text is none.
    #[error("the endpoint names no address; see what the container runtime reported")]
    Endpoint(#[from] InvalidEndpoint),
    /// The path of the request, or what was made of the endpoint for a client, makes no URL.
    #[error("{0:?} makes no URL of a project-server")]
    Url(String),
    /// Nobody answers there.
    #[error("nobody answers at {endpoint}; see whether its project-server still runs")]
    Refused {
        /// Where.
        endpoint: Endpoint,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Something other than a socket lies there.
    #[error("{} is {found} and not a socket; a program of the project has put it there", .path.display())]
    NotASocket {
        /// The path of the socket.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// Others than Firefly could put another directory in the place of the socket's.
    #[error("{} may be changed by others than the user that Firefly runs as; close it to them", .path.display())]
    Open {
        /// The directory above the socket's.
        path: PathBuf,
    },
    /// It took too long.
    #[error("{endpoint} took no connection within {} ms; see what its project-server does", .limit.as_millis())]
    TimedOut {
        /// Where.
        endpoint: Endpoint,
        /// How long it had.
        limit: Duration,
    },
}

/// Connects to an endpoint within `limit`.
///
/// # Errors
///
/// See [`Error`].
pub async fn connect(endpoint: &Endpoint, limit: Duration) -> Result<Stream, Error> {
    let address = endpoint.address()?;
    let connecting = async {
        match address {
            Address::Tcp(authority) => {
                let stream = TcpStream::connect(authority).await;
                stream
                    .and_then(|stream| stream.set_nodelay(true).map(|()| Stream::Tcp(stream)))
                    .map_err(refused(endpoint))
            }
            Address::Unix(path) => unix::connect(path).await.map(Stream::Unix),
        }
    };
    timeout(limit, connecting).await.unwrap_or_else(|_| {
        Err(Error::TimedOut {
            endpoint: endpoint.clone(),
            limit,
        })
    })
}

/// What the system said about an endpoint.
fn refused(endpoint: &Endpoint) -> impl FnOnce(io::Error) -> Error {
    let endpoint = endpoint.clone();
    move |source| Error::Refused { endpoint, source }
}
