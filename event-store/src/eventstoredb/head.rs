//! Learns of appends, those of other processes too.
//!
//! A subscription to `$all` runs supervised: it goes on behind the last position it was told, waits longer after each
//! failure, and is started anew whatever becomes of it. Beside it, what comes behind that position is looked at now and
//! then, in case a subscription is silent.

use std::sync::Arc;
use std::time::Duration;

use eventstore::{StreamPosition, SubscribeToAllOptions, SubscriptionEvent};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::instrument::WithSubscriber;

use super::connection::Connection;
use super::{all, record};
use crate::event::Position;
use crate::store::Error;
use crate::writer::announce;

/// How long a follower waits at the most for an append that no subscription told of.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Events that are looked at together then.
const POLL_PAGE_EVENTS: usize = 256;

/// How soon a subscription that ended is started anew; twice as long after each that told nothing, up to the most.
const RESTART_DELAY: Duration = Duration::from_millis(100);
const RESTART_DELAY_MAX: Duration = Duration::from_secs(5);

/// Announces the head whenever it moved, until the log is closed. `looked_at` is up to where nothing is left to be told.
pub(super) async fn run(
    connection: Arc<Connection>,
    head: watch::Sender<Position>,
    looked_at: Position,
    closing: CancellationToken,
) {
    // Events of others move it, too, so that nobody looks at them again.
    let checkpoint = watch::Sender::new(looked_at);
    let following = Box::pin(async {
        tokio::join!(
            poll(&connection, &head, &checkpoint),
            supervise(&connection, &head, &checkpoint)
        );
    });
    closing.run_until_cancelled(following).await;
}

async fn poll(
    connection: &Connection,
    head: &watch::Sender<Position>,
    checkpoint: &watch::Sender<Position>,
) {
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        if let Err(error) = look(connection, head, checkpoint).await {
            // The subscription warns of a server that does not answer.
            tracing::debug!(?error, "the end of the event log cannot be looked at");
        }
    }
}

/// Looks at what nobody told of.
async fn look(
    connection: &Connection,
    head: &watch::Sender<Position>,
    checkpoint: &watch::Sender<Position>,
) -> Result<(), Error> {
    let mut pages = all::Pages::behind(connection, *checkpoint.borrow());
    loop {
        let page = pages.next(POLL_PAGE_EVENTS).await?;
        for event in &page.events {
            let position = Position::new(event.position.commit);
            if record::is_own(event) {
                announce(head, position);
            }
            announce(checkpoint, position);
        }
        if page.is_last {
            return Ok(());
        }
    }
}

async fn supervise(
    connection: &Arc<Connection>,
    head: &watch::Sender<Position>,
    checkpoint: &watch::Sender<Position>,
) {
    let mut delay = RESTART_DELAY;
    let mut broken = false;
    loop {
        let before = *checkpoint.borrow();
        let listening = listen(Arc::clone(connection), head.clone(), checkpoint.clone());
        let listening = AbortOnDropHandle::new(tokio::spawn(listening.with_subscriber(EndOfSpin)));
        let reason = match listening.await {
            Ok(error) => error.to_string(),
            Err(_) => "its server ended it".to_owned(),
        };
        if *checkpoint.borrow() > before {
            (delay, broken) = (RESTART_DELAY, false);
        }
        if !std::mem::replace(&mut broken, true) {
            tracing::warn!(
                reason,
                "the subscription to the event log ended; it is started anew"
            );
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(RESTART_DELAY_MAX);
    }
}

async fn listen(
    connection: Arc<Connection>,
    head: watch::Sender<Position>,
    checkpoint: watch::Sender<Position>,
) -> eventstore::Error {
    let position = match *checkpoint.borrow() {
        Position::START => StreamPosition::Start,
        position => all::at(position),
    };
    let options = SubscribeToAllOptions::default()
        .requires_leader(true)
        .position(position)
        .filter(all::no_system_events());
    let mut subscription = connection.client().subscribe_to_all(&options).await;
    loop {
        let told = match subscription.next_subscription_event().await {
            Ok(SubscriptionEvent::EventAppeared(resolved)) => {
                let position = Position::new(resolved.get_original_event().position.commit);
                if resolved.event.as_ref().is_some_and(record::is_own) {
                    announce(&head, position);
                }
                position
            }
            // Nothing up to there is left to be told.
            Ok(SubscriptionEvent::Checkpoint(position)) => Position::new(position.commit),
            Ok(_) => continue,
            Err(error) => return error,
        };
        announce(&checkpoint, told);
    }
}

/// Ends a subscription that its server ended.
///
/// The client polls such a subscription again and again without ever giving its thread back, and warns each time round. It
/// cannot be stopped from outside; but this hears the warning, and unwinds out of it.
struct EndOfSpin;

impl tracing::Subscriber for EndOfSpin {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN && metadata.target() == "kurrentdb::commands"
    }

    fn event(&self, _: &tracing::Event<'_>) {
        std::panic::resume_unwind(Box::new("the server ended the subscription"));
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
