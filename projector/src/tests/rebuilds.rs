//! Rebuilding beside the live build, on both databases.

use firefly_read_models::builds::Status;

use super::*;

#[path = "../../../tests/support/postgres.rs"]
mod server;

use server::Postgres;

/// A place for read models on each database.
pub(super) struct Places {
    home: tempfile::TempDir,
    server: Postgres,
}

impl Places {
    pub(super) fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            server: Postgres::start(),
        }
    }

    pub(super) fn urls(&self) -> [String; 2] {
        let file = self.home.path().join("read-models.db");
        [format!("sqlite:{}", file.display()), self.server.url()]
    }
}

/// A log in which much has happened to a few projects.
pub(super) async fn eventful() -> Setup {
    let setup = Setup::new().await;
    for number in 0..3 {
        setup
            .command(&key(number), command(&key(number), 0, 1))
            .await;
    }
    for round in 0..40_u64 {
        for number in 0..3 {
            let (key, generation) = (key(number), round / 10 + 1);
            let choice = u8::try_from((round * 7 + u64::from(number)) % 21).unwrap();
            setup.command(&key, command(&key, choice, generation)).await;
        }
    }
    setup
}

pub(super) fn projects() -> firefly_read_models::builds::Projected {
    projections()[0]
}

fn is_done(builds: &[Build]) -> Option<()> {
    let live = |build: &Build| build.projection == "projects" && build.status == Status::Live;
    let at_work = |build: &Build| matches!(build.status, Status::Building | Status::Verifying);
    (builds.iter().any(live) && !builds.iter().any(at_work)).then_some(())
}

