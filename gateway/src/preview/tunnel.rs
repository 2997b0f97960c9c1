//! WebSockets between browsers and containers: once both sides agreed, bytes are passed until one side ends.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use firefly_domain::Endpoint;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::io::InspectReader;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::frames::Frames;
use super::places::{Place, Places};
use super::uses::Uses;
use crate::config::Limits;

/// How long the two sides may take to hand over their connections after the handshake.
const HAND_OVER: Duration = Duration::from_secs(10);

/// The open tunnels.
pub(super) struct Tunnels {
    places: Places,
    idle: Duration,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl Tunnels {
    pub(super) fn new(limits: &Limits, tasks: TaskTracker, stopping: CancellationToken) -> Self {
        Self {
            places: Places::new(limits.tunnels, limits.tunnels_per_container),
            idle: limits.tunnel_idle,
            tasks,
            stopping,
        }
    }

    /// Takes a place for one tunnel, if there is one left.
    pub(super) fn reserve(&self, endpoint: &Endpoint) -> Option<Place> {
        self.places.try_take(endpoint)
    }

    /// Joins both sides in the background, until one of them ends, nothing passes for long, or the gateway stops.
    pub(super) fn join(&self, client: OnUpgrade, container: OnUpgrade, place: Place, uses: Uses) {
        let idle = self.idle;
        let stopping = self.stopping.clone();
        self.tasks.spawn(async move {
            let _place = place;
            tokio::select! {
                () = pass_bytes(client, container, idle, &uses) => {}
                () = stopping.cancelled() => {}
            }
        });
    }
}

async fn pass_bytes(client: OnUpgrade, container: OnUpgrade, idle: Duration, uses: &Uses) {
    let both = async { tokio::try_join!(client, container) };
    let (client, container) = match timeout(HAND_OVER, both).await {
        Ok(Ok(sides)) => sides,
        Ok(Err(error)) => {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "a preview socket broke before its first byte"
            );
            return;
        }
        Err(_) => {
            tracing::debug!("a preview socket was not handed over in time");
            return;
        }
    };
    let passing = Passing::default();
    // Pings keep a socket open, and are no use of a project.
    let note = |frames: &mut Frames, bytes: &[u8]| {
        passing.note();
        if frames.take(bytes) {
            uses.note();
        }
    };
    let (mut up, mut down) = (Frames::default(), Frames::default());
    let mut client = InspectReader::new(TokioIo::new(client), |bytes| note(&mut up, bytes));
    let mut container = InspectReader::new(TokioIo::new(container), |bytes| note(&mut down, bytes));
    tokio::select! {
        // How a socket ends, by an error or not, is nobody's concern but its two sides'.
        _ = copy_bidirectional(&mut client, &mut container) => {}
        () = passing.idle_for(idle) => tracing::debug!("a preview socket was idle for too long"),
    }
}

/// When bytes last passed.
struct Passing(Mutex<Instant>);

impl Default for Passing {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Passing {
    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends once nothing has passed for `limit`.
    async fn idle_for(&self, limit: Duration) {
        loop {
            let deadline = self.last() + limit;
            if deadline <= Instant::now() {
                return;
            }
            sleep_until(deadline).await;
        }
    }
}
