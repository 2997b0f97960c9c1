//! What is particular to SQLite, besides the suite that every engine passes.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::contract;

mod damage;
mod disks;

async fn store() -> (tempfile::TempDir, Arc<dyn EventStore>) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteEventStore::open(&folder.path().join("events.db"))
        .await
        .unwrap();
    (folder, Arc::new(store))
}

contract::suite!(store);
contract::index_suite!(store);

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let stream = contract::a_stream();
    let first = SqliteEventStore::open(&path).await.unwrap();
    let id = first.id();
    let appended = first
        .append(&stream, Expected::NoStream, contract::some_events(3))
        .await
        .unwrap();
    drop(first);

    let second = SqliteEventStore::open(&path).await.unwrap();
    assert_eq!(second.id(), id);
    assert_eq!(*second.head().borrow(), appended.position);
    assert_eq!(
        second
            .read_stream(&stream, Revision::FIRST, 10)
            .await
            .unwrap()
            .len(),
        3
    );
}

#[tokio::test]
async fn a_commit_that_failed_does_not_keep_the_next_from_succeeding() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let store = SqliteEventStore::open(&path).await.unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    // As on a full disk, SQLite ends the transaction by itself.
    let full = "CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ROLLBACK, 'disk is full'); END";
    other.execute_batch(full).unwrap();
    let stream = contract::a_stream();
    let events = contract::some_events(2);
    for _ in 0..2 {
        let failed = store
            .append(&stream, Expected::NoStream, events.clone())
            .await;
        assert!(matches!(failed, Err(Error::Engine { .. })), "{failed:?}");
        assert!(
            store
                .read_stream(&stream, Revision::FIRST, 10)
                .await
                .unwrap()
                .is_empty()
        );
    }
    other.execute_batch("DROP TRIGGER full").unwrap();
    store
        .append(&stream, Expected::NoStream, events)
        .await
        .unwrap();
    assert_eq!(
        store
            .read_stream(&stream, Revision::FIRST, 10)
            .await
            .unwrap()
            .len(),
        2
    );
}

/// Long enough for a loaded machine; reached only by a test that fails.
const DEADLINE: Duration = Duration::from_secs(20);

async fn with_events(path: &Path, count: usize) -> StreamId {
    let stream = contract::a_stream();
    let store = SqliteEventStore::open(path).await.unwrap();
    store
        .append(&stream, Expected::NoStream, contract::some_events(count))
        .await
        .unwrap();
    stream
}

#[tokio::test]
async fn what_another_process_appends_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let (ours, theirs) = (
        SqliteEventStore::open(&path).await.unwrap(),
        SqliteEventStore::open(&path).await.unwrap(),
    );
    let (mut head, stream) = (ours.head(), contract::a_stream());
    let first = theirs
        .append(&stream, Expected::NoStream, contract::some_events(2))
        .await
        .unwrap();
    let heard = head.wait_for(|head| *head >= first.position);
    tokio::time::timeout(DEADLINE, heard)
        .await
        .unwrap()
        .unwrap();
    let second = ours
        .append(
            &stream,
            Expected::Exact(first.revision),
            contract::some_events(1),
        )
        .await
        .unwrap();
    assert_eq!(second.position, Position::new(3));
    let conflict = theirs
        .append(
            &stream,
            Expected::Exact(first.revision),
            contract::some_events(1),
        )
        .await;
    assert!(
        matches!(conflict, Err(Error::Conflict { .. })),
        "{conflict:?}"
    );
}

#[tokio::test]
async fn a_database_of_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE notes (text)").unwrap();
    drop(other);
    let before = std::fs::read(&path).unwrap();
    assert!(SqliteEventStore::open(&path).await.is_err());
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_schema_of_a_newer_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    with_events(&path, 1).await;
    let file = rusqlite::Connection::open(&path).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    let refused = SqliteEventStore::open(&path).await;
    let Err(Error::Engine { source, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert!(source.to_string().contains("version 99"), "{source}");
}
