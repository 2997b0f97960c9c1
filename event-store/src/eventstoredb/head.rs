//! Learns of appends, those of other processes too.
//!
//! A subscription to `$all` runs supervised: it goes on behind the last position it was told, waits longer after each
//! failure, and is started anew whatever becomes of it. Beside it the end of the log is looked at now and then, in case a
//! subscription is silent.

use std::sync::Arc;
use std::time::Duration;

use eventstore::{StreamPosition, SubscribeToAllOptions, SubscriptionEvent, SubscriptionFilter};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::instrument::WithSubscriber;

use super::connection::Connection;
use super::{reader, record};
use crate::event::Position;
use crate::writer::announce;

/// How long a follower waits at the most for an append that no subscription told of.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How soon a subscription that ended is started anew; twice as long after each that told nothing, up to the most.
const RESTART_DELAY: Duration = Duration::from_millis(100);
const RESTART_DELAY_MAX: Duration = Duration::from_secs(5);

/// Announces the head whenever it moved, until the log is closed.
pub(super) async fn run(
    connection: Arc<Connection>,
    head: watch::Sender<Position>,
    closing: CancellationToken,
) {
    let following = async {
        tokio::join!(poll(&connection, &head), supervise(&connection, &head));
    };
    closing.run_until_cancelled(following).await;
}

async fn poll(connection: &Connection, head: &watch::Sender<Position>) {
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        // A server that does not answer is reported by the subscription.
        if let Ok(newest) = reader::all_back(connection, None, 1).await
            && let Some(event) = newest.first()
        {
            announce(head, event.position);
        }
    }
}

async fn supervise(connection: &Arc<Connection>, head: &watch::Sender<Position>) {
    let checkpoint = watch::Sender::new(*head.borrow());
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
        position => reader::at_position(position),
    };
    let options = SubscribeToAllOptions::default()
        .position(position)
        .filter(SubscriptionFilter::on_event_type().exclude_system_events());
    let mut subscription = connection.client().subscribe_to_all(&options).await;
    loop {
        let told = match subscription.next_subscription_event().await {
            Ok(SubscriptionEvent::EventAppeared(resolved)) => {
                let position = Position::new(resolved.get_original_event().position.commit);
                if resolved.event.is_some_and(record::is_own) {
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
