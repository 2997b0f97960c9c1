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
use super::world::{Container, Doing, Life, Plant, State, World, unanswered};
use crate::lease::Fence;
use crate::runtime::{
    ContainerRuntime, Error, Observed, PrepareSpec, RuntimeEvent, Serves, Slot, StartSpec, Started,
    Status,
};

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

    /// Makes a project's container, or finds the one that it has and that does not run.
    async fn create(&self, spec: &StartSpec) -> Result<(ContainerId, bool), Error> {
        let project = spec.project;
        self.world
            .call(self.life, "create", |state| {
                let mut containers = state.containers.iter();
                match containers.find(|(_, it)| it.is_of(project)) {
                    Some((id, found)) if found.doing.is_alive() => Err(Error::Occupied {
                        project,
                        container: id.clone(),
                    }),
                    Some((id, _)) => Ok((id.clone(), true)),
                    None => Ok((make(state, Serves::Project(project)), false)),
                }
            })
            .await
    }

    /// Starts a container that does not run, and hands it its key.
    async fn run(
        &self,
        id: &ContainerId,
        key: &str,
        fence: &dyn Fence,
        kept: bool,
    ) -> Result<Started, Error> {
        fence.check().await?;
        let ran = self
            .world
            .call(self.life, "start", |state| {
                let doing = state.containers.get(id).map(|it| it.doing.clone());
                match doing {
                    // Somebody else was faster: this one's hello is heard by nobody.
                    Some(doing) if doing.is_alive() => Err(unanswered("start")),
                    Some(_) => {
                        state.run(id, key);
                        Ok(())
                    }
                    None => Err(unanswered("start")),
                }
            })
            .await;
        if let Err(error) = ran {
            // As the real ones do; if it fails too, the next list shows it.
            if fence.check().await.is_ok() {
                let _ = self.remove(id).await;
            }
            return Err(error);
        }
        Ok(Started {
            id: id.clone(),
            endpoint: endpoint(id),
            kept,
        })
    }
}

fn make(state: &mut State, serves: Serves) -> ContainerId {
    let id = ContainerId::new(format!("c{}", state.next()));
    state.note(format_args!("{id} is made for {serves:?}"));
    let made = Container {
        serves,
        foreign: false,
        doing: Doing::Created,
        key: None,
        script: Vec::new(),
        over: Latch::default(),
    };
    state.containers.insert(id.clone(), made);
    id
}

fn endpoint(id: &ContainerId) -> Endpoint {
    Endpoint::new(format!("{id}:1"))
}

fn turn(state: &mut State, id: &ContainerId, from: &Doing, to: Doing) {
    if let Some(container) = state.containers.get_mut(id)
        && container.doing == *from
    {
        let told = format!("{id} is {to:?}");
        container.doing = to;
        state.note(told);
    }
}

#[async_trait]
impl ContainerRuntime for Engine {
    fn kind(&self) -> &'static str {
        "imitation"
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
                        serves: it.serves,
                        status: match &it.doing {
                            Doing::Created => Status::Created,
                            Doing::Running => Status::Running {
                                endpoint: endpoint(id),
                            },
                            Doing::Paused => Status::Paused {
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
        let (id, kept) = self.create(spec).await?;
        self.run(&id, &spec.control_key, &*spec.fence, kept).await
    }

    fn has_pool(&self) -> bool {
        true
    }

    async fn prepare(&self, spec: &PrepareSpec) -> Result<Started, Error> {
        let id = self
            .world
            .call(self.life, "prepare", |state| {
                Ok(make(state, Serves::Pool(spec.slot)))
            })
            .await?;
        self.run(&id, &spec.control_key, &*spec.fence, false).await
    }

    async fn claim(
        &self,
        container: &ContainerId,
        _: Slot,
        spec: &StartSpec,
    ) -> Result<Option<Started>, Error> {
        let project = spec.project;
        spec.fence.check().await?;
        let claimed = self
            .world
            .call(self.life, "claim", |state| {
                state.touch(container, "claim");
                let other = state.containers.iter().find(|(_, it)| it.is_of(project));
                if let Some((other, _)) = other {
                    return Err(Error::Occupied {
                        project,
                        container: other.clone(),
                    });
                }
                let filled = state.workspaces.contains_key(&project);
                let Some(claimed) = state.containers.get_mut(container) else {
                    return Ok(false);
                };
                claimed.serves = Serves::Project(project);
                state.note(format_args!("{container} is claimed for {project}"));
                if filled {
                    state.remove(container);
                }
                Ok(!filled)
            })
            .await?;
        Ok(claimed.then(|| Started {
            id: container.clone(),
            endpoint: endpoint(container),
            kept: false,
        }))
    }

    async fn pause(&self, id: &ContainerId) -> Result<(), Error> {
        self.world
            .call(self.life, "pause", |state| {
                state.touch(id, "pause");
                turn(state, id, &Doing::Running, Doing::Paused);
                Ok(())
            })
            .await
    }

    async fn unpause(&self, id: &ContainerId) -> Result<(), Error> {
        self.world
            .call(self.life, "unpause", |state| {
                state.touch(id, "unpause");
                turn(state, id, &Doing::Paused, Doing::Running);
                Ok(())
            })
            .await
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
                let mut containers = state.containers.values();
                if containers.any(|it| it.is_of(project) && it.doing.is_alive()) {
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
