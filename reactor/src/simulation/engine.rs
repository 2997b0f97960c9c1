//! The container runtime of the imitated world.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use firefly_domain::control::Unsaved;
use firefly_domain::{ContainerId, Endpoint, ProjectId};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::latch::Latch;
use super::world::{Container, Doing, Life, Plant, World};
use crate::lease::Fence;
use crate::runtime::{ContainerRuntime, Error, Observed, RuntimeEvent, StartSpec, Started, Status};

/// The engine, as one life of the reactor sees it.
pub struct Engine {
    world: Arc<World>,
    life: Life,
}

impl Engine {
    pub fn new(world: &Arc<World>, life: Life) -> Self {
        Self {
            world: Arc::clone(world),
            life,
        }
    }

    /// Makes the container of an opening, or finds the one that runs.
    async fn create(&self, spec: &StartSpec) -> Result<(ContainerId, bool), Error> {
        self.world
            .call(self.life, "create", |state| {
                let here = |it: &Container| it.project == spec.project && !it.foreign;
                let found = state.containers.iter().find(|(_, it)| here(it));
                if let Some((id, found)) = found {
                    let id = id.clone();
                    if found.generation != spec.generation {
                        return Err(Error::Occupied {
                            project: spec.project,
                            container: id,
                        });
                    }
                    if found.doing == Doing::Running {
                        return Ok((id, true));
                    }
                    state.remove(&id);
                }
                let id = ContainerId::new(format!("c{}", state.next()));
                state.note(format_args!(
                    "{id} is made for {} {}",
                    spec.project, spec.generation
                ));
                let made = Container {
                    project: spec.project,
                    generation: spec.generation,
                    foreign: false,
                    doing: Doing::Created,
                    key: None,
                    script: Vec::new(),
                    over: Latch::default(),
                };
                state.containers.insert(id.clone(), made);
                Ok((id, false))
            })
            .await
    }
}

fn endpoint(id: &ContainerId) -> Endpoint {
    Endpoint::new(format!("{id}:1"))
}

#[async_trait]
impl ContainerRuntime for Engine {
    fn kind(&self) -> &'static str {
        "imitation"
    }

    async fn take_over(&self, fence: &dyn Fence) -> Result<(), Error> {
        Ok(fence.check().await?)
    }

    fn image(&self) -> String {
        "imitation".into()
    }

    async fn list(&self) -> Result<Vec<Observed>, Error> {
        let strangers_too = self.world.has(Plant::AdoptedStranger);
        self.world
            .call(self.life, "list", |state| {
                let ours = state
                    .containers
                    .iter()
                    .filter(|(_, it)| strangers_too || !it.foreign);
                Ok(ours
                    .map(|(id, it)| Observed {
                        id: id.clone(),
                        project: it.project,
                        generation: it.generation,
                        status: match &it.doing {
                            Doing::Created => Status::Created,
                            Doing::Running => Status::Running {
                                endpoint: endpoint(id),
                            },
                            Doing::Exited(exit) => Status::Exited(exit.clone()),
                        },
                    })
                    .collect())
            })
            .await
    }

    async fn start(&self, spec: &StartSpec) -> Result<Started, Error> {
        let (id, runs) = self.create(spec).await?;
        let started = Started {
            endpoint: endpoint(&id),
            id: id.clone(),
        };
        if runs {
            return Ok(started);
        }
        spec.fence.check().await?;
        let handed_over = self
            .world
            .call(self.life, "start", |state| {
                if state.containers.contains_key(&id) {
                    state.run(&id, &spec.control_key);
                }
                Ok(())
            })
            .await;
        match handed_over {
            Ok(()) => Ok(started),
            Err(error) => {
                // As the real ones do; if it fails too, the next list shows it.
                if spec.fence.check().await.is_ok() {
                    let _ = self.remove(&id).await;
                }
                Err(error)
            }
        }
    }

    async fn stop(&self, id: &ContainerId, _grace: Duration) -> Result<(), Error> {
        self.world
            .call(self.life, "stop", |state| {
                state.touch(id, "stop");
                state.exit(id, 0, false);
                Ok(())
            })
            .await
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), Error> {
        self.world
            .call(self.life, "remove", |state| {
                state.touch(id, "remove");
                state.remove(id);
                Ok(())
            })
            .await
    }

    async fn inspect_workspace(&self, project: ProjectId) -> Result<Option<Unsaved>, Error> {
        self.world
            .call(self.life, "inspect", |state| {
                let workspace = state.workspaces.get(&project);
                Ok(workspace.map(|workspace| Unsaved {
                    files: workspace.unsaved,
                    commits: 0,
                }))
            })
            .await
    }

    async fn remove_workspace(&self, project: ProjectId) -> Result<(), Error> {
        self.world
            .call(self.life, "remove the workspace", |state| {
                let ours = |it: &Container| it.project == project && !it.foreign;
                if state
                    .containers
                    .values()
                    .any(|it| ours(it) && it.doing == Doing::Running)
                {
                    state.broken("a workspace is removed under a container that runs");
                }
                let Some(workspace) = state.workspaces.remove(&project) else {
                    return Ok(());
                };
                if workspace.unsaved > 0 && !state.forced.contains(&project) {
                    state.broken(format_args!(
                        "unsaved work of {project} is lost, and nobody forced it"
                    ));
                }
                state.note(format_args!("the workspace of {project} is removed"));
                Ok(())
            })
            .await
    }

    fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        let events = UnboundedReceiverStream::new(self.world.state().subscribe());
        stream::iter([RuntimeEvent::Resynchronise])
            .chain(events)
            .chain(stream::pending())
            .boxed()
    }
}
