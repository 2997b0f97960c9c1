//! The read models say what the log says, however they came to be.

use std::time::Duration;

use firefly_domain::control::Unsaved;
use firefly_domain::project::{Command, ExitCause, Outcome, State};
use firefly_domain::session::{self, EndReason};
use firefly_domain::{
    Actor, Aggregate, ContainerId, Endpoint, EventId, Failure, FailureCode, Generation, Project,
    ProjectKey, Segment, Session, Source, Step,
};
use firefly_event_store::sqlite::SqliteEventStore;
use firefly_event_store::{
    Context, Expected, Metadata, NewEvent, Revision, StreamId, Wire, handle,
};
use proptest::prelude::*;
use sqlx::Row;
use uuid::Uuid;

use super::*;

/// Long enough for a loaded machine; reached only by a test that fails.
const DEADLINE: Duration = Duration::from_secs(20);

struct Setup {
    home: tempfile::TempDir,
    store: Arc<dyn EventStore>,
}

impl Setup {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = SqliteEventStore::open(&home.path().join("events.db"))
            .await
            .unwrap();
        Self {
            home,
            store: Arc::new(store),
        }
    }

    /// Projects the log into a database until its head, and stops.
    async fn project(&self, name: &str) -> SqlitePool {
        let read_models = open(&self.home.path().join(name)).await.unwrap();
        let projector = Projector::build(
            Config {
                read_models: read_models.clone(),
            },
            Arc::clone(&self.store),
        )
        .await
        .unwrap();
        let (mut progress, shutdown) = (projector.progress(), CancellationToken::new());
        let running = tokio::spawn(projector.run(shutdown.clone()));
        let head = *self.store.head().borrow();
        tokio::time::timeout(DEADLINE, progress.reached(head))
            .await
            .unwrap();
        shutdown.cancel();
        running.await.unwrap();
        read_models
    }

    async fn command(&self, key: &ProjectKey, command: Command) {
        let context = Context::new(Actor::Anonymous, Uuid::new_v4());
        // A refused command is part of the game: it must leave no trace.
        let _ = handle::<Project>(&*self.store, key.id().as_uuid(), command, &context).await;
    }

    async fn state(&self, key: &ProjectKey) -> State {
        let stream = StreamId::of(Project::CATEGORY, key.id().as_uuid());
        let events = self
            .store
            .read_stream(&stream, Revision::FIRST, 4_000)
            .await
            .unwrap();
        events.iter().fold(State::default(), |state, event| {
            Project::evolve(state, &Project::decode(event).unwrap())
        })
    }
}

fn key(number: u8) -> ProjectKey {
    ProjectKey::new("alice", "montage", &format!("app{number}")).unwrap()
}

/// One of the things that can be asked of, or reported to, a project.
fn command(key: &ProjectKey, choice: u8, generation: u64) -> Command {
    let report = |outcome| Command::Report {
        generation: Generation::new(generation),
        outcome,
    };
    let duration_ms = 5;
    match choice % 21 {
        0 | 1 => Command::Open {
            key: key.clone(),
            source: Source::Template(Segment::parse("starter").unwrap()),
            branch: None,
        },
        2 => Command::Close,
        3 => Command::Restart,
        4 => Command::Delete { force: false },
        5 => Command::Delete { force: true },
        6 | 7 => report(Outcome::ContainerStarted {
            container: ContainerId::new(format!("c{generation}")),
            image: "image".into(),
            from_pool: false,
            duration_ms,
        }),
        8 | 9 => report(Outcome::Resumed {
            branch: None,
            commit: None,
            duration_ms,
        }),
        10 => report(Outcome::Installed {
            packages: 3,
            reused: false,
            duration_ms,
        }),
        11 => report(Outcome::Ready {
            endpoint: Endpoint::new("h:1"),
            duration_ms,
        }),
        12 => report(Outcome::Failed(Failure::new(
            Step::Install,
            FailureCode::InstallFailed,
            "npm says no",
        ))),
        13 => report(Outcome::Exited {
            exit_code: Some(1),
            oom: false,
            cause: ExitCause::Crashed,
        }),
        14 => report(Outcome::Exited {
            exit_code: None,
            oom: false,
            cause: ExitCause::Interrupted,
        }),
        15 => report(Outcome::ContainerRemoved),
        16 => report(Outcome::UnsavedWork(Unsaved {
            files: u64::from(choice % 3),
            commits: 0,
        })),
        17 => report(Outcome::WorkspaceDeleted),
        18 => report(Outcome::WorkspaceKept(Unsaved {
            files: 1,
            commits: 1,
        })),
        19 => report(Outcome::DeletionFailed {
            force: choice.is_multiple_of(2),
            detail: "no".into(),
        }),
        _ => report(Outcome::Cloned {
            branch: "main".into(),
            commit: "c0ffee".into(),
            duration_ms,
        }),
    }
}

