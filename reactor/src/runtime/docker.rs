//! Project-servers as Docker containers.
//!
//! Containers are found by label, never by what was remembered, so a restart of Firefly needs no special path.
//! Their state is only ever read from an inspection: an event is a nudge, and a call that timed out may have worked.

use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::models::ContainerSummary;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, RemoveContainerOptionsBuilder,
    StopContainerOptionsBuilder,
};
use firefly_domain::control::Unsaved;
use firefly_domain::{ContainerId, ProjectId};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::directories::{Directories, Owner};
use super::{
    ContainerRuntime, Observed, PrepareSpec, Progress, RuntimeEvent, Serves, Slot, StartSpec,
    Started, Status,
};
use crate::lease::Fence;

mod call;
mod create;
mod events;
mod image;
mod leftovers;
mod local_source;
mod names;
mod observe;
mod pool;
mod session;
mod spec;

pub use call::Error;
pub use image::{ImageRef, ImageSource};
pub(super) use leftovers::remove_all_containers;
pub use spec::{EGRESS_SOCKET, Limits};

use call::{Attempt, CallExt, PING_DEADLINE, SHORT_DEADLINE};
use create::Made;
use names::Names;
use observe::Found;

/// What Docker may take for stopping a container beyond the grace it was given.
const STOP_ALLOWANCE: Duration = SHORT_DEADLINE;

/// Inspections that run at once during a list.
const INSPECTIONS_MAX: usize = 8;

/// The owner of workspaces when Firefly is root: the user that the project image names.
const IMAGE_OWNER: Owner = Owner {
    uid: 1000,
    gid: 1000,
};

/// What containers are made of.
#[derive(Clone, Debug)]
pub struct Config {
    /// This Firefly among all that use the same engine. It names containers.
    pub instance: Uuid,
    /// Workspaces and run directories on the engine's host.
    pub directories: Directories,
    /// Where the image comes from.
    pub image: ImageSource,
    /// Certificates to trust beside the image's own, in PEM, on the engine's host.
    pub ca_bundle: Option<PathBuf>,
    /// What one container may use.
    pub limits: Limits,
    /// The directory on the engine's host that holds the socket of the way out, [`EGRESS_SOCKET`]. It must be there before
    /// a container is made; containers have no other way to any network.
    pub egress: PathBuf,
    /// How long a container may take to listen; [`ANSWER_DEADLINE`](super::ANSWER_DEADLINE) unless there is a reason.
    pub answer_deadline: Duration,
}

/// Runs project-servers as Docker containers.
pub struct DockerRuntime {
    docker: Docker,
    config: Config,
    names: Names,
    owner: Owner,
    image: RwLock<ImageRef>,
    image_turn: Mutex<()>,
}

impl DockerRuntime {
    /// Reaches the engine that the environment names, and makes the image if it is missing.
    ///
    /// Making the image for the first time on a machine takes a minute or so; `progress` is told.
    pub async fn connect(mut config: Config, progress: Progress<'_>) -> Result<Self, Error> {
        let docker = reach().await?;
        let names = Names::of(config.instance);
        leftovers::remove_helpers(&docker, &names).await?;
        leftovers::remove_network(&docker, &names).await;
        leftovers::remove_directories(&docker, &names, &config.directories).await?;
        let info = docker.info().await.or_failed("ask", "the Docker engine")?;
        config.limits = config.limits.within(info.ncpu);
        let image = image::provide(&docker, &config.image, &names, progress).await?;
        let this_process = Owner::this_process();
        let owner = if this_process.uid == 0 {
            IMAGE_OWNER
        } else {
            this_process
        };
        Ok(Self {
            docker,
            config,
            names,
            owner,
            image: RwLock::new(image),
            image_turn: Mutex::new(()),
        })
    }

    fn current_image(&self) -> ImageRef {
        let image = self.image.read().unwrap_or_else(PoisonError::into_inner);
        image.clone()
    }

    fn setting<'a>(&'a self, image: &'a ImageRef) -> spec::Setting<'a> {
        spec::Setting {
            config: &self.config,
            names: &self.names,
            owner: self.owner,
            image,
        }
    }

