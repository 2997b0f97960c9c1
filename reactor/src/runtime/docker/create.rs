//! Making the container of an opening, or finding the one that an earlier attempt made.
//!
//! The name is the project's, so the engine itself refuses to make two of them, whoever asks: that is the last fence
//! between two Fireflies that both believe that they act.

use std::sync::PoisonError;
use std::time::Duration;

use bollard::query_parameters::{CreateContainerOptionsBuilder, InspectContainerOptions};
use firefly_domain::{ContainerId, Endpoint};

use super::super::{StartSpec, Started, Status, directories};
use super::call::{Attempt, Error};
use super::{DockerRuntime, image, local_source, observe, spec};

/// Creations that are tried in a row, each after what stood in the way of the one before is out of it.
const CREATE_ATTEMPTS: u32 = 3;

/// How long a container that is to be adopted may take to accept a connection.
const ADOPTION_DEADLINE: Duration = Duration::from_secs(2);

/// A container under the wanted name.
pub(super) enum Made {
    /// It has not run yet.
    New(ContainerId),
    /// It was there already, and accepts connections.
    Running(Started),
}

impl DockerRuntime {
    /// Makes a container that does not run yet, or finds one that already does.
    pub(super) async fn create_or_adopt(
        &self,
        spec: &StartSpec,
    ) -> Result<Made, super::super::Error> {
        let name = self.names.container(spec.project);
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        let mounts = self.mounts(spec).await?;
        let mut all_timed_out = true;
        for _ in 0..CREATE_ATTEMPTS {
            let image = self.current_image();
            let body = spec::project_server(&self.setting(&image), spec, &mounts);
            spec.fence.check().await?;
            let created = self
                .docker
                .create_container(Some(options.clone()), body)
                .await;
            match Attempt::of(created) {
                Attempt::Done(created) => return Ok(Made::New(ContainerId::new(created.id))),
                // It may have been made after all; if so, the next attempt finds the name taken.
                Attempt::TimedOut => continue,
                Attempt::Refused { status: 409, .. } => {
                    if let Some(running) = self.clear_name(&name, spec).await? {
                        return Ok(Made::Running(running));
                    }
                }
                Attempt::Refused { status: 404, .. } => self.provide_image().await?,
                Attempt::Refused { source, .. } | Attempt::Failed(source) => {
                    return Err(Error::call("create the container", name, source).into());
                }
            }
            all_timed_out = false;
        }
        Err(not_created(name, all_timed_out).into())
    }

    async fn mounts(&self, spec: &StartSpec) -> Result<spec::Mounts, super::super::Error> {
        let directories = &self.config.directories;
        Ok(spec::Mounts {
            source: self.source_to_mount(spec).await?,
            run: directories
                .make_run_directory(spec.project, self.owner)
                .await?,
            workspace: directories.make_workspace(spec.project, self.owner).await?,
            npm_cache: directories
                .make_npm_cache(&spec.key.user, self.owner)
                .await?,
        })
    }

    /// The part of a repository on this host that the source step of an opening will read, if it has one to do.
    async fn source_to_mount(
        &self,
        spec: &StartSpec,
    ) -> Result<Option<local_source::History>, directories::Error> {
        let Some(path) = &spec.local_source else {
            return Ok(None);
        };
        let (path, workspace) = (
            path.clone(),
            self.config.directories.workspace(spec.project),
        );
        let looked = tokio::task::spawn_blocking(move || local_source::look(&path, &workspace));
        // It does not panic; if it did, the source step would say that there is no repository.
        looked.await.unwrap_or(Ok(None))
    }

    /// Somebody may tidy images away while all containers sleep. Several starts may notice at once.
    async fn provide_image(&self) -> Result<(), Error> {
        let _turn = self.image_turn.lock().await;
        let log = |line: &str| tracing::info!("{line}");
        let image = image::provide(&self.docker, &self.config.image, &self.names, &log).await?;
        *self.image.write().unwrap_or_else(PoisonError::into_inner) = image;
        Ok(())
    }

    /// What holds a name that we want: adopts it if it is ours, of the image of today and answers, and removes it
    /// otherwise. After an upgrade of Firefly a container of the old image holds an old program.
    async fn clear_name(
        &self,
        name: &str,
        spec: &StartSpec,
    ) -> Result<Option<Started>, super::super::Error> {
        let options = None::<InspectContainerOptions>;
        let found = match Attempt::of(self.docker.inspect_container(name, options).await) {
            Attempt::Done(found) => found,
            Attempt::Refused { status: 404, .. } => return Ok(None),
            other => return Err(other.into_error("inspect the container", name).into()),
        };
        let Some(observed) = observe::observed(&found, &self.names, &self.config.directories)
        else {
            return Err(Error::NameTaken {
                name: name.to_owned(),
            }
            .into());
        };
        if (observed.project, observed.generation) != (spec.project, spec.generation) {
            return Err(super::super::Error::Occupied {
                project: spec.project,
                container: observed.id,
            });
        }
        let is_current = found.image.as_deref() == Some(self.current_image().id());
        if let Status::Running { endpoint } = observed.status
            && is_current
            && accepts(&endpoint).await
        {
            let id = observed.id;
            return Ok(Some(Started { id, endpoint }));
        }
        spec.fence.check().await?;
        self.remove_by_force(observed.id.as_str()).await?;
        Ok(None)
    }
}

/// Why all attempts were in vain. An engine that never answered says nothing about what stands in the way.
fn not_created(name: String, all_timed_out: bool) -> Error {
    if all_timed_out {
        Error::TimedOut {
            operation: "create the container",
            subject: name,
        }
    } else {
        Error::NotCreated { name }
    }
}

/// Whether a project-server listens. It does so only after its hello, so one that listens can be adopted.
async fn accepts(endpoint: &Endpoint) -> bool {
    firefly_endpoint::connect(endpoint, ADOPTION_DEADLINE)
        .await
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_never_answered_is_not_said_to_be_disturbed() {
        let of = |all_timed_out| not_created("name".to_owned(), all_timed_out);
        assert!(matches!(of(true), Error::TimedOut { .. }));
        assert!(matches!(of(false), Error::NotCreated { .. }));
    }
}
