//! What people ask for, and what misfortune adds.

use std::sync::Arc;

use firefly_domain::project::{Command, Event, Outcome, WakeCause};
use firefly_domain::{
    Actor, Aggregate, ContainerId, Generation, Project, ProjectKey, Segment, Session, Source, session,
};
use firefly_event_store::{CommandHandler, Context, StreamId, Wire};
use rand::Rng;
use rand::seq::IteratorRandom;
use uuid::Uuid;

use super::latch::Latch;
use super::log::{Log, LogOf};
use super::world::{Container, Doing, World};
use crate::runtime::Serves;
use firefly_domain::control::Unsaved;

/// Few enough to meet each other.
const PROJECTS: u64 = 3;

pub struct People {
    world: Arc<World>,
    log: Log,
    projects: CommandHandler<Project>,
    sessions: CommandHandler<Session>,
}

impl People {
    pub fn new(world: &Arc<World>, log: &Log) -> Self {
        Self {
            world: Arc::clone(world),
            log: log.clone(),
            projects: CommandHandler::new(Arc::new(LogOf::people(log))),
            sessions: CommandHandler::new(Arc::new(LogOf::people(log))),
        }
    }

    /// One thing happens.
    pub async fn act(&self) {
        let (what, project) = {
            let rng = &mut self.world.state().rng;
            (rng.random_range(0..100), rng.random_range(0..PROJECTS))
        };
        let key = ProjectKey::new("alice", "montage", &format!("app{project}")).unwrap();
        match what {
            0..28 => self.ask(&key, open(&key)).await,
            28..35 => self.ask(&key, Command::Wake(WakeCause::Preview)).await,
            35..50 => self.ask(&key, Command::Close).await,
            50..58 => self.ask(&key, Command::Restart).await,
            58..66 => {
                self.ask(
                    &key,
                    Command::Delete {
                        force: what % 2 == 0,
                    },
                )
                .await
            }
            66..74 => self.work(&key).await,
            74..84 => self.a_container_ends(),
            84..90 => self.world.engine_fails(),
            90..92 => self.world.kill(),
            92..95 => self.world.pause(),
            95 => self.a_stranger_comes(&key),
            96..98 => self.join(&key).await,
            _ => self.every_container_ends(),
        }
    }

    /// Somebody has a project in hand from here on: if it crashes, it comes back.
    async fn join(&self, key: &ProjectKey) {
        let context = Context::new(Actor::User(key.user.clone()), Uuid::nil());
        let started = session::Command::Start {
            user: key.user.clone(),
            client: "imitation".into(),
        };
        // It may have been started before.
        let _ = self.sessions.handle(&Uuid::nil(), started, &context).await;
        let command = session::Command::Join(key.id());
        let joined = self.sessions.handle(&Uuid::nil(), command, &context).await;
        let mut state = self.world.state();
        state.note(format_args!("somebody joins {key}: {}", joined.is_ok()));
    }

    async fn ask(&self, key: &ProjectKey, command: Command) {
        let told = format!("{key}: {command:?}");
        let forced = matches!(command, Command::Delete { force: true });
        let context = Context::new(Actor::User(Segment::parse("alice").unwrap()), Uuid::nil());
        let handled = self
            .projects
            .handle(key.id().as_uuid(), command, &context)
            .await;
        let mut state = self.world.state();
        match handled {
            Ok(handled) => {
                state.note(format_args!("{told}: {} events", handled.events.len()));
                if forced && !handled.events.is_empty() {
                    state.forced.insert(key.id());
                } else if told.contains("Open {") && !handled.events.is_empty() {
                    state.forced.remove(&key.id());
                }
            }
            Err(error) => state.note(format_args!("{told}: {error:?}")),
        }
    }

    /// Somebody works in a container: there is something to lose, and its project-server says so, or not yet.
    async fn work(&self, key: &ProjectKey) {
        let generation = self.generation(key);
        let generation = {
            let mut state = self.world.state();
            let here = |it: &Container| it.is_of(key.id()) && it.doing == Doing::Running;
            if !state.containers.values().any(here) {
                return;
            }
            let unsaved = state.rng.random_range(0..2);
            let Some(workspace) = state.workspaces.get_mut(&key.id()) else {
                return;
            };
            workspace.unsaved = unsaved;
            state.note(format_args!("{key} has {unsaved} unsaved files"));
            state.rng.random_bool(0.5).then_some((generation, unsaved))
        };
        if let Some((generation, files)) = generation {
            self.report(key, generation, Unsaved { files, commits: 0 })
                .await;
        }
    }

    /// The latest opening of a project.
    fn generation(&self, key: &ProjectKey) -> Generation {
        let stream = StreamId::of(Project::CATEGORY, key.id().as_uuid());
        let events = self.log.events_from(0);
        let openings = events.iter().rev().filter(|it| it.stream == stream);
        let latest = openings
            .filter_map(|it| Project::decode(it).ok())
            .find_map(|event| match event {
                Event::Opened(opened) => Some(opened.generation),
                _ => None,
            });
        latest.unwrap_or(Generation::NONE)
    }

    async fn report(&self, key: &ProjectKey, generation: Generation, unsaved: Unsaved) {
        let outcome = Outcome::UnsavedWork(unsaved);
        self.ask(
            key,
            Command::Report {
                generation,
                outcome,
            },
        )
        .await;
    }

    fn a_container_ends(&self) {
        let mut state = self.world.state();
        let state = &mut *state;
        let running = state
            .containers
            .iter()
            .filter(|(_, it)| it.doing.is_alive());
        let Some(id) = running.map(|(id, _)| id.clone()).choose(&mut state.rng) else {
            return;
        };
        match state.rng.random_range(0..3) {
            0 => state.exit(&id, 1, false),
            1 => state.exit(&id, 137, true),
            _ if state.containers[&id].foreign => {}
            _ => state.remove(&id),
        }
    }

    /// The engine is restarted, or its host.
    fn every_container_ends(&self) {
        let mut state = self.world.state();
        state.note("every container ends");
        for id in state.containers.keys().cloned().collect::<Vec<_>>() {
            state.exit(&id, 255, false);
        }
    }

    /// Somebody else runs a container that looks like one of ours.
    fn a_stranger_comes(&self, key: &ProjectKey) {
        let mut state = self.world.state();
        let id = ContainerId::new(format!("s{}", state.next()));
        state.note(format_args!("{id} is somebody else's"));
        state.containers.insert(
            id,
            Container {
                serves: Serves::Project(key.id()),
                foreign: true,
                doing: Doing::Running,
                key: None,
                script: Vec::new(),
                over: Latch::default(),
            },
        );
    }
}

fn open(key: &ProjectKey) -> Command {
    Command::Open {
        key: key.clone(),
        source: Source::Template(Segment::parse("starter").unwrap()),
        branch: None,
    }
}
