//! `CONNECT`: bytes are passed both ways until one side ends or neither says anything for long.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::io::InspectReader;

use crate::answer::{Answer, empty, sentence};
use crate::dial::Stream;
use crate::egress::Shared;
use crate::measure;
use crate::target::Target;

/// How long the project may take to hand its connection over after the answer.
const HAND_OVER: Duration = Duration::from_secs(10);

/// Answers a `CONNECT`.
pub(crate) async fn open(shared: &Shared, request: Request<Incoming>) -> Answer {
    let Some(place) = shared.passage() else {
        return busy();
    };
    let asked = request
        .uri()
        .authority()
        .map_or("", |authority| authority.as_str());
    let target = match Target::parse(asked, None) {
        Ok(target) => target,
        Err(error) => return sentence(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let upstream = match shared.dialer.tunnel(&target).await {
        Ok(upstream) => upstream,
        Err(trouble) => return shared.refuse(&trouble),
    };
    measure::passed("tunnel");
    let client = hyper::upgrade::on(request);
    let idle = shared.limits.idle;
    let stopping = shared.stopping.clone();
    shared.tasks.spawn(async move {
        let _open = measure::TunnelOpen::new(place);
        stopping
            .run_until_cancelled(pass_bytes(client, upstream, idle))
            .await;
    });
    empty(StatusCode::OK)
}

/// The answer when as much goes on as may.
pub(crate) fn busy() -> Answer {
    measure::refused("busy");
    sentence(
        StatusCode::SERVICE_UNAVAILABLE,
        "Firefly has too many connections of projects open; try again in a moment",
    )
}

async fn pass_bytes(client: OnUpgrade, upstream: Box<dyn Stream>, idle: Duration) {
    let Ok(Ok(client)) = timeout(HAND_OVER, client).await else {
        tracing::debug!("a tunnel broke before its first byte");
        return;
    };
    let activity = Activity::default();
    let mut client = InspectReader::new(TokioIo::new(client), |_| activity.note());
    let mut upstream = InspectReader::new(upstream, |_| activity.note());
    tokio::select! {
        // How a tunnel ends, by an error or not, is nobody's concern but its two sides'.
        _ = copy_bidirectional(&mut client, &mut upstream) => {}
        () = activity.idle_for(idle) => tracing::debug!("a tunnel was idle for too long"),
    }
}

/// When bytes last passed.
struct Activity(Mutex<Instant>);

impl Default for Activity {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Activity {
    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Ends once nothing has passed for `limit`.
    async fn idle_for(&self, limit: Duration) {
        loop {
            let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if last.elapsed() >= limit {
                return;
            }
            sleep_until(last + limit).await;
        }
    }
}

/// A place among the passages, for as long as it is held.
pub(crate) type Place = OwnedSemaphorePermit;
