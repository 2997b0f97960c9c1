//! What only the database finds fault with stops a projection; a database that fails does not.

use firefly_domain::project::Event;
use firefly_domain::project::OpenCause;
use firefly_domain::project::event::{
    ContainerStarted, Opened, RepositoryCloned, UnsavedWorkChanged,
};
use firefly_domain::projection;
use firefly_read_models::builds::Status;

use super::rebuilds::{Places, execute};
use super::*;
use crate::error::chain;
use crate::feed::Page;
use crate::writer::{Taken, Writer};

/// Errors that PostgreSQL gives for what may be otherwise the next time: connections, locks, deadlocks, disks, memory, time
/// limits, a server that ends, a read-only one, files that cannot be read, and whatever it cannot explain.
const TRANSIENT: [&str; 12] = [
    "08006", "40001", "40P01", "53100", "53200", "53300", "55P03", "57014", "57P01", "25006",
    "58030", "XX000",
];

/// Events of a project as somebody else may have written them; what commands take is checked before.
async fn append(setup: &Setup, key: &ProjectKey, events: &[Event]) -> Vec<EventId> {
    let new = events.iter().map(|event| {
        let encoded = Project::encode(event);
        NewEvent {
            id: EventId::from_uuid(Uuid::now_v7()),
            event_type: encoded.event_type.to_owned(),
            schema_version: encoded.schema_version,
            data: encoded.data,
            metadata: Metadata {
                actor: Actor::Anonymous,
                correlation_id: Uuid::new_v4(),
                causation_id: None,
                traceparent: None,
                idempotency: None,
            },
            recorded_at: None,
        }
    });
    let new: Vec<NewEvent> = new.collect();
    let ids = new.iter().map(|event| event.id).collect();
    let stream = StreamId::of(Project::CATEGORY, key.id().as_uuid());
    let appended = setup.store.append(&stream, Expected::NoStream, new).await;
    appended.unwrap();
    ids
}

/// A project's life with a branch that is checked out in it.
fn life(key: &ProjectKey, branch: &str, files: u64) -> [Event; 4] {
    let generation = Generation::new(1);
    [
        Event::Opened(Opened {
            generation,
            key: key.clone(),
            source: Source::Template(Segment::parse("starter").unwrap()),
            branch: None,
            cause: OpenCause::Asked,
        }),
        Event::ContainerStarted(ContainerStarted {
            generation,
            container: ContainerId::new("c"),
            image: "image".into(),
            from_pool: false,
            kept: false,
            duration_ms: 5,
        }),
        Event::RepositoryCloned(RepositoryCloned {
            generation,
            branch: branch.to_owned(),
            commit: "c0ffee".into(),
            duration_ms: 5,
        }),
        Event::UnsavedWorkChanged(UnsavedWorkChanged {
            generation,
            unsaved: Unsaved { files, commits: 0 },
        }),
    ]
}

fn live(builds: &[Build], projection: &str) -> Build {
    let is_it = |build: &&Build| build.projection == projection && build.status == Status::Live;
    builds.iter().find(is_it).cloned().unwrap()
}

/// `workspaces` takes no row with a branch of that name.
async fn refuse_branch(read_models: &Database, branch: &'static str) {
    let statement = match read_models {
        Database::Sqlite { .. } => format!(
            "CREATE TRIGGER refuses BEFORE INSERT ON workspaces_1 WHEN NEW.branch = '{branch}' \
             BEGIN SELECT RAISE(ABORT, 'no such branch here'); END"
        ),
        Database::Postgres { .. } => {
            format!("ALTER TABLE workspaces_1 ADD CONSTRAINT refuses CHECK (branch <> '{branch}')")
        }
    };
    execute(read_models, statement).await;
}

