//! Comparing a rebuild with the live build, on both databases.

use firefly_read_models::builds::Status;
use firefly_read_models::{Comparison, Session, Step};

use super::rebuilds::{Places, eventful, execute, projects};
use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comparison_finds_the_row_that_is_wrong() {
    let (setup, places) = (eventful().await, Places::new());
    for url in places.urls() {
        let read_models = firefly_read_models::open(&url).await.unwrap();
        let projecting = setup.projecting(&read_models).await;
        projecting.caught_up(&*setup.store).await;
        let compared = async || {
            let log = setup.store.id();
            let asked = read_models
                .ask_for(projects(), log, Status::Verifying)
                .await;
            asked.unwrap().unwrap();
            until(&read_models, |builds| {
                let verified = |build: &&Build| build.status == Status::Verified;
                builds
                    .iter()
                    .find(verified)
                    .map(|build| build.failure.clone())
            })
            .await
        };
        assert_eq!(compared().await, None);
        let statement = "UPDATE projects_1 SET state = 'painted' WHERE repo = 'app1'";
        execute(&read_models, statement).await;
        let differs = compared().await.unwrap();
        assert!(differs.contains(&key(1).id().to_string()), "{differs}");
        projecting.stop().await;
    }
}

/// Rows enough for several ranges of a comparison.
const ROWS: i64 = 5_000;

/// A live build and one to compare with it, both with the same rows at the same position.
async fn twins(read_models: &Database, log: Uuid) -> [Build; 2] {
    let mut transaction = read_models.begin().await.unwrap();
    let mut builds = Vec::new();
    for status in [Status::Live, Status::Verifying] {
        let build = transaction.start(activity::Activity::projected(), log, status);
        let build = build.await.unwrap();
        let rows: Vec<ActivityRow> = (0..ROWS).map(row).collect();
        let rows: Vec<&ActivityRow> = rows.iter().collect();
        transaction.save(build.build, &rows).await.unwrap();
        builds.push(build);
    }
    transaction.commit().await.unwrap();
    builds.try_into().unwrap()
}

fn row(number: i64) -> ActivityRow {
    let (day, project) = ("2026-11-25".to_owned(), format!("{number:05}"));
    ActivityRow {
        key: ActivityRow::key_of(&day, &project),
        day,
        project,
        opened: 1,
        ..ActivityRow::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_live_build_goes_on_while_it_is_compared_as_it_was() {
    let places = Places::new();
    for url in places.urls() {
        let read_models = firefly_read_models::open(&url).await.unwrap();
        let [live, other] = twins(&read_models, Uuid::nil()).await;
        let mut transaction = read_models.begin().await.unwrap();
        transaction.live("activity").await.unwrap();
        let table = ActivityRow::TABLE;
        let begun = Comparison::begin(&read_models, transaction, table, &other).await;
        let mut comparison = begun.unwrap().unwrap();
        assert!(comparison.advance().await.unwrap(), "all in one range");

        // Its position moves and its last rows change, which is behind what was compared.
        let going_on = async {
            let changed = ActivityRow {
                opened: 2,
                ..row(ROWS - 1)
            };
            let step = Step {
                build: &live,
                owner: None,
                position: 7,
                events: 7,
                rows: vec![&changed],
                gone: vec![],
                failure: None,
            };
            let mut session = Session::new(read_models.clone());
            assert!(session.take(&step).await.unwrap());
        };
        let waited = tokio::time::timeout(DEADLINE, going_on).await;
        waited.expect("the live build waits for the comparison");

        while comparison.advance().await.unwrap() {}
        assert_eq!(comparison.differing(), Vec::<String>::new());
        // Now they are apart, and are not compared.
        let transaction = read_models.begin().await.unwrap();
        let apart = Comparison::begin(&read_models, transaction, table, &other).await;
        assert!(apart.unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_differ_are_found_wherever_they_are() {
    let places = Places::new();
    for url in places.urls() {
        let read_models = firefly_read_models::open(&url).await.unwrap();
        let [live, other] = twins(&read_models, Uuid::nil()).await;
        let mut transaction = read_models.begin().await.unwrap();
        let added = ActivityRow {
            key: "zzz".into(),
            ..row(1)
        };
        let changed = ActivityRow {
            opened: 9,
            ..row(2_500)
        };
        let (first, last) = (row(0).key, row(ROWS - 1).key);
        transaction
            .save(live.build, &[&added, &changed])
            .await
            .unwrap();
        transaction
            .remove::<ActivityRow>(live.build, &[&first])
            .await
            .unwrap();
        transaction
            .remove::<ActivityRow>(other.build, &[&last])
            .await
            .unwrap();
        let table = ActivityRow::TABLE;
        let begun = Comparison::begin(&read_models, transaction, table, &other).await;
        let mut comparison = begun.unwrap().unwrap();
        while comparison.advance().await.unwrap() {}
        assert_eq!(
            comparison.differing(),
            [first, row(2_500).key, last, "zzz".to_owned()]
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comparison_that_is_cancelled_lets_go() {
    let places = Places::new();
    for url in places.urls() {
        let read_models = firefly_read_models::open(&url).await.unwrap();
        let [_, other] = twins(&read_models, Uuid::nil()).await;
        assert!(read_models.claim(&other, "me").await.unwrap());
        let transaction = read_models.begin().await.unwrap();
        let begun = Comparison::begin(&read_models, transaction, ActivityRow::TABLE, &other).await;
        let mut comparison = begun.unwrap().unwrap();
        comparison.advance().await.unwrap();
        // On PostgreSQL the table cannot be removed before it is let go.
        let cancelling = tokio::spawn({
            let read_models = read_models.clone();
            async move { read_models.cancel(activity::Activity::projected()).await }
        });
        let noticed = async {
            while read_models.claim(&other, "me").await.unwrap() {
                tokio::task::yield_now().await;
            }
        };
        let noticed = tokio::time::timeout(DEADLINE, noticed).await;
        noticed.expect("who compares does not hear of it");
        drop(comparison);
        assert!(cancelling.await.unwrap().unwrap());
        let noted = read_models
            .note_comparison(ActivityRow::TABLE, &other, None)
            .await;
        assert!(!noted.unwrap(), "it is noted for a build that is gone");
    }
}