fn is_live(builds: &[Build], number: i64) -> Option<()> {
    let is_it = |build: &Build| {
        build.projection == "projects" && build.status == Status::Live && build.build == number
    };
    builds.iter().any(is_it).then_some(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_version_or_log_left_half_made_is_not_gone_on_with() {
    let (setup, places) = (eventful().await, Places::new());
    for url in places.urls() {
        let read_models = setup.project_into(&url).await;
        let before = dump(&read_models).await;
        for change in [
            "UPDATE builds SET version = 0 WHERE status = 'building'",
            "UPDATE builds SET log = '00000000-0000-0000-0000-000000000000', position = 3 WHERE status = 'building'",
        ] {
            let log = setup.store.id();
            let asked = read_models.ask_for(projects(), log, Status::Building).await;
            asked.unwrap().unwrap();
            execute(&read_models, change).await;
            let projecting = setup.projecting(&read_models).await;
            until(&read_models, is_done).await;
            let builds = read_models.builds().await.unwrap();
            assert!(is_live(&builds, 1).is_some(), "{builds:?}");
            assert_eq!(dump(&read_models).await, before);
            projecting.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_the_same_on_both_databases() {
    let (setup, places) = (eventful().await, Places::new());
    let [sqlite, postgres] = places.urls();
    let here = dump(&setup.project_into(&sqlite).await).await;
    let there = dump(&setup.project_into(&postgres).await).await;
    assert!(here.len() > 9, "{here:?}");
    assert_eq!(here, there);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_any_length_give_the_same_rows() {
    use crate::feed::Page;
    use crate::writer::{Taken, Writer};

    async fn in_pages<P: Projection>(setup: &Setup, url: &str, events: usize) {
        let read_models = firefly_read_models::open(url).await.unwrap();
        let mut transaction = read_models.begin().await.unwrap();
        let log = setup.store.id();
        let build = transaction.start(P::projected(), log, Status::Live).await;
        transaction.commit().await.unwrap();
        let mut writer = Writer::<P>::new(read_models, build.unwrap(), None, [].into());
        loop {
            let page = setup
                .store
                .read_all(writer.position(), events)
                .await
                .unwrap();
            if page.is_empty() {
                return;
            }
            let page = Page::new(page);
            assert_eq!(writer.take(&page).await.unwrap(), Taken::All);
            // The same again changes nothing.
            assert_eq!(writer.take(&page).await.unwrap(), Taken::All);
        }
    }

    let (setup, places) = (eventful().await, Places::new());
    for url in places.urls() {
        let mut all = Vec::new();
        for events in [1, 7, 10_000] {
            in_pages::<projects::Projects>(&setup, &url, events).await;
            in_pages::<sessions::Sessions>(&setup, &url, events).await;
            in_pages::<containers::Containers>(&setup, &url, events).await;
            in_pages::<workspaces::Workspaces>(&setup, &url, events).await;
            in_pages::<activity::Activity>(&setup, &url, events).await;
            all.push(dump(&firefly_read_models::open(&url).await.unwrap()).await);
        }
        assert_eq!(all[0], all[1]);
        assert_eq!(all[0], all[2]);
        let fresh = setup.project(&format!("fresh-{}.db", url.len())).await;
        assert_eq!(all[0], dump(&fresh).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_takes_the_place_of_the_live_build_while_queries_go_on() {
    let (setup, places) = (eventful().await, Places::new());
    for url in places.urls() {
        let read_models = firefly_read_models::open(&url).await.unwrap();
        let projecting = setup.projecting(&read_models).await;
        projecting.caught_up(&*setup.store).await;
        let before = dump(&read_models).await;
        let log = setup.store.id();

        // Somebody reads all the time, and something happens all the time.
        let stop = CancellationToken::new();
        let reading = tokio::spawn({
            let (read_models, stop) = (read_models.clone(), stop.clone());
            async move {
                let mut reads = 0;
                while !stop.is_cancelled() {
                    let rows = read_models.rows::<ProjectRow>("", &[]).await.unwrap();
                    assert_eq!(rows.len(), 3, "somebody saw rows of neither build");
                    reads += 1;
                }
                reads
            }
        });
        for _ in 0..3 {
            let asked = read_models.ask_for(projects(), log, Status::Building).await;
            asked.unwrap().unwrap();
            for number in 0..3 {
                let key = key(number);
                setup.command(&key, command(&key, 0, 1)).await;
                setup.command(&key, command(&key, 2, 1)).await;
            }
            until(&read_models, is_done).await;
        }
        stop.cancel();
        assert!(reading.await.unwrap() > 3);
        projecting.caught_up(&*setup.store).await;
        let builds = read_models.builds().await.unwrap();
        let live = builds
            .iter()
            .find(|build| build.projection == "projects")
            .unwrap();
        assert_eq!((live.build, live.status), (4, Status::Live));
        assert_eq!(dump(&read_models).await.len(), before.len());
        let fresh = setup.project(&format!("fresh-{}.db", url.len())).await;
        assert_eq!(dump(&read_models).await, dump(&fresh).await);
        projecting.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_is_one_at_a_time_can_be_cancelled_and_goes_on_after_a_kill() {
    let (setup, places) = (eventful().await, Places::new());
    for url in places.urls() {
        let read_models = setup.project_into(&url).await;
        let log = setup.store.id();
        let ask = async || {
            read_models
                .ask_for(projects(), log, Status::Building)
                .await
                .unwrap()
        };
        let (first, second) = tokio::join!(ask(), ask());
        assert_ne!(first.is_ok(), second.is_ok(), "two rebuilds at once");
        assert!(read_models.cancel(projects()).await.unwrap());
        assert!(!read_models.cancel(projects()).await.unwrap());

        // A process began it and is gone; its lease runs out. It is another build than the one that was cancelled.
        let cancelled = first.or(second).unwrap().build;
        let build = ask().await.unwrap();
        assert_eq!(build.build, cancelled + 1);
        assert!(read_models.claim(&build, "gone").await.unwrap());
        assert!(!read_models.claim(&build, "another").await.unwrap());
        let expire = "UPDATE builds SET owned_until = 1 WHERE owned_until IS NOT NULL";
        execute(&read_models, expire).await;
        let projecting = setup.projecting(&read_models).await;
        until(&read_models, is_done).await;
        let builds = read_models.builds().await.unwrap();
        let live = builds
            .iter()
            .find(|build| build.projection == "projects")
            .unwrap();
        assert_eq!((live.build, live.status), (build.build, Status::Live));
        projecting.stop().await;
    }
}

/// Changes what is stored behind everybody's back.
pub(super) async fn execute(read_models: &Database, statement: impl Into<String>) {
    let statement = sqlx::AssertSqlSafe(statement.into());
    match read_models {
        Database::Sqlite { pool, .. } => sqlx::query(statement).execute(pool).await.map(|_| ()),
        Database::Postgres { pool } => sqlx::query(statement).execute(pool).await.map(|_| ()),
    }
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_of_another_version_serves_until_its_rebuild_is_ready() {
    let (setup, places) = (eventful().await, Places::new());
    for url in places.urls() {
        let read_models = setup.project_into(&url).await;
        let before = dump(&read_models).await;
        let statement = "UPDATE builds SET version = 0 WHERE projection = 'projects'";
        execute(&read_models, statement).await;
        assert_eq!(dump(&read_models).await, before);
        let projecting = setup.projecting(&read_models).await;
        // From its first moment it has everything.
        until(&read_models, |builds| is_live(builds, 2)).await;
        assert_eq!(dump(&read_models).await, before);
        projecting.caught_up(&*setup.store).await;
        let builds = read_models.builds().await.unwrap();
        let live = builds
            .iter()
            .find(|build| build.projection == "projects")
            .unwrap();
        assert_eq!((live.build, live.version), (2, 1));
        assert_eq!(dump(&read_models).await, before);
        projecting.stop().await;
    }
}
