//! Does what the plan says. All effects of the reactor are here and in the runtimes.

use std::sync::Arc;
use std::time::Duration;

use firefly_domain::project::Outcome;
use firefly_domain::{ContainerId, Endpoint, Failure, Source, Step};
use firefly_identity::ControlKeys;
use tokio::time::Instant;

use crate::control::{ProjectServer, ProjectServers};
use crate::desired::Opening;
use crate::lease::{Fence, NotLeading};
use crate::plan::{Action, Held};
use crate::report::{self, Reporter};
use crate::runtime::{self, ContainerRuntime, StartSpec};

/// How long a container may take to end by itself: npm and git get a chance to finish what they write.
pub const STOP_GRACE: Duration = Duration::from_secs(5);

/// Why an action did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The runtime failed.
    #[error("the container runtime failed")]
    Runtime(#[source] runtime::Error),
    /// The outcome could not be recorded.
    #[error("an outcome could not be recorded")]
    Record(#[source] report::Error),
    /// This process may not act.
    #[error("this process may not act")]
    NotLeading(#[source] NotLeading),
}

impl Error {
    /// Whether this process was not let, which says nothing about what it was about to do.
    pub const fn is_fenced(&self) -> bool {
        matches!(
            self,
            Self::NotLeading(_)
                | Self::Record(report::Error::NotLeading(_))
                | Self::Runtime(runtime::Error::NotLeading(_))
        )
    }

    /// What the action has come to when it failed too often, if it is one that people wait for.
    pub fn outcome(&self, action: &Action) -> Option<Action> {
        let Self::Runtime(error) = self else {
            return None;
        };
        if self.is_fenced() {
            return None;
        }
        match action {
            Action::Start(opening)
            | Action::Discard {
                opening: Some(opening),
                ..
            } => Some(Action::GiveUp {
                opening: Arc::clone(opening),
                failure: Failure::new(Step::Container, error.code(), error.with_causes()),
            }),
            Action::Delete { opening, force, .. } => Some(Action::GiveUpDeletion {
                opening: Arc::clone(opening),
                force: *force,
                detail: error.with_causes(),
            }),
            _ => None,
        }
    }
}

/// Does actions, each in its own time.
#[derive(Clone)]
pub struct Executor {
    /// Where containers live.
    pub runtime: Arc<dyn ContainerRuntime>,
    /// Where outcomes go.
    pub reporter: Reporter,
    /// Asked before each effect.
    pub fence: Arc<dyn Fence>,
    /// Project-servers, by where they answer.
    pub servers: Arc<dyn ProjectServers>,
    /// The keys of project-servers.
    pub keys: ControlKeys,
}

impl Executor {
    /// Does one action.
    ///
    /// # Errors
    ///
    /// It was not done, or only half; doing it again goes on where it stopped.
    pub async fn run(&self, action: Action) -> Result<(), Error> {
        match action {
            Action::Start(opening) => self.start(&opening).await,
            // Links live as long as their container: the service keeps them.
            Action::Link { .. } => Ok(()),
            Action::ReportExit {
                opening,
                exit_code,
                oom,
                cause,
                stable,
            } => {
                let outcome = Outcome::Exited {
                    exit_code,
                    oom,
                    cause,
                    occupied: opening.occupied,
                    stable,
                };
                self.report(&opening, outcome).await
            }
            Action::Release {
                opening,
                containers,
            } => {
                self.end(&opening, &containers).await?;
                self.report(&opening, Outcome::ContainerRemoved).await
            }
            Action::Delete {
                opening,
                containers,
                force,
            } => self.delete(&opening, &containers, force).await,
            Action::Discard { containers, .. } => {
                for container in &containers {
                    self.remove(container).await?;
                }
                Ok(())
            }
            Action::GiveUp { opening, failure } => {
                self.report(&opening, Outcome::Failed(failure)).await
            }
            Action::GiveUpDeletion {
                opening,
                force,
                detail,
            } => {
                self.report(&opening, Outcome::DeletionFailed { force, detail })
                    .await
            }
        }
    }

    /// A client of the project-server that serves an opening.
    pub fn server(&self, opening: &Opening, endpoint: &Endpoint) -> Box<dyn ProjectServer> {
        let key = self.keys.key(opening.project, opening.generation);
        self.servers.at(endpoint, key)
    }

    async fn start(&self, opening: &Opening) -> Result<(), Error> {
        let began = Instant::now();
        let spec = StartSpec {
            project: opening.project,
            key: opening.key.clone(),
            generation: opening.generation,
            control_key: self.keys.key(opening.project, opening.generation),
            fence: Arc::clone(&self.fence),
            local_source: match &opening.source {
                Source::Path(path) => Some(path.into()),
                Source::Git(_) | Source::Template(_) => None,
            },
        };
        self.may_act().await?;
        let started = self.runtime.start(&spec).await.map_err(Error::Runtime)?;
        let outcome = Outcome::ContainerStarted {
            container: started.id,
            image: self.runtime.image(),
            from_pool: false,
            duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        self.report(opening, outcome).await
    }

    async fn delete(
        &self,
        opening: &Opening,
        containers: &[Held],
        force: bool,
    ) -> Result<(), Error> {
        self.end(opening, containers).await?;
        if !force {
            // A last look with nobody working on it: what was saved a moment ago counts too.
            self.may_act().await?;
            let unsaved = match self.runtime.inspect_workspace(opening.project).await {
                Ok(unsaved) => unsaved,
                // Looking again would find the same; whoever knows better can force it.
                Err(error @ runtime::Error::Inspection { .. }) => {
                    let detail = error.with_causes();
                    return self
                        .report(opening, Outcome::DeletionFailed { force, detail })
                        .await;
                }
                Err(error) => return Err(Error::Runtime(error)),
            };
            if let Some(unsaved) = unsaved.filter(|unsaved| unsaved.any()) {
                return self.report(opening, Outcome::WorkspaceKept(unsaved)).await;
            }
        }
        self.may_act().await?;
        self.runtime
            .remove_workspace(opening.project)
            .await
            .map_err(Error::Runtime)?;
        self.report(opening, Outcome::WorkspaceDeleted).await
    }

    /// Ends the containers of an opening, and records the unsaved work they leave.
    async fn end(&self, opening: &Opening, containers: &[Held]) -> Result<(), Error> {
        for container in containers {
            if let Some(endpoint) = &container.endpoint {
                self.may_act().await?;
                match self.server(opening, endpoint).shutdown().await {
                    Ok(unsaved) => self.report(opening, Outcome::UnsavedWork(unsaved)).await?,
                    // It ends all the same, below; what was reported last stands.
                    Err(error) => {
                        tracing::warn!(project.key = %opening.key, %error, "a container did not say goodbye")
                    }
                }
            }
            self.remove(&container.id).await?;
        }
        Ok(())
    }

    async fn remove(&self, container: &ContainerId) -> Result<(), Error> {
        self.may_act().await?;
        self.runtime
            .stop(container, STOP_GRACE)
            .await
            .map_err(Error::Runtime)?;
        self.may_act().await?;
        self.runtime.remove(container).await.map_err(Error::Runtime)
    }

    /// Another process may have taken over meanwhile; what it does must not be disturbed.
    async fn may_act(&self) -> Result<(), Error> {
        self.fence.check().await.map_err(Error::NotLeading)
    }

    async fn report(&self, opening: &Opening, outcome: Outcome) -> Result<(), Error> {
        self.reporter
            .report(opening, outcome)
            .await
            .map_err(Error::Record)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use firefly_domain::{EventId, FailureCode, Generation, ProjectKey, Segment};
    use uuid::Uuid;

    use super::*;
    use crate::runtime::process;

    #[test]
    fn an_opening_fails_if_what_is_in_its_way_cannot_be_removed() {
        let key = ProjectKey::new("alice", "montage", "app").unwrap();
        let opening = Arc::new(Opening {
            project: key.id(),
            key,
            source: Source::Template(Segment::parse("starter").unwrap()),
            branch: None,
            generation: Generation::new(3),
            since: DateTime::UNIX_EPOCH,
            not_before: DateTime::UNIX_EPOCH,
            started_at: None,
            occupied: false,
            cause: EventId::from_uuid(Uuid::nil()),
            correlation_id: Uuid::nil(),
        });
        let discard = |waiting: Option<&Arc<Opening>>| Action::Discard {
            project: opening.project,
            opening: waiting.cloned(),
            containers: vec![ContainerId::new("c2")],
        };
        let error = Error::Runtime(runtime::Error::Process(process::Error::Unkillable {
            id: ContainerId::new("c2"),
        }));
        let Some(Action::GiveUp { failure, .. }) = error.outcome(&discard(Some(&opening))) else {
            panic!("it would be tried for ever");
        };
        assert_eq!(
            (failure.step, failure.code),
            (Step::Container, FailureCode::EngineFailed)
        );
        assert!(failure.detail.contains("c2"), "{}", failure.detail);
        assert_eq!(error.outcome(&discard(None)), None);
    }
}
