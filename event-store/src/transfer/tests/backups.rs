//! A file that is made beside a writer, and put in the place of one that is lost.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_beside_a_writer_is_the_beginning_of_the_log() {
    let log = Log::full(EVENTS).await;
    let store = Arc::clone(&log.store);
    let writing = tokio::spawn(async move {
        for _ in 0..400 {
            store
                .append(
                    &contract::a_stream(),
                    Expected::NoStream,
                    contract::some_events(3),
                )
                .await
                .unwrap();
        }
    });
    for number in 0..3 {
        let target = log.home.path().join(format!("backup-{number}.db"));
        let made = backup::backup(&log.path(), &target).await.unwrap();
        assert!(made.events >= EVENTS as u64 && made.events == made.head.number());
        let copy = SqliteEventStore::open(&target).await.unwrap();
        assert_eq!(copy.id(), log.store.id());
        let there = all(&copy).await;
        assert_eq!(there.len() as u64, made.events);
        assert_eq!(there, all(&*log.store).await[..there.len()]);
        let again = backup::backup(&log.path(), &target).await;
        assert!(
            matches!(again, Err(backup::Error::File { .. })),
            "{again:?}"
        );
    }
    writing.await.unwrap();
}

#[tokio::test]
async fn a_log_with_a_hole_is_not_backed_up() {
    let log = Log::full(20).await;
    log.execute("DELETE FROM events WHERE position = 7");
    let target = log.home.path().join("copy.db");
    let refused = backup::backup(&log.path(), &target).await;
    assert!(
        matches!(
            refused,
            Err(backup::Error::Copy(store::Error::Missing {
                expected: 7,
                found: 8,
                ..
            }))
        ),
        "{refused:?}"
    );
    assert!(!target.exists());
}

#[tokio::test]
async fn a_backup_is_restored_where_there_is_no_log() {
    let log = Log::full(300).await;
    let folder = tempfile::tempdir().unwrap();
    let (copy, restored) = (
        folder.path().join("copy.db"),
        folder.path().join("events.db"),
    );
    backup::backup(&log.path(), &copy).await.unwrap();
    let made = backup::restore(&copy, &restored).await.unwrap();
    assert_eq!(made.events, 300);
    let again = backup::restore(&copy, &restored).await;
    assert!(
        matches!(again, Err(backup::Error::File { .. })),
        "{again:?}"
    );
    let store = SqliteEventStore::open(&restored).await.unwrap();
    assert_eq!(all(&store).await, all(&*log.store).await);
    drop(store);

    // A damaged one is not put anywhere, nor is one that is none.
    let damaged = rusqlite::Connection::open(&copy).unwrap();
    let flip = "UPDATE events SET actor = 'anonymous' WHERE position = 7";
    damaged.execute(flip, []).unwrap();
    drop(damaged);
    let place = folder.path().join("new.db");
    let refused = backup::restore(&copy, &place).await;
    assert!(
        matches!(
            refused,
            Err(backup::Error::Copy(store::Error::Corrupt { .. }))
        ),
        "{refused:?}"
    );
    std::fs::write(folder.path().join("text"), "no database".repeat(1_000)).unwrap();
    let refused = backup::restore(&folder.path().join("text"), &place).await;
    assert!(
        matches!(refused, Err(backup::Error::Copy(_))),
        "{refused:?}"
    );
    assert!(!place.exists());
    let left = std::fs::read_dir(folder.path()).unwrap();
    let left = left.filter(|entry| {
        entry
            .as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .contains(".part")
    });
    assert_eq!(left.count(), 0);
}
