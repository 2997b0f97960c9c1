//! Learns of appends, those of other processes too.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::event::Position;
use crate::writer::announce;

/// The channel that appends are announced on.
pub(super) const CHANNEL: &str = "firefly_events";

/// How long a follower waits at the most for an append whose announcement was lost.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How soon a broken connection is made again.
const RECONNECT_DELAY: Duration = Duration::from_millis(500);

/// Announces the head whenever it moved, until the log is closed.
pub(super) async fn run(
    readers: PgPool,
    head: watch::Sender<Position>,
    closing: CancellationToken,
) {
    closing.run_until_cancelled(follow(readers, head)).await;
}

async fn follow(readers: PgPool, head: watch::Sender<Position>) {
    let mut broken = false;
    loop {
        let error = match listen(&readers, &head, &mut broken).await {
            Ok(never) => match never {},
            Err(error) => error,
        };
        if !std::mem::replace(&mut broken, true) {
            tracing::warn!(%error, "the event log's server does not answer; followers wait");
        }
        tokio::time::sleep(RECONNECT_DELAY).await;
    }
}

async fn listen(
    readers: &PgPool,
    head: &watch::Sender<Position>,
    broken: &mut bool,
) -> Result<std::convert::Infallible, sqlx::Error> {
    // Registered before the head is looked at, so that nothing falls in between.
    let mut listener = PgListener::connect_with(readers).await?;
    listener.listen(CHANNEL).await?;
    loop {
        announce(head, position(readers).await?);
        *broken = false;
        // Neither a notification nor its absence says more than "look".
        if let Ok(notified) = tokio::time::timeout(POLL_INTERVAL, listener.recv()).await {
            notified?;
        }
    }
}

/// The position of the last event.
pub(super) async fn position(readers: &PgPool) -> Result<Position, sqlx::Error> {
    let position: i64 = sqlx::query_scalar("SELECT position FROM event_log_head")
        .fetch_one(readers)
        .await?;
    Ok(Position::new(position.unsigned_abs()))
}
