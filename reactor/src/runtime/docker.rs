//! Project-servers as Docker containers.
//!
//! Containers are found by label, never by what was remembered, so a restart of Firefly needs no special path.
//! Their state is only ever read from an inspection: an event is a nudge, and a call that timed out may have worked.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, RemoveContainerOptionsBuilder,
    StopContainerOptionsBuilder,
};
use firefly_domain::control::{CONTAINER_PORT, Unsaved};
use firefly_domain::{ContainerId, Endpoint, ProjectId};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::directories::{Directories, Owner};
use super::{ContainerRuntime, Observed, Progress, RuntimeEvent, StartSpec, Started};
use crate::lease::Fence;

mod call;
mod create;
mod events;
mod image;
mod leftovers;
mod local_source;
mod names;
mod network;
mod observe;
mod session;
mod spec;

pub use call::Error;
pub use image::{ImageRef, ImageSource};
pub(super) use leftovers::remove_all_containers;
pub use spec::Limits;

use call::{Attempt, CallExt, PING_DEADLINE, SHORT_DEADLINE};
use create::Made;
use names::Names;

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
    /// This Firefly among all that use the same engine. It names containers and the network.
    pub instance: Uuid,
    /// Workspaces and npm caches on the engine's host.
    pub directories: Directories,
    /// Where the image comes from.
    pub image: ImageSource,
    /// Certificates to trust beside the image's own, in PEM, on the engine's host.
    pub ca_bundle: Option<PathBuf>,
    /// What one container may use.
    pub limits: Limits,
    /// Variables for containers; see [`environment::of_containers`](super::environment::of_containers).
    pub environment: Vec<(String, OsString)>,
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
    network_turn: Mutex<()>,
}

impl DockerRuntime {
    /// Reaches the engine that the environment names, and makes the image if it is missing. Containers are left alone.
    ///
    /// Making the image for the first time on a machine takes a minute or so; `progress` is told.
    pub async fn connect(mut config: Config, progress: Progress<'_>) -> Result<Self, Error> {
        let docker = reach().await?;
        let names = Names::of(config.instance);
        // No two processes of an instance begin at the same time; this one is of a life that ended in its beginning.
        remove_by_force(&docker, &names.image_maker()).await?;
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
            network_turn: Mutex::new(()),
        })
    }

    /// Makes the network if it is missing. The engine would let two starts make two of the same name.
    async fn ensure_network(&self) -> Result<(), Error> {
        let _turn = self.network_turn.lock().await;
        network::ensure(&self.docker, &self.names).await
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

    /// Runs a new container until it listens.
    async fn bring_up(&self, id: &ContainerId, spec: &StartSpec) -> Result<Started, super::Error> {
        session::hand_over(&self.docker, id, spec, self.config.answer_deadline).await?;
        let found = self
            .docker
            .inspect_container(id.as_str(), None::<InspectContainerOptions>)
            .await
            .or_failed("inspect the container", id.as_str())?;
        let address = observe::address(&found, &self.names).ok_or_else(|| Error::NoAddress {
            name: id.to_string(),
        })?;
        Ok(Started {
            id: id.clone(),
            endpoint: Endpoint::new(SocketAddr::new(address, CONTAINER_PORT).to_string()),
        })
    }

    async fn remove_by_force(&self, name: &str) -> Result<(), Error> {
        remove_by_force(&self.docker, name).await
    }

    async fn observe(&self, id: String) -> Result<Option<Observed>, Error> {
        let options = None::<InspectContainerOptions>;
        match Attempt::of(self.docker.inspect_container(&id, options).await) {
            Attempt::Done(found) => Ok(observe::observed(&found, &self.names)),
            Attempt::Refused { status: 404, .. } => Ok(None),
            other => Err(other.into_error("inspect the container", id)),
        }
    }
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

    async fn take_over(&self, fence: &dyn Fence) -> Result<(), super::Error> {
        let helpers = leftovers::helpers(&self.docker, &self.names).await?;
        for container in helpers {
            fence.check().await?;
            tracing::info!(container.id = container, "removing what was left behind");
            self.remove_by_force(&container).await?;
        }
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Observed>, super::Error> {
        let found = self
            .docker
            .list_containers(Some(self.names.list_options()))
            .await
            .or_failed("list", "containers")?;
        let ids = found.into_iter().filter_map(|summary| summary.id);
        let observed: Vec<Option<Observed>> = stream::iter(ids)
            .map(|id| self.observe(id))
            .buffered(INSPECTIONS_MAX)
            .try_collect()
            .await?;
        Ok(observed.into_iter().flatten().collect())
    }

    async fn start(&self, spec: &StartSpec) -> Result<Started, super::Error> {
        self.ensure_network().await?;
        let id = match self.create_or_adopt(spec).await? {
            Made::New(id) => id,
            Made::Running(started) => return Ok(started),
        };
        let outcome = self.bring_up(&id, spec).await;
        // What another Firefly has taken over by now is no longer ours to tidy up.
        if outcome.is_err()
            && spec.fence.check().await.is_ok()
            && let Err(error) = self.remove_by_force(id.as_str()).await
        {
            // The next list shows it, so it is not lost.
            tracing::warn!(container.id = %id, %error, "a container that did not start is left behind");
        }
        outcome
    }

    async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<(), super::Error> {
        let patient = self.docker.clone().with_timeout(grace + STOP_ALLOWANCE);
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::default().t(seconds).build();
        match Attempt::of(patient.stop_container(id.as_str(), Some(options)).await) {
            Attempt::Done(()) | Attempt::Refused { status: 404, .. } => Ok(()),
            other => match self.observe(id.to_string()).await? {
                Some(it) if matches!(it.status, super::Status::Running { .. }) => {
                    Err(other.into_error("stop the container", id.as_str()).into())
                }
                _ => Ok(()),
            },
        }
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), super::Error> {
        Ok(self.remove_by_force(id.as_str()).await?)
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

    async fn close(&self) -> Result<(), super::Error> {
        Ok(network::remove(&self.docker, &self.names).await?)
    }
}
