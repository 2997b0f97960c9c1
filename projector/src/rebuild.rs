//! Builds a projection anew beside the live build, and lets it take the live one's place.
//!
//! A rebuild is a row among the builds, which anybody may ask for; whichever process finds it makes it its own, and renews
//! that with every page. When it has nearly caught up, the live build is held where it is for a moment, the rest is taken in,
//! and the change is made in the same transaction. A comparison begins there, and lets the live build go on.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use firefly_event_store::Position;
use firefly_read_models::builds::{Build, Status};
use firefly_read_models::{Comparison, Database, Row};
use tokio::sync::Semaphore;

use crate::error::{Error, chain};
use crate::feed::{Feed, Page};
use crate::projection::{Projection, sql};
use crate::skips;
use crate::writer::{Taken, Writer};

/// Events that a rebuild takes in at a time. On SQLite the live projections wait for each commit, so it is kept short.
const PAGE_EVENTS: usize = 512;

/// Events that may be taken in while the live build is held.
const REST_EVENTS_MAX: usize = 2_048;

/// How often somebody looks for rebuilds that were asked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// How often a comparison says that it is still at work, and finds out whether it was cancelled.
const RENEW_INTERVAL: Duration = Duration::from_secs(1);

/// Carries out the rebuilds of one projection.
pub(crate) struct Rebuilds<P> {
    database: Database,
    feed: Arc<Feed>,
    owner: String,
    /// Held by the one rebuild of this process that is at work: live projections wait for its commits, not for those of all.
    turn: Arc<Semaphore>,
    projection: PhantomData<fn() -> P>,
}

/// What became of a rebuild.
enum End {
    Done,
    /// The live build is behind; others may have their turn meanwhile.
    Later,
    /// Somebody ended it or took it over, or an event stopped it.
    Over,
}

impl<P: Projection> Rebuilds<P> {
    pub(crate) fn new(
        database: Database,
        feed: Arc<Feed>,
        owner: String,
        turn: Arc<Semaphore>,
    ) -> Self {
        Self {
            database,
            feed,
            owner,
            turn,
            projection: PhantomData,
        }
    }

