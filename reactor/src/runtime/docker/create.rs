//! Making a project's container, or finding the one that it has.
//!
//! The name is the project's, so the engine itself refuses to make two of them, whoever asks: that is the last fence
//! between two Fireflies that both believe that they act.

use std::sync::PoisonError;

use bollard::query_parameters::{CreateContainerOptionsBuilder, InspectContainerOptions};
use firefly_domain::ContainerId;
use uuid::Uuid;

use super::super::{Error as RuntimeError, Serves, StartSpec, directories};
use super::call::{Attempt, Error};
use super::observe::Found;
use super::{DockerRuntime, image, local_source, observe, spec};
use crate::lease::Fence;

/// Creations that are tried in a row, each after what stood in the way of the one before is out of it.
const CREATE_ATTEMPTS: u32 = 3;

/// A container that does not run.
pub(super) enum Made {
    /// It has not run yet.
    New(ContainerId),
    /// It was there already.
    Kept(ContainerId),
}

impl DockerRuntime {
    /// Makes a project's container, or finds the one that it has. One that would be made otherwise today is replaced:
    /// after an upgrade of Firefly it holds an old program.
    pub(super) async fn find_or_create(&self, spec: &StartSpec) -> Result<Made, RuntimeError> {
        let place = *spec.project.as_uuid();
        let name = self.names.container(Serves::Project(spec.project));
        if let Some(found) = self.find(&name).await? {
            let id = found.observed.id.clone();
            if found.observed.status.is_alive() {
                let project = spec.project;
                return Err(RuntimeError::Occupied {
                    project,
                    container: id,
                });
            }
            let mounts = self.mounts(spec).await?;
            if self.is_as_made_today(&found, &mounts) {
                return Ok(Made::Kept(id));
            }
            spec.fence.check().await?;
            self.remove_found(&found).await?;
        }
        let mounts = self.mounts(spec).await?;
        let created = self.create(&name, &place, &mounts, &*spec.fence).await;
        created.map(Made::New)
    }

    /// Makes a container that does not run yet.
    pub(super) async fn create(
        &self,
        name: &str,
        place: &Uuid,
        mounts: &spec::Mounts,
        fence: &dyn Fence,
    ) -> Result<ContainerId, RuntimeError> {
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let mut all_timed_out = true;
        for _ in 0..CREATE_ATTEMPTS {
            let image = self.current_image();
            let body = spec::project_server(&self.setting(&image), place, mounts);
            fence.check().await?;
            let created = self
                .docker
                .create_container(Some(options.clone()), body)
                .await;
            match Attempt::of(created) {
                Attempt::Done(created) => return Ok(ContainerId::new(created.id)),
                // It may have been made after all; if so, the next attempt finds the name taken.
                Attempt::TimedOut => continue,
                Attempt::Refused { status: 409, .. } => self.clear_name(name, fence).await?,
                Attempt::Refused { status: 404, .. } => self.provide_image().await?,
                Attempt::Refused { source, .. } | Attempt::Failed(source) => {
                    return Err(Error::call("create the container", name, source).into());
                }
            }
            all_timed_out = false;
        }
        Err(not_created(name.to_owned(), all_timed_out).into())
    }

    /// Removes a container that does not run from under a name that we want.
    async fn clear_name(&self, name: &str, fence: &dyn Fence) -> Result<(), RuntimeError> {
        let Some(found) = self.find(name).await? else {
            return Ok(());
        };
        if let (true, Serves::Project(project)) =
            (found.observed.status.is_alive(), found.observed.serves)
        {
            let container = found.observed.id;
            return Err(RuntimeError::Occupied { project, container });
        }
        fence.check().await?;
        self.remove_found(&found).await
    }

    /// The container of ours that has a name.
    pub(super) async fn find(&self, name: &str) -> Result<Option<Found>, Error> {
        let options = None::<InspectContainerOptions>;
        let found = match Attempt::of(self.docker.inspect_container(name, options).await) {
            Attempt::Done(found) => found,
            Attempt::Refused { status: 404, .. } => return Ok(None),
            other => return Err(other.into_error("inspect the container", name)),
        };
        match observe::inspected(&found, &self.names, &self.config.directories) {
            Some(found) => Ok(Some(found)),
            None => Err(Error::NameTaken {
                name: name.to_owned(),
            }),
        }
    }

    fn is_as_made_today(&self, found: &Found, mounts: &spec::Mounts) -> bool {
        let image = self.current_image();
        let today = spec::project_server(&self.setting(&image), &found.place, mounts);
        today.labels == Some(self.names.labels(&found.place, &found.made_as))
    }

    async fn mounts(&self, spec: &StartSpec) -> Result<spec::Mounts, RuntimeError> {
        let directories = &self.config.directories;
        Ok(spec::Mounts {
            source: self.source_to_mount(spec).await?,
            run: directories
                .make_run_directory(spec.project.as_uuid(), self.owner)
                .await?,
            workspace: directories.make_workspace(spec.project, self.owner).await?,
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
