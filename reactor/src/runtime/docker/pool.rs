//! Containers that are started ahead, and what makes one of them a project's own.
//!
//! The first of it is the name, which the engine gives to one container only; then the workspace follows. A claim that is
//! cut short in between leaves a container that bears the project's name and knows no key of its opening, so that the
//! next start ends it.

use bollard::query_parameters::RenameContainerOptions;
use firefly_domain::{ContainerId, ProjectId};

use super::super::{Error, PrepareSpec, Serves, Slot, StartSpec, Started};
use super::call::{Attempt, Error as EngineError};
use super::{DockerRuntime, Hello, observe, spec};

impl DockerRuntime {
    /// Starts a container ahead.
    pub(super) async fn start_ahead(&self, prepare: &PrepareSpec) -> Result<Started, Error> {
        let serves = Serves::Pool(prepare.slot);
        let (place, directories) = (prepare.slot.as_uuid(), &self.config.directories);
        let mounts = spec::Mounts {
            workspace: directories
                .make_pool_workspace(prepare.slot, self.owner)
                .await?,
            run: directories.make_run_directory(place, self.owner).await?,
            source: None,
        };
        let name = self.names.container(serves);
        let fence = &*prepare.fence;
        let id = self.create(&name, place, &mounts, fence).await?;
        let hello = Hello {
            serves,
            control_key: &prepare.control_key,
            fence,
        };
        self.bring_up(&id, place, hello, false).await
    }

    /// Makes a container that was started ahead a project's own.
    pub(super) async fn take_from_pool(
        &self,
        container: &ContainerId,
        slot: Slot,
        spec: &StartSpec,
    ) -> Result<Option<Started>, Error> {
        spec.fence.check().await?;
        if !self.rename(container, spec.project).await? {
            return Ok(None);
        }
        spec.fence.check().await?;
        let directories = &self.config.directories;
        if !directories.claim_workspace(slot, spec.project).await? {
            self.remove_container(container).await?;
            return Ok(None);
        }
        Ok(Some(Started {
            id: container.clone(),
            endpoint: observe::endpoint(directories, slot.as_uuid()),
            kept: false,
        }))
    }

    /// Gives a container a project's name; whether it is still there.
    async fn rename(&self, container: &ContainerId, project: ProjectId) -> Result<bool, Error> {
        let name = self.names.container(Serves::Project(project));
        let options = RenameContainerOptions { name: name.clone() };
        let renamed = self.docker.rename_container(container.as_str(), options);
        match Attempt::of(renamed.await) {
            Attempt::Done(()) => Ok(true),
            Attempt::Refused { status: 404, .. } => Ok(false),
            Attempt::Refused { status: 409, .. } => match self.find(&name).await? {
                // An attempt before this one was not answered in time.
                Some(found) if found.observed.id == *container => Ok(true),
                Some(found) => Err(Error::Occupied {
                    project,
                    container: found.observed.id,
                }),
                None => Err(EngineError::NotCreated { name }.into()),
            },
            other => Err(other
                .into_error("rename the container", container.as_str())
                .into()),
        }
    }
}