/// Everything in the read models that follows from the log.
async fn dump(read_models: &SqlitePool) -> Vec<String> {
    let mut lines = Vec::new();
    for (table, order) in [
        ("projects", "id"),
        ("sessions", "id"),
        ("session_projects", "session, project"),
        ("containers", "project, generation"),
    ] {
        let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info(?)")
            .bind(table)
            .fetch_all(read_models)
            .await
            .unwrap();
        let fields: Vec<String> = columns
            .iter()
            .map(|column| format!("quote({column})"))
            .collect();
        let query = format!(
            "SELECT {} FROM {table} ORDER BY {order}",
            fields.join(" || ',' || ")
        );
        for row in sqlx::query(sqlx::AssertSqlSafe(query))
            .fetch_all(read_models)
            .await
            .unwrap()
        {
            lines.push(format!("{table}: {}", row.get::<String, _>(0)));
        }
    }
    lines
}

/// A row of `projects`, as far as the aggregate knows it too.
async fn shown(
    read_models: &SqlitePool,
    key: &ProjectKey,
) -> Option<(String, i64, i64, Option<String>)> {
    sqlx::query_as("SELECT state, generation, unsaved_files, step FROM projects WHERE id = ?")
        .bind(key.id().to_string())
        .fetch_optional(read_models)
        .await
        .unwrap()
}

fn expected(state: &State) -> Option<(String, i64, i64, Option<String>)> {
    use firefly_domain::project::Phase;

    let known = state.known()?;
    let step = match &known.phase {
        Phase::Opening { step, .. } => Some(step.to_string()),
        _ => None,
    };
    let generation = known.generation.number().cast_signed();
    Some((
        known.phase.name().to_owned(),
        generation,
        known.unsaved.files.cast_signed(),
        step,
    ))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever happens to projects, their rows say what their aggregates say; and a projection that stops in the middle
    /// and goes on gives the same rows as one that starts over.
    #[test]
    fn rows_follow_the_log(choices in prop::collection::vec((0_u8..3, any::<u8>(), 1_u64..4), 1..60)) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let setup = Setup::new().await;
            let half = choices.len() / 2;
            for (index, (project, choice, generation)) in choices.iter().enumerate() {
                if index == half {
                    setup.project("in-two-parts.db").await;
                }
                let key = key(*project);
                setup.command(&key, command(&key, *choice, *generation)).await;
            }
            let at_once = setup.project("at-once.db").await;
            let in_two_parts = setup.project("in-two-parts.db").await;
            assert_eq!(dump(&at_once).await, dump(&in_two_parts).await);
            for number in 0..3 {
                let key = key(number);
                assert_eq!(shown(&at_once, &key).await, expected(&setup.state(&key).await), "{key}");
            }
        });
    }
}

#[tokio::test]
async fn a_workspace_made_while_closing_shows_no_step_at_work() {
    let setup = Setup::new().await;
    let key = key(1);
    for command in [
        command(&key, 0, 1),
        command(&key, 6, 1),
        Command::Close,
        command(&key, 20, 1),
    ] {
        setup.command(&key, command).await;
    }
    let read_models = setup.project("read-models.db").await;
    let row = shown(&read_models, &key).await;
    assert_eq!(row, Some(("closing".into(), 1, 0, None)));
    assert_eq!(row, expected(&setup.state(&key).await));
}

