//! The listeners and their connections: how many, how slow, and how they end.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

use crate::egress::{Egress, Shared};

/// When no connection can be accepted (mostly for want of descriptors), the next try waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// After this many failures in a row, half a minute of them, the listener is taken for lost.
const ACCEPT_FAILURES_MAX: u32 = 300;

/// Bytes of a request's head; more get 431. Fields are at most 100, hyper's own bound.
const REQUEST_HEAD_BYTES_MAX: usize = 32 * 1_024;

/// Bytes read ahead of one connection.
const READ_BUFFER_BYTES_MAX: usize = 64 * 1_024;

/// The listener accepts no connections any more.
#[derive(Debug, thiserror::Error)]
#[error(
    "the way out of projects accepts no connections any more; see the limit of open files, then start again"
)]
pub struct AcceptError(#[source] io::Error);

/// Where connections come from: the socket, or a loopback port for programs without a container.
pub trait Listener: Send {
    /// One connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Waits for the next one.
    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.accept().await?;
        // Without it small answers wait for the acknowledgement of the ones before.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Egress {
    /// Serves until `shutdown`: then no connection is accepted any more, requests under way may end within
    /// [`Limits::shutdown`](crate::Limits::shutdown), and tunnels and downloads are cut, those of other listeners too.
    ///
    /// # Errors
    ///
    /// The listener is lost.
    pub async fn run(
        self,
        listener: impl Listener,
        shutdown: CancellationToken,
    ) -> Result<(), AcceptError> {
        let stopping = self.shared.stopping.clone();
        let _stop_on_return = stopping.clone().drop_guard();
        let outcome = tokio::select! {
            error = accept(&self.shared, &listener) => Err(error),
            () = shutdown.cancelled() => Ok(()),
        };
        drop(listener);
        stopping.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
        outcome
    }
}

/// Accepts for ever, as many at once as the limit allows.
async fn accept(shared: &Arc<Shared>, listener: &impl Listener) -> AcceptError {
    let places = Arc::new(Semaphore::new(shared.limits.connections));
    let mut failures = 0;
    loop {
        let place = Arc::clone(&places)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        match listener.next().await {
            Ok(stream) => {
                failures = 0;
                let connection = serve(Arc::clone(shared), stream);
                shared.tasks.spawn(async move {
                    let _place = place;
                    connection.await;
                });
            }
            Err(error) => {
                failures += 1;
                if failures == ACCEPT_FAILURES_MAX {
                    return AcceptError(error);
                }
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a project's connection could not be accepted"
                );
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(shared: Arc<Shared>, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
    let limits = shared.limits.clone();
    let stopping = shared.stopping.clone();
    // A project that asks and then does not read would hold its place for ever.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write_stall));
    let service = service_fn(move |request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(shared.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read)
        .max_header_size(REQUEST_HEAD_BYTES_MAX)
        .max_buf_size(READ_BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(Box::pin(stream)), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            timeout(limits.shutdown, connection).await.ok()
        }
    };
    match ended {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::debug!(
            error = &error as &dyn std::error::Error,
            "a project's connection broke"
        ),
        None => tracing::debug!("a project's connection was cut, for it would not end"),
    }
}
