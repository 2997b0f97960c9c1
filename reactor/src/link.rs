//! Follows what one container reports, from its assignment to its end.

use std::sync::Arc;
use std::time::Duration;

use firefly_domain::Endpoint;
use firefly_domain::control::{Assignment, ProjectProgress, ReportBody};
use firefly_domain::project::Outcome;
use futures::StreamExt;
use tokio::sync::broadcast;
use tokio::time::{MissedTickBehavior, interval};

use crate::control::{self, ProjectServer};
use crate::desired::Opening;
use crate::lease::{Fence, NotLeading};
use crate::report::{self, Reporter, outcome};

/// Changes of unsaved work are recorded no faster than this, however fast a workspace changes: each is an event for ever.
const UNSAVED_WORK_INTERVAL: Duration = Duration::from_secs(1);

/// Why a link broke.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The project-server did not answer.
    #[error("the link to the project-server broke")]
    Control(#[source] control::Error),
    /// This process may not act.
    #[error("this process may not act")]
    NotLeading(#[source] NotLeading),
    /// Its report could not be recorded.
    #[error("a report could not be recorded")]
    Record(#[source] report::Error),
}

/// A link to the container of one opening.
pub struct Link {
    /// The opening.
    pub opening: Arc<Opening>,
    /// Its container's project-server.
    pub server: Box<dyn ProjectServer>,
    /// Where that answers.
    pub endpoint: Endpoint,
    /// Asked before the assignment is handed over.
    pub fence: Arc<dyn Fence>,
    /// Where outcomes go.
    pub reporter: Reporter,
    /// Where progress goes; it is of the moment, so nobody need listen.
    pub progress: broadcast::Sender<ProjectProgress>,
}

impl Link {
    /// Hands the assignment over, then follows the reports behind a sequence number until they end.
    ///
    /// Returns the sequence of the last report that was recorded, so that the next link goes on behind it.
    pub async fn run(self, after: u64) -> (u64, Result<(), Error>) {
        let mut recorded = after;
        let outcome = self.follow(&mut recorded).await;
        (recorded, outcome)
    }

    async fn follow(&self, recorded: &mut u64) -> Result<(), Error> {
        self.fence.check().await.map_err(Error::NotLeading)?;
        self.server
            .assign(&self.assignment())
            .await
            .map_err(Error::Control)?;
        let reports = self.server.reports(*recorded).await;
        let mut reports = reports.map_err(Error::Control)?;
        let mut unsaved_pace = interval(UNSAVED_WORK_INTERVAL);
        unsaved_pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while let Some(report) = reports.next().await {
            let report = report.map_err(Error::Control)?;
            if let ReportBody::Progress(progress) = &report.body {
                // Nobody may be looking.
                let _ = self.progress.send(ProjectProgress {
                    project: self.opening.key.clone(),
                    generation: report.generation,
                    progress: progress.clone(),
                });
            } else if let Some(outcome) = outcome(report.body, &self.endpoint) {
                if matches!(outcome, Outcome::UnsavedWork(_)) {
                    unsaved_pace.tick().await;
                }
                self.reporter
                    .report(&self.opening, outcome)
                    .await
                    .map_err(Error::Record)?;
                *recorded = report.sequence;
            }
        }
        Ok(())
    }

    fn assignment(&self) -> Assignment {
        Assignment {
            project: self.opening.key.clone(),
            generation: self.opening.generation,
            source: self.opening.source.clone(),
            branch: self.opening.branch.clone(),
        }
    }
}
