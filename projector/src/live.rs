//! Keeps the live build of one projection at the head of the log.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use firefly_event_store::Position;
use firefly_read_models::Database;
use firefly_read_models::builds::{Build, Status};
use tokio::sync::watch;

use crate::error::{Error, Poison, chain};
use crate::feed::Feed;
use crate::measure;
use crate::projection::{Projection, sql};
use crate::skips;
use crate::writer::{Taken, Writer};

/// How long a projection waits before it tries again after its database or the log failed.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// How often a projection that stopped looks whether it may go on.
const STOPPED_POLL: Duration = Duration::from_millis(500);

/// How often a projection that another process writes is looked at while it is behind.
const OTHERS_POLL: Duration = Duration::from_millis(25);

/// How long another process may leave a projection where it is, though the log goes on.
const OTHERS_PATIENCE: Duration = Duration::from_millis(500);

/// Runs one projection.
pub(crate) struct Live<P> {
    database: Database,
    feed: Arc<Feed>,
    checkpoint: watch::Sender<Position>,
    projection: PhantomData<fn() -> P>,
}

impl<P: Projection> Live<P> {
    /// Finds out where the projection stands.
    pub(crate) async fn build(database: Database, feed: Arc<Feed>) -> Result<Self, Error> {
        let live = open::<P>(&database, &feed).await?;
        let (checkpoint, _) = watch::channel(position::<P>(&live));
        Ok(Self {
            database,
            feed,
            checkpoint,
            projection: PhantomData,
        })
    }

    pub(crate) fn checkpoint(&self) -> watch::Receiver<Position> {
        self.checkpoint.subscribe()
    }

    /// Projects for ever.
    pub(crate) async fn run(self) {
        loop {
            let Err(error) = self.follow().await else {
                continue;
            };
            measure::failed(P::NAME);
            tracing::warn!(projection = P::NAME, error = %chain(&error), "a projection tries again");
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    /// Follows the log until the live build is another one.
    async fn follow(&self) -> Result<(), Error> {
        let live = open::<P>(&self.database, &self.feed).await?;
        self.checkpoint.send_replace(position::<P>(&live));
        if live.version != i64::from(P::VERSION) {
            // Its rebuild takes its place when it is ready.
            tokio::time::sleep(STOPPED_POLL).await;
            return Ok(());
        }
        let skipped = skips::of::<P>(self.feed.store()).await?;
        let mut writer = Writer::<P>::new(self.database.clone(), live, None, skipped);
        let mut head = self.feed.head();
        loop {
            let after = writer.position();
            if head.wait_for(|head| *head > after).await.is_err() {
                // The log is closed, and Firefly about to end.
                return std::future::pending().await;
            }
            let page = self.feed.behind(after).await?;
            let (begun, before) = (Instant::now(), writer.build().events);
            let taken = writer.take(&page).await?;
            if taken == Taken::Lost {
                return self.give_way(writer.build().build).await;
            }
            measure::committed(P::NAME, writer.build().events - before, begun.elapsed());
            self.checkpoint.send_replace(writer.position());
            if let Taken::UpTo(poison) = taken {
                self.stopped(&poison).await?;
                return Ok(());
            }
        }
    }

    /// Leaves a build to another process, which was faster, for as long as that one keeps up with the log: two that write
    /// the same would only stand in each other's way.
    async fn give_way(&self, build: i64) -> Result<(), Error> {
        let mut head = self.feed.head();
        let (mut seen, mut since) = (None, Instant::now());
        loop {
            let builds = self.database.builds().await?;
            let is_it = |it: &&Build| {
                it.projection == P::NAME && it.build == build && it.status == Status::Live
            };
            let Some(live) = builds.iter().find(is_it) else {
                return Ok(());
            };
            let reached = position::<P>(live);
            self.checkpoint.send_replace(reached);
            if seen != Some(reached) {
                (seen, since) = (Some(reached), Instant::now());
            }
            if reached >= *head.borrow() {
                if head.wait_for(|head| *head > reached).await.is_err() {
                    return std::future::pending().await;
                }
                since = Instant::now();
            } else if live.failure.is_some() || since.elapsed() > OTHERS_PATIENCE {
                return Ok(());
            }
            tokio::time::sleep(OTHERS_POLL).await;
        }
    }

    /// Waits until somebody says that it is to be tried again.
    async fn stopped(&self, poison: &Poison) -> Result<(), Error> {
        tracing::error!(
            projection = P::NAME,
            position = %poison.position,
            event = %poison.event,
            reason = poison.reason,
            "a projection stopped"
        );
        loop {
            tokio::time::sleep(STOPPED_POLL).await;
            let builds = self.database.builds().await?;
            let stopped = builds.iter().any(|build| {
                build.projection == P::NAME
                    && build.status == Status::Live
                    && build.failure.is_some()
            });
            if !stopped {
                return Ok(());
            }
        }
    }
}

/// What readers may count on: nothing of a build that another version made.
fn position<P: Projection>(live: &Build) -> Position {
    if live.version == i64::from(P::VERSION) {
        Position::new(live.position.unsigned_abs())
    } else {
        Position::START
    }
}

/// The position of the log's last event.
async fn end(feed: &Feed) -> Result<i64, Error> {
    let last = feed.store().read_all_back(None, 1).await;
    let last = last.map_err(Error::Log)?;
    Ok(last.first().map_or(0, |last| sql(last.position.number())))
}

/// The live build; a new one from the beginning if there is none of this log.
async fn open<P: Projection>(database: &Database, feed: &Feed) -> Result<Build, Error> {
    let head = sql(feed.head().borrow().number());
    let log = feed.store().id();
    let mut transaction = database.begin().await?;
    let live = transaction.live(P::NAME).await?;
    if let Some(live) = live
        && live.log == log
    {
        // What announces the head may be behind; only the log itself tells that it ends earlier.
        if live.position <= head || live.position <= end(feed).await? {
            return Ok(live);
        }
        tracing::warn!(
            projection = P::NAME,
            position = live.position,
            head,
            "the event log ends before what was projected from it; it is projected anew"
        );
    }
    let started = transaction.start(P::projected(), log, Status::Live).await?;
    transaction.commit().await?;
    Ok(started)
}