#[tokio::test]
async fn sessions_and_their_projects_are_listed() {
    let setup = Setup::new().await;
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    let context = Context::new(Actor::Anonymous, Uuid::new_v4());
    for (session, command) in [
        (
            first,
            session::Command::Start {
                user: Segment::parse("alice").unwrap(),
                client: "console".into(),
            },
        ),
        (
            second,
            session::Command::Start {
                user: Segment::parse("alice").unwrap(),
                client: "console".into(),
            },
        ),
        (first, session::Command::Join(key(1).id())),
        (first, session::Command::Join(key(2).id())),
        (first, session::Command::Leave(key(1).id())),
        (second, session::Command::End(EndReason::SignedOut)),
    ] {
        handle::<Session>(&*setup.store, &session, command, &context)
            .await
            .unwrap();
    }
    let read_models = setup.project("read-models.db").await;
    let ended: Vec<Option<String>> =
        sqlx::query_scalar("SELECT end_reason FROM sessions ORDER BY id")
            .fetch_all(&read_models)
            .await
            .unwrap();
    assert_eq!(ended, [None, Some("signed-out".to_owned())]);
    let joined: Vec<String> = sqlx::query_scalar("SELECT project FROM session_projects")
        .fetch_all(&read_models)
        .await
        .unwrap();
    assert_eq!(joined, [key(2).id().to_string()]);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_stops_its_projection_and_says_so() {
    let setup = Setup::new().await;
    let opening = command(&key(1), 0, 1);
    setup.command(&key(1), opening).await;
    let poison = NewEvent {
        id: EventId::from_uuid(Uuid::now_v7()),
        event_type: "ProjectPainted".into(),
        schema_version: 1,
        data: serde_json::value::RawValue::from_string("{}".into()).unwrap(),
        metadata: Metadata {
            actor: Actor::Anonymous,
            correlation_id: Uuid::new_v4(),
            causation_id: None,
            traceparent: None,
            idempotency: None,
        },
        recorded_at: None,
    };
    let stream = StreamId::of(Project::CATEGORY, key(1).id().as_uuid());
    setup
        .store
        .append(&stream, Expected::Exact(Revision::FIRST), vec![poison])
        .await
        .unwrap();

    let read_models = open(&setup.home.path().join("read-models.db"))
        .await
        .unwrap();
    let projector = Projector::build(
        Config {
            read_models: read_models.clone(),
        },
        Arc::clone(&setup.store),
    )
    .await
    .unwrap();
    let (mut progress, shutdown) = (projector.progress(), CancellationToken::new());
    let running = tokio::spawn(projector.run(shutdown.clone()));
    // Only those that need the event stop; the others go on to the end.
    let sessions = progress.0.remove(1);
    let wait = async move {
        Progress(vec![sessions])
            .reached(*setup.store.head().borrow())
            .await
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap();
    let failed = async {
        let query = "SELECT count(*) FROM checkpoints WHERE failure IS NOT NULL";
        while sqlx::query_scalar::<_, i64>(query)
            .fetch_one(&read_models)
            .await
            .unwrap()
            < 2
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, failed).await.unwrap();
    assert!(
        !running.is_finished(),
        "a stopped projection ended the projector"
    );
    shutdown.cancel();
    running.await.unwrap();
    let (position, failure): (i64, Option<String>) =
        sqlx::query_as("SELECT position, failure FROM checkpoints WHERE projection = 'projects'")
            .fetch_one(&read_models)
            .await
            .unwrap();
    assert_eq!(position, 1, "what came before the event is projected");
    let failure = failure.unwrap();
    for part in ["position 2", "ProjectPainted", "version 1"] {
        assert!(failure.contains(part), "{failure}");
    }
}

#[tokio::test]
async fn read_models_of_another_log_are_made_anew() {
    let (first, second) = (Setup::new().await, Setup::new().await);
    for number in 1..=3 {
        first
            .command(&key(number), command(&key(number), 0, 1))
            .await;
    }
    let read_models = first.project("read-models.db").await;
    assert_eq!(dump(&read_models).await.len(), 3);
    read_models.close().await;
    std::fs::copy(
        first.home.path().join("read-models.db"),
        second.home.path().join("read-models.db"),
    )
    .unwrap();

    for number in 4..=7 {
        second
            .command(&key(number), command(&key(number), 0, 1))
            .await;
    }
    let moved = second.project("read-models.db").await;
    let fresh = second.project("fresh.db").await;
    assert_eq!(dump(&moved).await, dump(&fresh).await);
}
