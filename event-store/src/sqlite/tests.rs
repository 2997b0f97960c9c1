//! What is particular to SQLite, besides the suite that every engine passes.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::contract;

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

/// A small file system of its own; mounting it takes root.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(folder.path())
            .status();
        assert!(
            mount.unwrap().success(),
            "this test mounts a file system: run it as root"
        );
        Self(folder)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("--lazy")
            .arg(self.0.path())
            .status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_appends_until_there_is_room_and_reads_go_on() {
    let disk = SmallDisk::mount();
    let path = disk.0.path().join("events.db");
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![1; 512 * 1024]).unwrap();
    let stream = with_events(&path, 1).await;
    let store = SqliteEventStore::open(&path).await.unwrap();
    let mut last = Revision::FIRST;
    let refused = loop {
        let events = contract::some_events(100);
        match store
            .append(&stream, Expected::Exact(last), events.clone())
            .await
        {
            Ok(appended) => last = appended.revision,
            Err(error) => break (error, events),
        }
    };
    let (error, events) = refused;
    assert!(matches!(error, Error::Engine { .. }), "{error:?}");
    let read = store.read_stream_back(&stream, None, 1).await.unwrap();
    assert_eq!(read[0].revision, last, "what was acknowledged is there");

    std::fs::remove_file(&ballast).unwrap();
    let appended = store
        .append(&stream, Expected::Exact(last), events)
        .await
        .unwrap();
    assert_eq!(appended.revision.number(), last.number() + 100);
}
