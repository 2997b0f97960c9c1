//! Puts the parts together: a key from standard input, a listener, two doors, and an orderly end.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use cap_std::fs::Dir;
use firefly_domain::Endpoint;
use firefly_domain::control::{Hello, Listening};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::child::Jobs;
use crate::control::{self, Control};
use crate::egress::Forwarder;
use crate::files::{self, Files};
use crate::listen::Listener;
use crate::opening::Opening;
use crate::preview::Preview;
use crate::reports::Reports;
use crate::{Config, Listen};

/// A key of any sensible length fits; more is not a hello.
const HELLO_BYTES_MAX: u64 = 4 * 1024;

/// Connections that have not ended by themselves this long after the end was announced are cut.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// Why a project-server could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Standard input ended or failed before the hello.
    #[error("cannot read the hello from standard input; start this program through Firefly")]
    ReadHello(#[source] std::io::Error),
    /// The first line is something else.
    #[error("the first line on standard input is not a hello with a control key")]
    InvalidHello(#[source] serde_json::Error),
    /// The workspace is not there, or may not be read.
    #[error("cannot open the workspace {}; create it and give this user the right to write", .path.display())]
    OpenWorkspace {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The address is taken or not ours.
    #[error(
        "cannot listen on {address}; choose a free port, or a path that is free or has a socket"
    )]
    Listen {
        /// The address.
        address: Listen,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The port of the way out is taken.
    #[error("cannot open the port of the way out; choose a free one")]
    Egress(#[source] std::io::Error),
    /// Nobody reads standard output.
    #[error("cannot say on standard output where this listens")]
    Announce(#[source] std::io::Error),
    /// The listener failed.
    #[error("cannot go on serving")]
    Serve(#[source] std::io::Error),
}

/// Serves one workspace until it is told to stop: by `shutdown`, by `POST /control/v1/shutdown`, or by the end of
/// `stdin` where the configuration says so.
///
/// Reads a [`Hello`] from `stdin` first, and writes a [`Listening`] to `stdout` once connections are accepted. What
/// still runs in child processes at the end is killed with everything it started. With tokio's own standard input the
/// caller ends the process itself, since a read of it cannot be called off.
pub async fn run(
    config: Config,
    stdin: impl AsyncRead + Send + Unpin + 'static,
    mut stdout: impl AsyncWrite + Send + Unpin,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), Error> {
    let mut stdin = BufReader::new(stdin);
    let hello = read_hello(&mut stdin).await?;
    let forwarder = Forwarder::bind(&config).await.map_err(Error::Egress)?;
    let control = build(&config, forwarder.as_ref(), &hello)?;
    let (listener, endpoint) =
        Listener::bind(&config.listen)
            .await
            .map_err(|source| Error::Listen {
                address: config.listen.clone(),
                source,
            })?;
    announce(&mut stdout, &endpoint).await?;
    tracing::info!(%endpoint, "listening");

    let closing = control.closing.clone();
    let serving = serve(listener, &control);
    if let Some(forwarder) = forwarder {
        tokio::spawn(forwarder.run(closing.clone()));
    }
    tokio::select! {
        () = shutdown => {}
        () = closing.cancelled() => {}
        () = end_of(stdin), if config.exit_on_stdin_eof => {}
    }
    closing.cancel();
    control.stop_work().await;
    match tokio::time::timeout(DRAIN_LIMIT, serving).await {
        Ok(Ok(result)) => result.map_err(Error::Serve),
        Ok(Err(panic)) => Err(Error::Serve(std::io::Error::other(panic))),
        Err(_) => Ok(()),
    }
}

/// Serves in the background until the program is to end.
fn serve(listener: Listener, control: &Control) -> JoinHandle<std::io::Result<()>> {
    let closing = control.closing.clone().cancelled_owned();
    let router = router(control.clone());
    match listener {
        Listener::Tcp(listener) => {
            let serve = axum::serve(listener, router).with_graceful_shutdown(closing);
            tokio::spawn(serve.into_future())
        }
        Listener::Unix(listener) => {
            let serve = axum::serve(listener, router).with_graceful_shutdown(closing);
            tokio::spawn(serve.into_future())
        }
    }
}

fn build(config: &Config, forwarder: Option<&Forwarder>, hello: &Hello) -> Result<Control, Error> {
    let open = |source| Error::OpenWorkspace {
        path: config.workspace.clone(),
        source,
    };
    let real_path = config.workspace.canonicalize().map_err(open)?;
    let directory =
        Dir::open_ambient_dir(&real_path, cap_std::ambient_authority()).map_err(open)?;
    let directory = Arc::new(directory);
    let closing = CancellationToken::new();
    let reports = Arc::new(Reports::new());
    let preview = Arc::new(Preview::new(closing.clone()));
    let real_path: Arc<std::path::Path> = real_path.into();
    let jobs = Jobs::new(config, forwarder, Arc::clone(&real_path));
    let files = Files {
        directory: Arc::clone(&directory),
        real_path: Arc::clone(&real_path),
        project: Arc::new(OnceLock::new()),
        preview: Arc::clone(&preview),
    };
    let opening = Opening {
        jobs,
        reports,
        directory,
        workspace: real_path,
        local_source: config.local_source.clone(),
        preview,
    };
    Ok(Control::new(&hello.control_key, opening, files, closing))
}

fn router(control: Control) -> Router {
    let files = Router::new()
        .route(files::PREFIX, any(files::serve))
        .route("/static/{*path}", any(files::serve))
        .with_state(control.files.clone());
    control::router(control).merge(files)
}

async fn read_hello(stdin: &mut (impl AsyncBufRead + Unpin)) -> Result<Hello, Error> {
    let mut line = Vec::new();
    stdin
        .take(HELLO_BYTES_MAX)
        .read_until(b'\n', &mut line)
        .await
        .map_err(Error::ReadHello)?;
    if line.is_empty() {
        let ended = std::io::ErrorKind::UnexpectedEof;
        return Err(Error::ReadHello(ended.into()));
    }
    serde_json::from_slice(&line).map_err(Error::InvalidHello)
}

async fn announce(
    stdout: &mut (impl AsyncWrite + Unpin),
    endpoint: &Endpoint,
) -> Result<(), Error> {
    let listening = Listening {
        endpoint: endpoint.clone(),
    };
    let mut line = serde_json::to_vec(&listening).map_err(|error| Error::Announce(error.into()))?;
    line.push(b'\n');
    stdout.write_all(&line).await.map_err(Error::Announce)?;
    stdout.flush().await.map_err(Error::Announce)
}

/// Waits until the other end is gone.
async fn end_of(mut stdin: impl AsyncRead + Unpin) {
    // An error means the same as the end: nobody is there any more.
    let _ = tokio::io::copy(&mut stdin, &mut tokio::io::sink()).await;
}
