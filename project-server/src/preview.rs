//! The open previews of the project: each has a socket, and is told when files change.
//!
//! A page knows the version it was made from, this process's epoch and a count of changes, and every socket begins by
//! saying the present one. So a change is noticed even if it happened while the page was loading or disconnected.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

/// More open previews of one project than people have screens.
const SOCKETS_MAX: usize = 256;

/// Pages send pings and short commands.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// A page that takes no message for so long is gone.
const SEND_LIMIT: Duration = Duration::from_secs(10);

/// The sockets of the open previews.
#[derive(Debug)]
pub(crate) struct Preview {
    epoch: u128,
    changes: watch::Sender<u64>,
    places: Arc<Semaphore>,
    closing: CancellationToken,
}

impl Preview {
    pub(crate) fn new(closing: CancellationToken) -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            epoch: started.map_or(0, |since| since.as_micros()),
            changes: watch::Sender::new(0),
            places: Arc::new(Semaphore::new(SOCKETS_MAX)),
            closing,
        }
    }

    /// Names the present state of the files.
    pub(crate) fn version(&self) -> String {
        self.version_of(*self.changes.borrow())
    }

    fn version_of(&self, changes: u64) -> String {
        format!("{:x}-{changes}", self.epoch)
    }

    /// Tells every page that files have changed.
    pub(crate) fn refresh(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Takes in one more page.
    pub(crate) fn accept(self: &Arc<Self>, upgrade: WebSocketUpgrade) -> Response {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            tracing::warn!(limit = SOCKETS_MAX, "too many open previews");
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        };
        let preview = Arc::clone(self);
        upgrade
            .max_message_size(MESSAGE_BYTES_MAX)
            .on_upgrade(move |socket| preview.attend(socket, place))
    }

    async fn attend(self: Arc<Self>, mut socket: WebSocket, place: OwnedSemaphorePermit) {
        let mut changes = self.changes.subscribe();
        let version = self.version_of(*changes.borrow_and_update());
        let mut open = send(&mut socket, message("version", &version)).await;
        while open {
            open = tokio::select! {
                changed = changes.changed() => {
                    let version = self.version_of(*changes.borrow_and_update());
                    changed.is_ok()
                        && send(&mut socket, "refresh:".to_owned()).await
                        && send(&mut socket, message("version", &version)).await
                }
                // Pings keep proxies from closing an idle socket; nothing is to be done about them.
                received = socket.recv() => matches!(received, Some(Ok(_))),
                () = self.closing.cancelled() => false,
            };
        }
        drop(place);
    }
}

/// A message of the preview's protocol: a name, a colon, and JSON.
fn message(name: &str, text: &str) -> String {
    format!("{name}:{}", serde_json::Value::from(text))
}

async fn send(socket: &mut WebSocket, text: String) -> bool {
    let sent = tokio::time::timeout(SEND_LIMIT, socket.send(Message::Text(text.into())));
    matches!(sent.await, Ok(Ok(())))
}
