//! Does what the plan says. All effects of the reactor are here and in the runtimes.

use std::sync::Arc;
use std::time::Duration;

use firefly_domain::project::{ExitCause, Origin, Outcome};
use firefly_domain::{ContainerId, Endpoint, Failure, Source, Step};
use firefly_identity::ControlKeys;
use tokio::time::Instant;

use crate::control::{ProjectServer, ProjectServers};
use crate::desired::Opening;
use crate::lease::{Fence, NotLeading};
use crate::plan::{Action, Basis, Held};
use crate::report::{self, Reporter};
use crate::runtime::{
    self, ContainerRuntime, Observed, PrepareSpec, Slot, StartSpec, Started, Status,
};

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
            Action::Start { opening, .. } => Some(Action::GiveUp {
                opening: Arc::clone(opening),
                failure: Failure::new(Step::Container, error.code(), error.with_causes()),
            }),
            // It goes on with a new start, as after any other interruption.
            Action::Wake { opening, .. } => Some(Action::ReportExit {
                opening: Arc::clone(opening),
                exit_code: None,
                oom: false,
                cause: ExitCause::Interrupted,
                stable: true,
            }),
            Action::Release {
                opening,
                keep: true,
                ..
            } => Some(Action::GiveUpRelease {
                opening: Arc::clone(opening),
                detail: error.with_causes(),
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
            Action::Start { opening, basis } => self.start(&opening, basis).await,
            // Links live as long as their container: the service keeps them.
            Action::Link { .. } => Ok(()),
            Action::Prepare(slot) => self.prepare(slot).await,
            Action::ReportQuiet { opening, quiet } => {
                let quiet_ms = u64::try_from(quiet.as_millis()).unwrap_or(u64::MAX);
                self.report(&opening, Outcome::Quiet { quiet_ms }).await
            }
            Action::PutAway { opening, reason } => {
                self.report(&opening, Outcome::PutAway(reason)).await
            }
            Action::Pause { container, .. } => {
                self.may_act().await?;
                self.runtime.pause(&container).await.map_err(Error::Runtime)
            }
            Action::Wake {
                opening,
                container,
                endpoint,
            } => self.wake(&opening, &container, endpoint).await,
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
                keep,
            } => self.release(&opening, &containers, keep).await,
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
            Action::GiveUpRelease { opening, detail } => {
                let detail = Some(detail);
                self.report(&opening, Outcome::ContainerStopped { detail })
                    .await
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

    async fn start(&self, opening: &Opening, basis: Basis) -> Result<(), Error> {
        let began = Instant::now();
        let spec = self.spec(opening);
        self.may_act().await?;
        let (started, origin) = match basis {
            Basis::Nothing => self.start_anew(&spec).await?,
            Basis::Found(found) => self.start_with(opening, &spec, &found).await?,
            Basis::Pooled { container, slot } => {
                match self.claim(opening, &spec, &container, slot).await? {
                    Some(started) => (started, Origin::Pool),
                    None => self.start_anew(&spec).await?,
                }
            }
        };
        let outcome = Outcome::ContainerStarted {
            container: started.id,
            image: self.runtime.image(),
            origin,
            duration_ms: millis(began),
        };
        self.report(opening, outcome).await
    }

    fn spec(&self, opening: &Opening) -> StartSpec {
        StartSpec {
            project: opening.project,
            key: opening.key.clone(),
            control_key: self.keys.key(opening.project, opening.generation),
            fence: Arc::clone(&self.fence),
            local_source: match &opening.source {
                Source::Path(path) => Some(path.into()),
                Source::Git(_) | Source::Template(_) => None,
            },
        }
    }

    async fn start_anew(&self, spec: &StartSpec) -> Result<(Started, Origin), Error> {
        let started = self.runtime.start(spec).await.map_err(Error::Runtime)?;
        let origin = if started.kept {
            Origin::Kept
        } else {
            Origin::New
        };
        Ok((started, origin))
    }

    /// One that runs is this opening's if it knows the opening's key: an earlier attempt made it, and was cut short before
    /// history knew. Any other one serves an earlier opening, and ends first.
    async fn start_with(
        &self,
        opening: &Opening,
        spec: &StartSpec,
        found: &Observed,
    ) -> Result<(Started, Origin), Error> {
        if let Status::Running { endpoint } = &found.status
            && self.server(opening, endpoint).ping().await.is_ok()
        {
            let started = Started {
                id: found.id.clone(),
                endpoint: endpoint.clone(),
                kept: false,
            };
            return Ok((started, Origin::New));
        }
        if opening.fresh {
            self.remove(&found.id).await?;
        } else if found.status.is_alive() {
            self.stop(&found.id).await?;
        }
        self.start_anew(spec).await
    }

    /// Gives a container that was started ahead to an opening, with the opening's key.
    async fn claim(
        &self,
        opening: &Opening,
        spec: &StartSpec,
        container: &ContainerId,
        slot: Slot,
    ) -> Result<Option<Started>, Error> {
        let claimed = self.runtime.claim(container, slot, spec).await;
        let Some(started) = claimed.map_err(Error::Runtime)? else {
            return Ok(None);
        };
        let server = self
            .servers
            .at(&started.endpoint, self.keys.of_slot(slot));
        if let Err(error) = server.claim(&spec.control_key).await {
            tracing::warn!(project.key = %opening.key, %error, "a container that was started ahead cannot be used");
            self.stop(&started.id).await?;
            return Ok(None);
        }
        Ok(Some(started))
    }

    async fn prepare(&self, slot: Slot) -> Result<(), Error> {
        let spec = PrepareSpec {
            slot,
            control_key: self.keys.of_slot(slot),
            fence: Arc::clone(&self.fence),
        };
        self.may_act().await?;
        let prepared = self.runtime.prepare(&spec).await;
        prepared.map(drop).map_err(Error::Runtime)
    }

    async fn wake(
        &self,
        opening: &Opening,
        container: &ContainerId,
        endpoint: Endpoint,
    ) -> Result<(), Error> {
        let began = Instant::now();
        self.may_act().await?;
        let woken = self.runtime.unpause(container).await;
        woken.map_err(Error::Runtime)?;
        let outcome = Outcome::Ready {
            endpoint,
            duration_ms: millis(began),
        };
        self.report(opening, outcome).await
    }

    async fn release(
        &self,
        opening: &Opening,
        containers: &[Held],
        keep: bool,
    ) -> Result<(), Error> {
        for container in containers {
            self.say_goodbye(opening, container).await?;
            if keep {
                self.stop(&container.id).await?;
            } else {
                self.remove(&container.id).await?;
            }
        }
        let outcome = if keep {
            Outcome::ContainerStopped { detail: None }
        } else {
            Outcome::ContainerRemoved
        };
        self.report(opening, outcome).await
    }

    async fn delete(
        &self,
        opening: &Opening,
        containers: &[Held],
        force: bool,
    ) -> Result<(), Error> {
        for container in containers {
            self.say_goodbye(opening, container).await?;
            self.remove(&container.id).await?;
        }
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

    /// Lets a project-server end its work, and records the unsaved work that it leaves. One that sleeps is woken for it.
    async fn say_goodbye(&self, opening: &Opening, container: &Held) -> Result<(), Error> {
        let Some(endpoint) = &container.endpoint else {
            return Ok(());
        };
        self.may_act().await?;
        let awake = self.runtime.unpause(&container.id).await;
        awake.map_err(Error::Runtime)?;
        match self.server(opening, endpoint).shutdown().await {
            Ok(unsaved) => self.report(opening, Outcome::UnsavedWork(unsaved)).await,
            // It ends all the same, below; what was reported last stands.
            Err(error) => {
                tracing::warn!(project.key = %opening.key, %error, "a container did not say goodbye");
                Ok(())
            }
        }
    }

    async fn stop(&self, container: &ContainerId) -> Result<(), Error> {
        self.may_act().await?;
        let stopped = self.runtime.stop(container, STOP_GRACE).await;
        stopped.map_err(Error::Runtime)
    }

    async fn remove(&self, container: &ContainerId) -> Result<(), Error> {
        self.stop(container).await?;
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

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