    /// Looks for rebuilds and carries them out, for ever.
    pub(crate) async fn run(self) {
        loop {
            if let Err(error) = self.look().await {
                tracing::warn!(projection = P::NAME, error = %chain(&error), "a rebuild tries again");
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    async fn look(&self) -> Result<(), Error> {
        let mut builds = self.database.builds().await?;
        builds.retain(|build| build.projection == P::NAME);
        let at_work = |build: &&Build| matches!(build.status, Status::Building | Status::Verifying);
        let Some(build) = builds.iter().find(at_work) else {
            return self.start_if_outdated(&builds).await;
        };
        if build.version != i64::from(P::VERSION) || build.log != self.feed.store().id() {
            return self.discard_foreign(build).await;
        }
        let is_ours = build.owner.as_ref() == Some(&self.owner);
        let stopped = build.failure.is_some();
        let is_others = build.is_owned(Utc::now()) && !is_ours;
        if stopped || is_others {
            return Ok(());
        }
        let Ok(_turn) = self.turn.acquire().await else {
            return Ok(());
        };
        if !self.database.claim(build, &self.owner).await? {
            return Ok(());
        }
        let build = Build {
            owner: Some(self.owner.clone()),
            ..build.clone()
        };
        tracing::info!(
            projection = P::NAME,
            build = build.build,
            position = build.position,
            "a rebuild begins"
        );
        match self.carry_out(build).await? {
            End::Done => tracing::info!(projection = P::NAME, "a rebuild is done"),
            End::Later => {}
            End::Over => tracing::warn!(projection = P::NAME, "a rebuild ended before it was done"),
        }
        Ok(())
    }

    /// A projection of a later version than the live build's is rebuilt by itself. One of an earlier version leaves what a
    /// newer program made.
    async fn start_if_outdated(&self, builds: &[Build]) -> Result<(), Error> {
        let is_outdated =
            |build: &Build| build.status == Status::Live && build.version < i64::from(P::VERSION);
        if builds.iter().any(is_outdated) {
            let log = self.feed.store().id();
            let asked = self.database.ask_for(P::projected(), log, Status::Building);
            // If somebody else was faster, that one is found the next time.
            let _ = asked.await?;
        }
        Ok(())
    }

    /// What an earlier version or another log left half made cannot be gone on with.
    async fn discard_foreign(&self, build: &Build) -> Result<(), Error> {
        let is_newer = build.version > i64::from(P::VERSION);
        if !is_newer && !build.is_owned(Utc::now()) {
            tracing::warn!(
                projection = P::NAME,
                build = build.build,
                "a rebuild of another version or log is removed"
            );
            self.database.cancel(P::projected()).await?;
        }
        Ok(())
    }

    async fn carry_out(&self, build: Build) -> Result<End, Error> {
        let skipped = skips::of::<P>(self.feed.store()).await?;
        let owner = Some(self.owner.clone());
        let mut writer = Writer::<P>::new(self.database.clone(), build, owner, skipped);
        loop {
            let page = self.page(writer.position(), PAGE_EVENTS).await?;
            if page.events.len() < PAGE_EVENTS
                && let Some(end) = self.finish(&mut writer).await?
            {
                return Ok(end);
            }
            if page.events.is_empty() {
                // The live build is behind, or was just now being held by another.
                tokio::time::sleep(LOOK_INTERVAL).await;
                continue;
            }
            match writer.take(&page).await? {
                Taken::All => {}
                Taken::UpTo(poison) => {
                    tracing::error!(projection = P::NAME, position = %poison.position, reason = poison.reason, "a rebuild stopped");
                    return Ok(End::Over);
                }
                Taken::Lost => return Ok(End::Over),
            }
        }
    }

    async fn page(&self, after: Position, events: usize) -> Result<Page, Error> {
        let events = self.feed.store().read_all(after, events).await;
        Ok(Page::new(events.map_err(Error::Log)?))
    }

    /// Holds the live build, takes in what it has beyond this one, and makes the change, or lets it go and compares; none if
    /// there is too much to take in, or if the live build is behind.
    async fn finish(&self, writer: &mut Writer<P>) -> Result<Option<End>, Error> {
        let mut transaction = self.database.begin().await?;
        let live = transaction.live(P::NAME).await?;
        let comparable = live.filter(|live| {
            live.log == writer.build().log && live.version == writer.build().version
        });
        let here = writer.build().position;
        let verifying = writer.build().status == Status::Verifying;
        // Without a live build to compare with, all there is in the log.
        let stopped = comparable.as_ref().and_then(|live| live.failure.clone());
        let target = comparable.map_or(i64::MAX, |live| live.position);
        if target < here && verifying {
            drop(transaction);
            return self.not_comparable(writer.build(), stopped).await.map(Some);
        }
        let mut rest = self.page(writer.position(), REST_EVENTS_MAX).await?;
        let is_complete = rest.events.len() < REST_EVENTS_MAX;
        rest.events
            .retain(|read| sql(read.recorded.position.number()) <= target);
        if !is_complete && rest.last().is_none_or(|last| sql(last.number()) < target) {
            return Ok(None);
        }
        let changes = writer.plan(&rest.events, Some(&mut transaction)).await?;
        if changes.is_stopped() {
            return Ok(None);
        }
        match writer.write(&mut transaction, &changes).await {
            Ok(true) => {}
            Ok(false) => return Ok(Some(End::Over)),
            // It is found out which event is to blame when they are taken in.
            Err(error) if error.refusal().is_some() => return Ok(None),
            Err(error) => return Err(error),
        }
        let build = Build {
            position: sql(changes.reached().number()),
            ..writer.build().clone()
        };
        if verifying {
            let table = P::Row::TABLE;
            let comparison = Comparison::begin(&self.database, transaction, table, &build).await?;
            writer.took(changes);
            return match comparison {
                Some(comparison) => Ok(Some(self.compare(comparison, &build).await?)),
                // Somebody was faster; what was read before is taken in already.
                None => Ok(Some(End::Later)),
            };
        }
        if transaction.switch(P::Row::TABLE, &build).await?.is_err() {
            return Ok(None);
        }
        transaction.commit().await?;
        writer.took(changes);
        Ok(Some(End::Done))
    }

    /// The live build is behind. One that stopped stays there, and there is nothing to compare with.
    async fn not_comparable(&self, build: &Build, stopped: Option<String>) -> Result<End, Error> {
        let Some(why) = stopped else {
            return Ok(End::Later);
        };
        let failure = format!("the live projection stopped, so it was not compared: {why}");
        let table = P::Row::TABLE;
        let noted = self.database.note_comparison(table, build, Some(failure));
        Ok(if noted.await? { End::Done } else { End::Over })
    }

    /// Compares rows while the live build goes on, and says so from time to time.
    async fn compare(&self, mut comparison: Comparison, build: &Build) -> Result<End, Error> {
        let mut renewed = Instant::now();
        while comparison.advance().await? {
            if renewed.elapsed() < RENEW_INTERVAL {
                continue;
            }
            if !self.database.claim(build, &self.owner).await? {
                return Ok(End::Over);
            }
            renewed = Instant::now();
        }
        let differing = comparison.differing();
        let failure =
            (!differing.is_empty()).then(|| format!("rows differ: {}", differing.join(", ")));
        let noted = self.database.note_comparison(P::Row::TABLE, build, failure);
        Ok(if noted.await? { End::Done } else { End::Over })
    }
}