    /// Runs a container that does not run until it listens. One that fails to is removed.
    async fn bring_up(
        &self,
        id: &ContainerId,
        place: &Uuid,
        hello: Hello<'_>,
        kept: bool,
    ) -> Result<Started, super::Error> {
        let directories = &self.config.directories;
        let run = async {
            // What an earlier life of it has left in there is nobody's any more.
            directories.remove_run_directory(place).await?;
            directories.make_run_directory(place, self.owner).await?;
            session::hand_over(&self.docker, id, &hello, self.config.answer_deadline).await
        };
        let ran = run.await;
        // What another Firefly has taken over by now is no longer ours to tidy up.
        if ran.is_err()
            && hello.fence.check().await.is_ok()
            && let Err(error) = self.remove_container(id).await
        {
            // The next list shows it, so it is not lost.
            tracing::warn!(container.id = %id, %error, "a container that did not start is left behind");
        }
        ran.map(|()| Started {
            id: id.clone(),
            endpoint: observe::endpoint(directories, place),
            kept,
        })
    }

    /// Removes a container with what was made for it alone. One that is gone already is fine.
    async fn remove_container(&self, id: &ContainerId) -> Result<(), super::Error> {
        match self.inspect(id.as_str()).await? {
            Some(found) => self.remove_found(&found).await,
            None => Ok(self.remove_by_force(id.as_str()).await?),
        }
    }

    async fn remove_found(&self, found: &Found) -> Result<(), super::Error> {
        self.remove_by_force(found.observed.id.as_str()).await?;
        let directories = &self.config.directories;
        directories.remove_run_directory(&found.place).await?;
        let slot = Slot::from_uuid(found.place);
        Ok(directories.forget_pool_workspace(slot).await?)
    }

    async fn remove_by_force(&self, name: &str) -> Result<(), Error> {
        remove_by_force(&self.docker, name).await
    }

    async fn inspect(&self, id: &str) -> Result<Option<Found>, Error> {
        let options = None::<InspectContainerOptions>;
        match Attempt::of(self.docker.inspect_container(id, options).await) {
            Attempt::Done(found) => Ok(observe::inspected(
                &found,
                &self.names,
                &self.config.directories,
            )),
            Attempt::Refused { status: 404, .. } => Ok(None),
            other => Err(other.into_error("inspect the container", id)),
        }
    }

    async fn status(&self, id: &ContainerId) -> Result<Option<Status>, Error> {
        let found = self.inspect(id.as_str()).await?;
        Ok(found.map(|found| found.observed.status))
    }

    async fn look(&self, listed: ContainerSummary) -> Result<Option<Observed>, Error> {
        let directories = &self.config.directories;
        match (
            observe::listed(&listed, &self.names, directories),
            listed.id,
        ) {
            (Some(observed), _) => Ok(Some(observed)),
            (None, Some(id)) => Ok(self.inspect(&id).await?.map(|found| found.observed)),
            (None, None) => Ok(None),
        }
    }
}

/// Whom a container works for when it starts, and the key that it is told.
struct Hello<'a> {
    serves: Serves,
    control_key: &'a str,
    fence: &'a dyn Fence,
}

/// Finds the engine that the environment names, and makes sure that it answers.
pub(super) async fn reach() -> Result<Docker, Error> {
    let docker = Docker::connect_with_defaults()
        .or_failed("find", "the Docker engine")?
        .with_timeout(PING_DEADLINE);
    docker
        .ping()
        .await
        .or_failed("reach", "the Docker engine")?;
    Ok(docker.with_timeout(SHORT_DEADLINE))
}

async fn remove_by_force(docker: &Docker, name: &str) -> Result<(), Error> {
    let options = RemoveContainerOptionsBuilder::default()
        .force(true)
        .v(true)
        .build();
    match Attempt::of(docker.remove_container(name, Some(options)).await) {
        // 409 says that another removal is under way.
        Attempt::Done(())
        | Attempt::Refused {
            status: 404 | 409, ..
        } => Ok(()),
        other => Err(other.into_error("remove the container", name)),
    }
}

