//! The read models say what the log says, however they came to be.

mod comparisons;
mod late;
mod rebuilds;
mod refused;
mod stopped;
mod together;

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
use firefly_read_models::{
    ActivityRow, Build, ContainerRow, ProjectRow, Row, SessionRow, WorkspaceRow,
};
use proptest::prelude::*;
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

    /// Projects the log into a SQLite database until its head, and stops.
    async fn project(&self, name: &str) -> Database {
        self.project_into(&self.url(name)).await
    }

    /// Projects the log into a database until its head, and stops.
    async fn project_into(&self, url: &str) -> Database {
        let read_models = firefly_read_models::open(url).await.unwrap();
        let projecting = self.projecting(&read_models).await;
        projecting.caught_up(&*self.store).await;
        projecting.stop().await;
        read_models
    }

    async fn projecting(&self, read_models: &Database) -> Projecting {
        let store = Arc::clone(&self.store);
        let projector = Projector::build(read_models.clone(), store).await.unwrap();
        let (progress, shutdown) = (projector.progress(), CancellationToken::new());
        let running = tokio::spawn(projector.run(shutdown.clone()));
        Projecting {
            progress,
            shutdown,
            running,
        }
    }

    fn url(&self, name: &str) -> String {
        format!("sqlite:{}", self.home.path().join(name).display())
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

/// A projector at work.
struct Projecting {
    progress: Progress,
    shutdown: CancellationToken,
    running: tokio::task::JoinHandle<()>,
}

impl Projecting {
    async fn caught_up(&self, store: &dyn EventStore) {
        let head = *store.head().borrow();
        let mut progress = self.progress.clone();
        tokio::time::timeout(DEADLINE, progress.reached(head))
            .await
            .expect("the projections do not catch up");
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.running.await.unwrap();
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
            occupied: choice.is_multiple_of(2),
            stable: choice.is_multiple_of(3),
        }),
        14 => report(Outcome::Exited {
            exit_code: None,
            oom: false,
            cause: ExitCause::Interrupted,
            occupied: choice.is_multiple_of(2),
            stable: choice.is_multiple_of(3),
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
async fn dump(read_models: &Database) -> Vec<String> {
    async fn lines<R: Row>(read_models: &Database) -> Vec<String> {
        let key = R::TABLE.columns[0].name;
        let rows = read_models
            .rows::<R>(&format!("ORDER BY \"{key}\""), &[])
            .await
            .unwrap();
        let shown = |row: &R| format!("{}: {}", R::TABLE.name, serde_json::to_string(row).unwrap());
        rows.iter().map(shown).collect()
    }
    let mut all = lines::<ProjectRow>(read_models).await;
    all.extend(lines::<SessionRow>(read_models).await);
    all.extend(lines::<ContainerRow>(read_models).await);
    all.extend(lines::<WorkspaceRow>(read_models).await);
    all.extend(lines::<ActivityRow>(read_models).await);
    all
}

/// A row of `projects`, as far as the aggregate knows it too.
async fn shown(
    read_models: &Database,
    key: &ProjectKey,
) -> Option<(String, i64, i64, Option<String>)> {
    let id = key.id().to_string();
    let rows = read_models
        .rows::<ProjectRow>("WHERE id = $1", &[id.into()])
        .await;
    let row = rows.unwrap().into_iter().next()?;
    Some((row.state, row.generation, row.unsaved_files, row.step))
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
    let rows = read_models
        .rows::<SessionRow>("ORDER BY id", &[])
        .await
        .unwrap();
    let ended: Vec<Option<&str>> = rows.iter().map(|row| row.end_reason.as_deref()).collect();
    assert_eq!(ended, [None, Some("signed-out")]);
    assert_eq!(rows[0].projects, format!("[\"{}\"]", key(2).id()));
}

/// Waits until the builds are as wished.
async fn until<T>(read_models: &Database, wished: impl Fn(&[Build]) -> Option<T>) -> T {
    let waiting = async {
        loop {
            let builds = read_models.builds().await.unwrap();
            if let Some(found) = wished(&builds) {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting)
        .await
        .expect("the builds do not become as wished")
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
    assert_eq!(dump(&read_models).await.len(), 9);
    let Database::Sqlite { pool, .. } = read_models else {
        panic!("they are in a SQLite file")
    };
    pool.close().await;
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
