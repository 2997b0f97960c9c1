//! The way out of a container without a network.
//!
//! Firefly's proxy listens on a Unix socket that is mounted into the container, and npm and git speak to no such thing.
//! So a port of the loopback interface leads there: each connection to it is joined to one of the socket, byte for
//! byte. What passes, and what may, is the proxy's concern. Children learn of the port by the variables that every
//! HTTP client knows.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use firefly_domain::control::EGRESS_REGISTRY;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::io::InspectReader;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Config;

/// Connections at once; npm opens some fifteen, and more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 128;

/// A connection over which nothing has passed for so long is closed. Git's servers are silent for a minute at times.
const IDLE: Duration = Duration::from_secs(300);

/// Before the next try when the system takes no connection, as when the process has too many files open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is reached without the way out: the container itself, and so the way out as well.
const NO_PROXY: &str = "localhost,127.0.0.1";

/// A socket that leads out, and where programs find it.
#[derive(Clone, Debug)]
pub struct Egress {
    /// The socket of Firefly's proxy.
    pub socket: PathBuf,
    /// The port of the loopback interface that leads to it; 0 lets the system choose.
    pub port: u16,
}

/// The open port of the way out.
pub(crate) struct Forwarder {
    listener: TcpListener,
    address: SocketAddr,
    socket: Arc<Path>,
}

impl Forwarder {
    /// Opens the port of the way out, if there is one.
    pub(crate) async fn bind(config: &Config) -> io::Result<Option<Self>> {
        let Some(egress) = &config.egress else {
            return Ok(None);
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, egress.port)).await?;
        let address = listener.local_addr()?;
        let socket = egress.socket.as_path().into();
        Ok(Some(Self {
            listener,
            address,
            socket,
        }))
    }

    /// What tells programs of the way out.
    pub(crate) fn environment(&self) -> [(&'static str, String); 7] {
        let proxy = || format!("http://{}", self.address);
        [
            ("HTTP_PROXY", proxy()),
            ("HTTPS_PROXY", proxy()),
            ("http_proxy", proxy()),
            ("https_proxy", proxy()),
            ("NO_PROXY", NO_PROXY.to_owned()),
            ("no_proxy", NO_PROXY.to_owned()),
            ("npm_config_registry", proxy() + EGRESS_REGISTRY),
        ]
    }

    /// Joins connections until the program ends.
    pub(crate) async fn run(self, closing: CancellationToken) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let tasks = TaskTracker::new();
        let accept = async {
            // The semaphore is never closed, so this goes on for ever.
            while let Ok(place) = Arc::clone(&places).acquire_owned().await {
                match self.listener.accept().await {
                    Ok((client, _)) => {
                        let (socket, closing) = (Arc::clone(&self.socket), closing.clone());
                        tasks.spawn(async move {
                            let _place = place;
                            tokio::select! {
                                () = join(client, &socket, IDLE) => {}
                                () = closing.cancelled() => {}
                            }
                        });
                    }
                    Err(error) => {
                        tracing::debug!(%error, "no connection to the way out can be taken");
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        tokio::select! {
            () = accept => {}
            () = closing.cancelled() => {}
        }
    }
}

/// Joins a connection to one of the socket until both sides have ended, or nothing passes for long.
async fn join(client: TcpStream, socket: &Path, idle: Duration) {
    let egress = match UnixStream::connect(socket).await {
        Ok(egress) => egress,
        Err(error) => {
            tracing::debug!(%error, "the way out is closed");
            return;
        }
    };
    let last = Mutex::new(Instant::now());
    let note = |_: &[u8]| *last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    let idle_for_long = async {
        loop {
            let deadline = *last.lock().unwrap_or_else(PoisonError::into_inner) + idle;
            if deadline <= Instant::now() {
                return;
            }
            sleep_until(deadline).await;
        }
    };
    let mut client = InspectReader::new(client, note);
    let mut egress = InspectReader::new(egress, note);
    tokio::select! {
        ended = copy_bidirectional(&mut client, &mut egress) => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection of the way out broke");
            }
        }
        () = idle_for_long => tracing::debug!("a connection of the way out was idle for too long"),
    }
}

#[cfg(test)]
mod tests;
