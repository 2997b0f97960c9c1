//! The log, projected into tables that queries read.
//!
//! Each projection follows the log by itself and commits its rows and its position in one transaction, so a row is never
//! ahead of or behind what the position says. A projection that cannot take an event stops there and says so; the others go
//! on. What an event comes to is decided by pure functions, one file a projection, and is the same on every database.
//!
//! [`feed`] reads and decodes the log once for all of them, [`writer`] takes pages into one build, [`live`] keeps the live
//! build at the head, and [`rebuild`] makes another one beside it.

mod activity;
mod containers;
mod error;
mod feed;
mod live;
pub mod measure;
mod projection;
mod projects;
mod rebuild;
mod sessions;
mod skips;
mod workspaces;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use firefly_event_store::{EventStore, Position};
use firefly_read_models::Database;
use firefly_read_models::builds::Projected;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use error::Error;

use feed::Feed;
use live::Live;
use projection::Projection;
use rebuild::Rebuilds;

/// All projections, ready to run.
pub struct Projector {
    running: Vec<BoxFuture<'static, ()>>,
    progress: Progress,
}

/// How far the projections have come. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Progress(Vec<watch::Receiver<Position>>);

impl Progress {
    /// Waits until every projection has taken in the event at a position.
    ///
    /// A projection that stopped never gets there: put a limit on the wait.
    pub async fn reached(&mut self, position: Position) {
        for checkpoint in &mut self.0 {
            if checkpoint
                .wait_for(|reached| *reached >= position)
                .await
                .is_err()
            {
                // Its runner is gone, so it will never get there; the caller's limit ends the wait.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Every projection there is.
pub fn projections() -> [Projected; 5] {
    [
        projects::Projects::projected(),
        sessions::Sessions::projected(),
        containers::Containers::projected(),
        workspaces::Workspaces::projected(),
        activity::Activity::projected(),
    ]
}

/// How often what was committed is put where it stays. It takes a while, and nobody waits for it.
const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(250);

/// Keeps the database's write-ahead log short for as long as somebody writes, beside those that do.
async fn checkpoints(database: Database) {
    loop {
        database.committed().await;
        tokio::time::sleep(CHECKPOINT_INTERVAL).await;
        if let Err(error) = database.checkpoint().await {
            tracing::warn!(error = %error::chain(&error), "the read models' write-ahead log grows");
        }
    }
}

impl Projector {
    /// Finds out where each projection stands.
    ///
    /// # Errors
    ///
    /// The database cannot be read or written.
    pub async fn build(read_models: Database, store: Arc<dyn EventStore>) -> Result<Self, Error> {
        let mut projector = Self {
            running: Vec::new(),
            progress: Progress(Vec::new()),
        };
        let feed = Arc::new(Feed::new(store));
        let owner = Uuid::new_v4().to_string();
        let turn = Arc::new(Semaphore::new(1));
        let parts = (&read_models, &feed, owner.as_str(), &turn);
        projector.add::<projects::Projects>(parts).await?;
        projector.add::<sessions::Sessions>(parts).await?;
        projector.add::<containers::Containers>(parts).await?;
        projector.add::<workspaces::Workspaces>(parts).await?;
        projector.add::<activity::Activity>(parts).await?;
        let checkpoints = checkpoints(read_models.clone());
        projector.running.push(checkpoints.boxed());
        Ok(projector)
    }

    async fn add<P: Projection>(
        &mut self,
        (database, feed, owner, turn): (&Database, &Arc<Feed>, &str, &Arc<Semaphore>),
    ) -> Result<(), Error> {
        let live = Live::<P>::build(database.clone(), Arc::clone(feed)).await?;
        self.progress.0.push(live.checkpoint());
        self.running.push(live.run().boxed());
        let rebuilds = Rebuilds::<P>::new(
            database.clone(),
            Arc::clone(feed),
            owner.to_owned(),
            Arc::clone(turn),
        );
        self.running.push(rebuilds.run().boxed());
        Ok(())
    }

    /// How far the projections have come, for readers that wait for what they wrote.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Follows the log until the shutdown begins.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut running = JoinSet::new();
        for projection in self.running {
            let shutdown = shutdown.clone();
            running.spawn(async move {
                shutdown.run_until_cancelled(projection).await;
            });
        }
        running.join_all().await;
    }
}

#[cfg(test)]
mod tests;
