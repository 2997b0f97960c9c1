//! Project-servers of the imitated world: each reports what its script says, when it says so.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use firefly_domain::control::{Assignment, Report, ReportBody, Unsaved};
use firefly_domain::{ContainerId, Endpoint, Failure, FailureCode, Step};
use futures::StreamExt;
use futures::stream;
use http::StatusCode;
use rand::Rng;
use tokio::time::{Instant, sleep_until};

use super::latch::Latch;
use super::world::{Doing, Life, State, World};
use crate::control::{Error, ProjectServer, ProjectServers, Reports};
use crate::runtime::Serves;

/// A report, and when it comes.
#[derive(Clone, Debug)]
pub struct Line {
    at: Instant,
    report: Report,
}

pub struct Servers {
    world: Arc<World>,
    life: Life,
}

struct Server {
    world: Arc<World>,
    life: Life,
    endpoint: Endpoint,
    key: String,
}

impl Servers {
    pub fn new(world: &Arc<World>, life: Life) -> Self {
        Self {
            world: Arc::clone(world),
            life,
        }
    }
}

impl ProjectServers for Servers {
    fn at(&self, endpoint: &Endpoint, key: String) -> Box<dyn ProjectServer> {
        Box::new(Server {
            world: Arc::clone(&self.world),
            life: self.life,
            endpoint: endpoint.clone(),
            key,
        })
    }
}

impl Server {
    fn container(&self) -> ContainerId {
        let (id, _) = self.endpoint.as_str().split_once(':').unwrap();
        ContainerId::new(id)
    }

    fn refused(&self, what: &'static str) -> Error {
        Error::Refused {
            endpoint: self.endpoint.clone(),
            what,
            status: StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// A request to the program in the container.
    async fn ask<T>(
        &self,
        what: &'static str,
        answer: impl FnOnce(&mut State, &ContainerId) -> T,
    ) -> Result<T, Error> {
        let id = self.container();
        let answered = self.world.call(self.life, what, |state| {
            let runs = state
                .containers
                .get(&id)
                .is_some_and(|it| it.doing == Doing::Running && it.key.as_ref() == Some(&self.key));
            Ok(runs.then(|| answer(state, &id)))
        });
        match answered.await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) | Err(_) => Err(self.refused(what)),
        }
    }
}

#[async_trait]
impl ProjectServer for Server {
    async fn ping(&self) -> Result<(), Error> {
        self.ask("ping", |_, _| ()).await
    }

    async fn claim(&self, control_key: &str) -> Result<(), Error> {
        self.ask("hand over a key", |state, id| {
            let container = state.containers.get_mut(id).unwrap();
            container.key = Some(control_key.to_owned());
        })
        .await
    }

    async fn assign(&self, assignment: &Assignment) -> Result<(), Error> {
        self.ask("assign", |state, id| {
            if state.containers[id].script.is_empty() {
                let script = script(state, assignment);
                state.containers.get_mut(id).unwrap().script = script;
            }
        })
        .await
    }

    async fn reports(&self, after: u64) -> Result<Reports, Error> {
        let (script, over) = self
            .ask("follow", |state, id| {
                let container = &state.containers[id];
                (container.script.clone(), container.over.clone())
            })
            .await?;
        let breaks = {
            let mut state = self.world.state();
            let breaks = !state.is_calm() && state.rng.random_bool(0.2);
            breaks.then(|| state.rng.random_range(0..4))
        };
        let lines = script
            .into_iter()
            .filter(move |line| line.report.sequence > after);
        let lines: Vec<Line> = lines.take(breaks.unwrap_or(usize::MAX)).collect();
        let stream = stream::unfold(
            (lines.into_iter(), over, breaks.is_some()),
            |(mut lines, over, breaks)| async move {
                match lines.next() {
                    Some(line) if comes(&line, &over).await => {
                        Some((Ok(line.report), (lines, over, breaks)))
                    }
                    Some(_) => None,
                    None if breaks => None,
                    None => {
                        over.wait().await;
                        None
                    }
                }
            },
        );
        Ok(stream.boxed())
    }

    async fn shutdown(&self) -> Result<Unsaved, Error> {
        self.ask("shut down", |state, id| {
            let unsaved = match state.containers[id].serves {
                Serves::Project(project) => {
                    state.workspaces.get(&project).map_or(0, |it| it.unsaved)
                }
                Serves::Pool(_) => 0,
            };
            state.exit(id, 0, false);
            Unsaved {
                files: unsaved,
                commits: 0,
            }
        })
        .await
    }
}

/// Waits for a line; whether it came before the container's end.
async fn comes(line: &Line, over: &Latch) -> bool {
    tokio::select! {
        biased;
        () = over.wait() => false,
        () = sleep_until(line.at) => true,
    }
}

/// What a project-server will do with its assignment.
fn script(state: &mut State, assignment: &Assignment) -> Vec<Line> {
    let project = assignment.project.id();
    let resumed = state.workspaces.contains_key(&project);
    state.workspaces.entry(project).or_default();
    let source = if resumed {
        ReportBody::Resumed {
            branch: None,
            commit: None,
            duration_ms: 1,
        }
    } else {
        ReportBody::TemplateApplied {
            template: "starter".into(),
            commit: "c0ffee".into(),
            duration_ms: 1,
        }
    };
    let installed = ReportBody::Installed {
        packages: 1,
        reused: resumed,
        duration_ms: 1,
    };
    let mut bodies = vec![source, installed, ReportBody::Ready { duration_ms: 1 }];
    match state.rng.random_range(0..20) {
        0 => {
            bodies.truncate(1);
            bodies.push(ReportBody::Failed(Failure::new(
                Step::Install,
                FailureCode::InstallFailed,
                "npm is not amused",
            )));
        }
        // It never gets there.
        1 if !state.crowded => bodies.truncate(2),
        _ => {}
    }
    let mut at = Instant::now();
    let mut lines = Vec::new();
    for (body, sequence) in bodies.into_iter().zip(1..) {
        at += Duration::from_millis(state.rng.random_range(10..8_000));
        lines.push(Line {
            at,
            report: Report {
                sequence,
                generation: assignment.generation,
                body,
            },
        });
    }
    lines
}
