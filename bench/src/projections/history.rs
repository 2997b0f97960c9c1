//! What happens to projects, over and over: opened, made ready, worked on and closed.

use firefly_domain::control::Unsaved;
use firefly_domain::project::event::{
    Closed, ContainerRemoved, ContainerStarted, DependenciesInstalled, Opened, Ready,
    RepositoryCloned, UnsavedWorkChanged,
};
use firefly_domain::project::{CloseReason, Event, OpenCause};
use firefly_domain::{
    Actor, Aggregate, ContainerId, Endpoint, EventId, Generation, GitUrl, Project, ProjectKey,
    Source,
};
use firefly_event_store::store::{Append, EVENTS_PER_APPEND_MAX};
use firefly_event_store::{
    EventStore, Expected, Metadata, NewEvent, Position, Revision, StreamId, Wire,
};
use uuid::Uuid;

/// Events of one project.
const LIFE: usize = 8;

/// Users that projects belong to.
const USERS: usize = 1_000;

/// Makes up what happens.
#[derive(Default)]
pub struct History {
    projects: usize,
    /// What is still to happen to the last project, one by one.
    rest: Vec<(StreamId, Expected, NewEvent)>,
}

impl History {
    /// Appends whole lives of projects, in as few commits as may be.
    pub async fn append(&mut self, store: &dyn EventStore, events: usize) -> anyhow::Result<()> {
        let mut left = events / LIFE;
        while left > 0 {
            let lives = left.min(EVENTS_PER_APPEND_MAX / LIFE);
            let appends = (0..lives).map(|_| {
                let (stream, events) = self.life();
                Append {
                    stream,
                    expected: Expected::NoStream,
                    events,
                }
            });
            store.append_in_order(appends.collect()).await?;
            left -= lives;
        }
        Ok(())
    }

    /// Appends the next event of the last project, or the first of a new one.
    pub async fn append_one(&mut self, store: &dyn EventStore) -> anyhow::Result<Position> {
        if self.rest.is_empty() {
            let (stream, events) = self.life();
            let step = |(number, event): (usize, NewEvent)| {
                let before = (number as u64).checked_sub(1).map(Revision::new);
                (stream.clone(), Expected::after(before), event)
            };
            self.rest = events.into_iter().enumerate().map(step).rev().collect();
        }
        let Some((stream, expected, event)) = self.rest.pop() else {
            anyhow::bail!("a project has no events");
        };
        let appended = store.append(&stream, expected, vec![event]).await?;
        Ok(appended.position)
    }

    fn life(&mut self) -> (StreamId, Vec<NewEvent>) {
        self.projects += 1;
        let user = format!("user{}", self.projects % USERS);
        let key = ProjectKey::new(&user, "montage", &format!("app{}", self.projects));
        let key = key.expect("these are names");
        let stream = StreamId::of(Project::CATEGORY, key.id().as_uuid());
        let correlation_id = Uuid::now_v7();
        let new = |event: &Event| {
            let encoded = Project::encode(event);
            NewEvent {
                id: EventId::from_uuid(Uuid::now_v7()),
                event_type: encoded.event_type.to_owned(),
                schema_version: encoded.schema_version,
                data: encoded.data,
                metadata: Metadata {
                    actor: Actor::System("bench".into()),
                    correlation_id,
                    causation_id: None,
                    traceparent: None,
                    idempotency: None,
                },
                recorded_at: None,
            }
        };
        let events = life_of(key, self.projects).iter().map(new).collect();
        (stream, events)
    }
}

fn life_of(key: ProjectKey, number: usize) -> [Event; LIFE] {
    let generation = Generation::new(1);
    let url = GitUrl::parse("https://host/montage/app.git").expect("it is a URL");
    [
        Event::Opened(Opened {
            generation,
            key,
            source: Source::Git(url),
            branch: None,
            cause: OpenCause::Asked,
        }),
        Event::ContainerStarted(ContainerStarted {
            generation,
            container: ContainerId::new(format!("container-{number}")),
            image: "firefly-project:1a2b3c".into(),
            from_pool: false,
            kept: false,
            duration_ms: 248,
        }),
        Event::RepositoryCloned(RepositoryCloned {
            generation,
            branch: "main".into(),
            commit: "9fceb02d0ae598e95dc970b74767f19372d61af8".into(),
            duration_ms: 930,
        }),
        Event::DependenciesInstalled(DependenciesInstalled {
            generation,
            packages: 212,
            reused: false,
            duration_ms: 3_341,
        }),
        Event::Ready(Ready {
            generation,
            endpoint: Endpoint::new("172.17.0.2:8080"),
            duration_ms: 4_500,
        }),
        Event::UnsavedWorkChanged(UnsavedWorkChanged {
            generation,
            unsaved: Unsaved {
                files: 3,
                commits: 0,
            },
        }),
        Event::Closed(Closed {
            generation,
            reason: CloseReason::User,
            force: false,
        }),
        Event::ContainerRemoved(ContainerRemoved { generation }),
    ]
}