#[async_trait]
impl ContainerRuntime for DockerRuntime {
    fn kind(&self) -> &'static str {
        "docker"
    }

    fn image(&self) -> String {
        self.current_image().to_string()
    }

    async fn list(&self) -> Result<Vec<Observed>, super::Error> {
        let found = self
            .docker
            .list_containers(Some(self.names.list_options()))
            .await
            .or_failed("list", "containers")?;
        let observed: Vec<Option<Observed>> = stream::iter(found)
            .map(|listed| self.look(listed))
            .buffered(INSPECTIONS_MAX)
            .try_collect()
            .await?;
        Ok(observed.into_iter().flatten().collect())
    }

    async fn start(&self, spec: &StartSpec) -> Result<Started, super::Error> {
        let (id, kept) = match self.find_or_create(spec).await? {
            Made::New(id) => (id, false),
            Made::Kept(id) => (id, true),
        };
        let place = match self.inspect(id.as_str()).await? {
            Some(found) if kept => found.place,
            _ => *spec.project.as_uuid(),
        };
        let hello = Hello {
            serves: Serves::Project(spec.project),
            control_key: &spec.control_key,
            fence: &*spec.fence,
        };
        self.bring_up(&id, &place, hello, kept).await
    }

    fn has_pool(&self) -> bool {
        true
    }

    async fn prepare(&self, spec: &PrepareSpec) -> Result<Started, super::Error> {
        self.start_ahead(spec).await
    }

    async fn claim(
        &self,
        container: &ContainerId,
        slot: Slot,
        spec: &StartSpec,
    ) -> Result<Option<Started>, super::Error> {
        self.take_from_pool(container, slot, spec).await
    }

    async fn pause(&self, id: &ContainerId) -> Result<(), super::Error> {
        match Attempt::of(self.docker.pause_container(id.as_str()).await) {
            Attempt::Done(()) => Ok(()),
            // It stands still already, or has ended, as the next list shows.
            other => match self.status(id).await? {
                Some(Status::Running { .. }) => {
                    Err(other.into_error("pause the container", id.as_str()).into())
                }
                _ => Ok(()),
            },
        }
    }

    async fn unpause(&self, id: &ContainerId) -> Result<(), super::Error> {
        match Attempt::of(self.docker.unpause_container(id.as_str()).await) {
            Attempt::Done(()) => Ok(()),
            other => match self.status(id).await? {
                Some(Status::Paused { .. }) => Err(other
                    .into_error("unpause the container", id.as_str())
                    .into()),
                _ => Ok(()),
            },
        }
    }

    async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<(), super::Error> {
        let patient = self.docker.clone().with_timeout(grace + STOP_ALLOWANCE);
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::default().t(seconds).build();
        match Attempt::of(patient.stop_container(id.as_str(), Some(options)).await) {
            Attempt::Done(()) | Attempt::Refused { status: 404, .. } => Ok(()),
            other => match self.status(id).await? {
                Some(status) if status.is_alive() => {
                    Err(other.into_error("stop the container", id.as_str()).into())
                }
                _ => Ok(()),
            },
        }
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), super::Error> {
        self.remove_container(id).await
    }

    async fn inspect_workspace(&self, project: ProjectId) -> Result<Option<Unsaved>, super::Error> {
        let directories = &self.config.directories;
        let Some(workspace) = directories.filled_workspace(project, self.owner).await? else {
            return Ok(None);
        };
        let name = self.names.tool(project);
        // One of an earlier life may have been left behind.
        self.remove_by_force(&name).await?;
        let image = self.current_image();
        let body = spec::inspection(&self.setting(&image), &workspace);
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        let created = self
            .docker
            .create_container(Some(options), body)
            .await
            .or_failed("create the container", &name)?;
        let outcome = session::inspect(&self.docker, &created.id, project).await;
        self.remove_by_force(&created.id).await?;
        outcome.map(Some)
    }

    async fn remove_workspace(&self, project: ProjectId) -> Result<(), super::Error> {
        Ok(self.config.directories.remove_workspace(project).await?)
    }

    fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        events::follow(self.docker.clone(), &self.names)
    }
}