async fn skip(setup: &Setup, read_models: &Database, name: &str, event: EventId, position: u64) {
    let command = projection::Command::Skip {
        projection: name.to_owned(),
        event,
        position,
        reason: "nobody needs that branch".into(),
    };
    let context = Context::new(Actor::Anonymous, Uuid::new_v4());
    let id = firefly_domain::Projection::id(name);
    let handled = handle::<firefly_domain::Projection>(&*setup.store, &id, command, &context).await;
    handled.unwrap();
    assert!(read_models.retry(name).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_the_database_refuses_stops_at_its_event_and_can_be_retried_and_skipped() {
    let places = Places::new();
    for url in places.urls() {
        let setup = Setup::new().await;
        let read_models = setup.project_into(&url).await;
        refuse_branch(&read_models, "painted").await;
        // The tables are there and empty, and all comes in one page.
        let mut painted = None;
        for number in 0..40 {
            let branch = if number == 23 { "painted" } else { "main" };
            let ids = append(&setup, &key(number), &life(&key(number), branch, 1)).await;
            if number == 23 {
                painted = Some(ids[2]);
            }
        }
        let painted = painted.unwrap();
        let projecting = setup.projecting(&read_models).await;
        let stopped = |builds: &[Build]| {
            let build = live(builds, "workspaces");
            build.failure.is_some().then_some(build)
        };
        let found = until(&read_models, stopped).await;
        assert_eq!(found.failed_event, Some(painted.to_string()));
        assert_eq!(found.failed_position, Some(23 * 4 + 3));
        assert_eq!(found.position, 23 * 4 + 2, "what came before it is there");
        let reason = found.failure.unwrap();
        assert!(reason.starts_with("workspaces cannot hold"), "{reason}");
        let said = ["no such branch here", "refuses"];
        assert!(said.iter().any(|said| reason.contains(said)), "{reason}");
        let rows = read_models.rows::<WorkspaceRow>("", &[]).await.unwrap();
        assert_eq!(rows.len(), 24);
        // The others go on.
        let head = *setup.store.head().borrow();
        let mut activity = Progress(vec![projecting.progress.0[4].clone()]);
        let reached = tokio::time::timeout(DEADLINE, activity.reached(head)).await;
        reached.unwrap();

        // Trying again stops at the same event; once it may be written it is.
        assert!(read_models.retry("workspaces").await.unwrap());
        let again = until(&read_models, stopped).await;
        assert_eq!(again.failed_event, Some(painted.to_string()));
        skip(&setup, &read_models, "workspaces", painted, 23 * 4 + 3).await;
        projecting.caught_up(&*setup.store).await;
        let rows = read_models
            .rows::<WorkspaceRow>("ORDER BY project", &[])
            .await
            .unwrap();
        assert_eq!(rows.len(), 40);
        let without = rows.iter().filter(|row| row.branch.is_none()).count();
        assert_eq!(without, 1, "only that event is passed over");
        projecting.stop().await;
        // A new build passes it over, too, though it could take it.
        let fresh = setup.project("fresh.db").await;
        assert_eq!(dump(&fresh).await, dump(&read_models).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_postgres_cannot_hold_stops_its_projections_and_a_rebuild() {
    let (setup, places) = (Setup::new().await, Places::new());
    let [_, postgres] = places.urls();
    append(&setup, &key(1), &life(&key(1), "main", 1)).await;
    let ids = append(&setup, &key(2), &life(&key(2), "ma\0in", 1)).await;
    append(&setup, &key(3), &life(&key(3), "main", u64::MAX)).await;
    let read_models = firefly_read_models::open(&postgres).await.unwrap();
    let projecting = setup.projecting(&read_models).await;
    let build = until(&read_models, |builds| {
        let build = live(builds, "workspaces");
        build.failure.is_some().then_some(build)
    })
    .await;
    assert_eq!(build.failed_event, Some(ids[2].to_string()));
    let reason = build.failure.unwrap();
    assert!(reason.contains("0x00"), "{reason}");

    let asked = read_models.ask_for(projections()[3], setup.store.id(), Status::Building);
    let asked = asked.await.unwrap().unwrap();
    let rebuild = until(&read_models, |builds| {
        let is_it = |build: &&Build| build.build == asked.build && build.projection == "workspaces";
        let build = builds.iter().find(is_it)?.clone();
        build.failure.is_some().then_some(build)
    })
    .await;
    assert_eq!(rebuild.failed_event, Some(ids[2].to_string()));
    assert_eq!(rebuild.position, build.position);

    skip(&setup, &read_models, "workspaces", ids[2], 7).await;
    projecting.caught_up(&*setup.store).await;
    projecting.stop().await;
    let rows = read_models
        .rows::<WorkspaceRow>("ORDER BY unsaved_files", &[])
        .await
        .unwrap();
    // More than a table can count is as much as it can.
    assert_eq!(rows.last().unwrap().unsaved_files, i64::MAX);
    assert_eq!(
        dump(&setup.project("fresh.db").await).await,
        dump(&read_models).await
    );
}

/// A writer of the live build of `workspaces`, and all there is in the log.
async fn writing(setup: &Setup, read_models: &Database) -> (Writer<workspaces::Workspaces>, Page) {
    let build = live(&read_models.builds().await.unwrap(), "workspaces");
    let writer = Writer::new(read_models.clone(), build, None, [].into());
    let events = setup.store.read_all(writer.position(), 4_000).await;
    (writer, Page::new(events.unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_fails_for_a_while_is_never_taken_for_an_event_that_is_wrong() {
    let (setup, places) = (Setup::new().await, Places::new());
    let [_, postgres] = places.urls();
    let read_models = setup.project_into(&postgres).await;
    for statement in [
        "CREATE TABLE failing (code text)",
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF EXISTS (SELECT FROM failing) THEN \
         RAISE EXCEPTION 'for a while' USING ERRCODE = (SELECT code FROM failing); END IF; RETURN NEW; END $$",
        "CREATE TRIGGER fails BEFORE INSERT OR UPDATE ON workspaces_1 FOR EACH ROW EXECUTE FUNCTION fail()",
    ] {
        execute(&read_models, statement).await;
    }
    append(&setup, &key(1), &life(&key(1), "main", 1)).await;
    let (mut writer, page) = writing(&setup, &read_models).await;
    for code in TRANSIENT {
        execute(
            &read_models,
            format!("INSERT INTO failing VALUES ('{code}')"),
        )
        .await;
        let failed = writer.take(&page).await.unwrap_err();
        assert!(
            chain(&failed).contains("for a while"),
            "{code}: {}",
            chain(&failed)
        );
        execute(&read_models, "DELETE FROM failing").await;
    }
    let build = live(&read_models.builds().await.unwrap(), "workspaces");
    assert_eq!((build.position, build.failure), (0, None));
    assert_eq!(writer.take(&page).await.unwrap(), Taken::All);

    // So is a connection that is cut.
    let projecting = setup.projecting(&read_models).await;
    projecting.caught_up(&*setup.store).await;
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
    execute(&read_models, cut).await;
    append(&setup, &key(2), &life(&key(2), "main", 1)).await;
    projecting.caught_up(&*setup.store).await;
    let builds = read_models.builds().await.unwrap();
    assert!(
        builds.iter().all(|build| build.failure.is_none()),
        "{builds:?}"
    );
    projecting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sqlite_file_that_is_full_or_locked_is_never_taken_for_an_event_that_is_wrong() {
    let setup = Setup::new().await;
    let Database::Sqlite { pool, .. } = setup.project("read-models.db").await else {
        panic!("they are in a SQLite file")
    };
    // One connection, whose limits hold for all that is done.
    let options = (*pool.connect_options())
        .clone()
        .busy_timeout(Duration::ZERO);
    let single = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
    let single = single.connect_with(options).await.unwrap();
    let read_models = Database::Sqlite {
        pool: single.clone(),
        writer: single,
        writing: Arc::default(),
        committed: Arc::default(),
    };
    for number in 0..60 {
        append(
            &setup,
            &key(number),
            &life(&key(number), &"x".repeat(4_000), 1),
        )
        .await;
    }
    let (mut writer, page) = writing(&setup, &read_models).await;
    execute(&read_models, "PRAGMA max_page_count = 1").await;
    let failed = writer.take(&page).await.unwrap_err();
    assert!(chain(&failed).contains("full"), "{}", chain(&failed));
    execute(&read_models, "PRAGMA max_page_count = 1000000").await;

    let other = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let failed = writer.take(&page).await.unwrap_err();
    assert!(chain(&failed).contains("locked"), "{}", chain(&failed));
    other.rollback().await.unwrap();

    let build = live(&read_models.builds().await.unwrap(), "workspaces");
    assert_eq!((build.position, build.failure), (0, None));
    assert_eq!(writer.take(&page).await.unwrap(), Taken::All);
    let rows = read_models.rows::<WorkspaceRow>("", &[]).await.unwrap();
    assert_eq!(rows.len(), 60);
}
