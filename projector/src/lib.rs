//! The log, projected into SQL tables that queries read.
//!
//! Each projection follows the log by itself and commits its rows and its checkpoint in one transaction, so a row is
//! never ahead of or behind what the checkpoint says. A projection that cannot take an event stops there and says so;
//! the others go on. Its name never changes; a new version starts again from the beginning of the log.

mod containers;
mod database;
mod projection;
mod projects;
mod runner;
mod sessions;

use std::sync::Arc;

use firefly_event_store::{EventStore, Position};
use sqlx::SqlitePool;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use database::open;
pub use runner::Error;

use projection::Projection;
use runner::Runner;

/// What the projector works with.
#[derive(Debug)]
pub struct Config {
    /// The database that holds the read models, as [`open`] gives it.
    pub read_models: SqlitePool,
}

/// All projections, ready to run.
pub struct Projector {
    runners: Vec<Runner>,
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

impl Projector {
    /// Finds out where each projection stands.
    ///
    /// # Errors
    ///
    /// The database cannot be read or written.
    pub async fn build(config: Config, store: Arc<dyn EventStore>) -> Result<Self, Error> {
        let projections: [Arc<dyn Projection>; 3] = [
            Arc::new(projects::Projects),
            Arc::new(sessions::Sessions),
            Arc::new(containers::Containers),
        ];
        let mut runners = Vec::with_capacity(projections.len());
        for projection in projections {
            runners.push(
                Runner::build(projection, config.read_models.clone(), Arc::clone(&store)).await?,
            );
        }
        let progress = Progress(runners.iter().map(Runner::checkpoint).collect());
        Ok(Self { runners, progress })
    }

    /// How far the projections have come, for readers that wait for what they wrote.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Follows the log until the shutdown begins, even if every projection stopped before.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut running = JoinSet::new();
        for runner in self.runners {
            running.spawn(runner.run(shutdown.clone()));
        }
        running.join_all().await;
        // Projections that stopped have said why; that is no reason for everything else to end.
        shutdown.cancelled().await;
    }
}

#[cfg(test)]
mod tests;
