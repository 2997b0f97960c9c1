//! The engine's events as nudges.
//!
//! The engine skips a listener that is slow to take an event, and forgets all of them when it restarts. So a task
//! of its own takes them at once, and whatever may have been missed is replaced by one order to list again.

use std::time::Duration;

use bollard::Docker;
use chrono::Utc;
use firefly_domain::ContainerId;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use rand::Rng;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::super::RuntimeEvent;
use super::names::Names;

/// Nudges that may wait for a slow listener; beyond them it is told to list again.
const EVENTS_MAX: usize = 1024;

/// The first pause after the engine was lost, doubled each time up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// The longest pause between two attempts to reach the engine.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// How far back events are asked for, to cover what happens while we connect and clocks that differ a little.
const OVERLAP_SECONDS: i64 = 2;

/// The ends of containers of one instance. Begins with an order to list, and never ends.
pub(super) fn follow(docker: Docker, names: &Names) -> BoxStream<'static, RuntimeEvent> {
    let (sender, receiver) = mpsc::channel(EVENTS_MAX);
    tokio::spawn(drain(docker, names.clone(), sender));
    stream::unfold(receiver, |mut receiver| async move {
        match receiver.recv().await {
            Some(event) => Some((event, receiver)),
            // The task is gone, as happens when the program ends. This stream never ends.
            None => std::future::pending().await,
        }
    })
    .boxed()
}

/// Takes events until nobody listens any more.
async fn drain(docker: Docker, names: Names, sender: mpsc::Sender<RuntimeEvent>) {
    let mut pause = PAUSE_MIN;
    loop {
        if docker.ping().await.is_ok() {
            pause = PAUSE_MIN;
            if take(&docker, &names, &sender).await.is_break() {
                return;
            }
            tracing::warn!("the stream of Docker's events ended; it is taken up again");
        }
        let jitter = rand::rng().random_range(0.5..=1.0);
        tokio::select! {
            () = tokio::time::sleep(pause.mul_f64(jitter)) => {}
            () = sender.closed() => return,
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Takes the events of one connection. Breaks when nobody listens any more.
async fn take(
    docker: &Docker,
    names: &Names,
    sender: &mpsc::Sender<RuntimeEvent>,
) -> std::ops::ControlFlow<()> {
    use std::ops::ControlFlow::{Break, Continue};

    // The engine repeats what it remembers since then, so nothing is lost between this line and the connection.
    let since = Utc::now().timestamp() - OVERLAP_SECONDS;
    let mut events = Box::pin(docker.events(Some(names.events_options(since))));
    let mut missed = true;
    loop {
        if missed {
            match sender.try_send(RuntimeEvent::Resynchronise) {
                Ok(()) => missed = false,
                Err(TrySendError::Full(_)) => {}
                Err(TrySendError::Closed(_)) => return Break(()),
            }
        }
        let event = tokio::select! {
            event = events.next() => event,
            () = sender.closed() => return Break(()),
            // Only to say, as soon as there is room again, that something was missed.
            room = sender.reserve(), if missed => {
                drop(room);
                continue;
            }
        };
        let id = match event {
            Some(Ok(event)) => event.actor.and_then(|actor| actor.id),
            Some(Err(error)) => {
                tracing::debug!(%error, "an event could not be read");
                return Continue(());
            }
            None => return Continue(()),
        };
        if let Some(id) = id {
            let id = ContainerId::new(id);
            missed |= sender.try_send(RuntimeEvent::Exited { id }).is_err();
        }
    }
}
