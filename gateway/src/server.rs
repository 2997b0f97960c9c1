//! The listener and its connections: how many, how slow, and how they end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::config::Limits;
use crate::gateway::Gateway;

/// When no connection can be accepted (mostly for want of descriptors), the next try waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// After this many failures in a row, half a minute of them, the listener is taken for lost.
const ACCEPT_FAILURES_MAX: u32 = 300;

/// Bytes of a request's head; more get 431. Fields are at most 100, hyper's own bound.
const REQUEST_HEAD_BYTES_MAX: usize = 32 * 1_024;

/// Bytes read ahead of one connection.
const READ_BUFFER_BYTES_MAX: usize = 64 * 1_024;

/// Why a gateway ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The listener accepts no connections any more.
    #[error(
        "the public port accepts no connections any more; see the limit of open files, then start again"
    )]
    Accept(#[source] io::Error),
}

impl Gateway {
    /// Serves until `shutdown`: then no connection is accepted any more, requests under way may end within
    /// [`Limits::shutdown`], and sockets to containers are cut.
    pub async fn run(
        self,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        let stopping = self.stopping.clone();
        let _stop_on_return = stopping.clone().drop_guard();
        let outcome = tokio::select! {
            error = self.accept(&listener) => Err(error),
            () = shutdown.cancelled() => Ok(()),
        };
        drop(listener);
        stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        outcome
    }

    /// Accepts for ever, as many at once as the limit allows.
    async fn accept(&self, listener: &TcpListener) -> Error {
        let places = Arc::new(Semaphore::new(self.limits.connections));
        let mut failures = 0;
        loop {
            let place = Arc::clone(&places)
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            match listener.accept().await {
                Ok((stream, peer)) => {
                    failures = 0;
                    let connection = self.connection(stream, peer);
                    self.tasks.spawn(async move {
                        let _place = place;
                        connection.serve().await;
                    });
                }
                Err(error) => {
                    failures += 1;
                    if failures == ACCEPT_FAILURES_MAX {
                        return Error::Accept(error);
                    }
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a connection could not be accepted"
                    );
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn connection(&self, stream: TcpStream, peer: SocketAddr) -> Connection {
        Connection {
            stream,
            peer,
            router: self.router.clone(),
            limits: self.limits.clone(),
            stopping: self.stopping.clone(),
        }
    }
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: Limits,
    stopping: CancellationToken,
}

impl Connection {
    async fn serve(self) {
        let Self {
            stream,
            peer,
            router,
            limits,
            stopping,
        } = self;
        // Without it small answers wait for the acknowledgement of the ones before.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "a connection stays with delayed sending"
            );
        }
        // A client that asks and then does not read would hold a place, and its container's, for ever.
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(limits.write_stall));
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            let router = router.clone();
            async move { router.oneshot(request).await as Result<_, Infallible> }
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
                "a connection broke"
            ),
            None => tracing::debug!("a connection was cut, for it would not end"),
        }
    }
}
