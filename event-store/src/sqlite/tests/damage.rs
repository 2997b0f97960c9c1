//! Files that are not what was written: refused with the reason, never answered from wrongly.

use super::*;

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    std::fs::write(
        &path,
        "not a database, but long enough to look at".repeat(100),
    )
    .unwrap();
    let refused = SqliteEventStore::open(&path).await;
    assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
}

#[tokio::test]
async fn an_altered_row_is_never_answered_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let stream = with_events(&path, 3).await;
    for change in [
        "data = replace(data, '1', '7')",
        "recorded_at = recorded_at + 1",
        "actor = 'system:somebody'",
        "revision = 8",
        "schema_version = 2",
    ] {
        let copy = folder.path().join("altered.db");
        let file = rusqlite::Connection::open(&path).unwrap();
        file.execute("VACUUM INTO ?", [copy.to_str().unwrap()])
            .unwrap();
        let altered = rusqlite::Connection::open(&copy).unwrap();
        let update = format!("UPDATE events SET {change} WHERE position = 2");
        assert_eq!(altered.execute(&update, []).unwrap(), 1);
        drop(altered);
        let store = SqliteEventStore::open(&copy).await.unwrap();
        let read = store.read_all(Position::START, 10).await;
        let Err(Error::Corrupt { what, .. }) = read else {
            panic!("{change} went unnoticed: {read:?}")
        };
        assert_eq!(what, "the event at position 2", "{change}");
        assert!(
            store
                .read_stream(&stream, Revision::new(1), 10)
                .await
                .is_err()
        );
        drop(store);
        std::fs::remove_file(&copy).unwrap();
    }
}

#[tokio::test]
async fn a_missing_row_is_never_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let stream = with_events(&path, 4).await;
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute("DELETE FROM events WHERE position = 2", [])
        .unwrap();
    let store = SqliteEventStore::open(&path).await.unwrap();
    for read in [
        store.read_all(Position::START, 10).await,
        store.read_all(Position::new(1), 10).await,
        store.read_all_back(None, 10).await,
        store.read_stream(&stream, Revision::FIRST, 10).await,
        store.read_stream(&stream, Revision::new(1), 10).await,
        store.read_stream_back(&stream, None, 10).await,
    ] {
        assert!(matches!(read, Err(Error::Missing { .. })), "{read:?}");
    }
    assert_eq!(store.read_all(Position::new(2), 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_file_that_was_cut_short_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    with_events(&path, 400).await;
    // What is still in the write-ahead log goes into the file.
    let file = rusqlite::Connection::open(&path).unwrap();
    file.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    drop(file);
    let length = std::fs::metadata(&path).unwrap().len();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(length / 2).unwrap();
    let refused = SqliteEventStore::open(&path).await;
    assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
}
