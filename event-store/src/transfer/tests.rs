//! Whole logs through files and from engine to engine, interrupted, damaged and written to meanwhile.

mod backups;

use std::path::PathBuf;
use std::sync::Arc;

use firefly_domain::{Actor, EventId, Segment};
use serde_json::value::RawValue;
use sqlx::{Connection, PgConnection};
use tokio::sync::Notify;
use uuid::Uuid;

use super::copy::{Copied, copy};
use super::export::export;
use super::import::{Imported, import};
use super::lines::Format;
use super::verify::{Fault, FaultKind, Verified, verify};
use super::{Error, PAGE_EVENTS, Phase, Progress, Refusal};
use crate::contract;
use crate::event::{Idempotency, Position, RecordedEvent, Revision, StreamId};
use crate::postgres::PostgresEventStore;
use crate::postgres::tests::server::Postgres;
use crate::sqlite::{SqliteEventStore, backup};
use crate::store::{self, EventStore, Expected};

/// Some pages, and a part of one.
const EVENTS: usize = 3 * PAGE_EVENTS + 100;

const NAMES: [&str; 3] = ["project-a", "project-ü", "session-c"];

struct Log {
    home: tempfile::TempDir,
    store: Arc<SqliteEventStore>,
}

impl Log {
    async fn empty() -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = SqliteEventStore::open(&home.path().join("events.db"))
            .await
            .unwrap();
        Self {
            home,
            store: Arc::new(store),
        }
    }

    /// Events of three streams in turn, each alone or a few together.
    async fn full(count: usize) -> Self {
        let log = Self::empty().await;
        let mut next = [0; NAMES.len()];
        let mut events = contract::some_events(count);
        for turn in 0.. {
            if events.is_empty() {
                break;
            }
            let some = events.split_off(events.len().saturating_sub(1 + turn % 40));
            let which = turn % NAMES.len();
            let expected = Expected::after(u64::checked_sub(next[which], 1).map(Revision::new));
            next[which] += some.len() as u64;
            let stream = StreamId::from_stored(NAMES[which]);
            log.store.append(&stream, expected, some).await.unwrap();
        }
        log
    }

    fn path(&self) -> PathBuf {
        self.home.path().join("events.db")
    }

    fn execute(&self, statement: &str) {
        let connection = rusqlite::Connection::open(self.path()).unwrap();
        assert_ne!(connection.execute(statement, []).unwrap(), 0);
    }

    async fn verify(&self) -> (Verified, Vec<Fault>) {
        let mut faults = Vec::new();
        let verified = verify(
            &*self.store,
            true,
            &mut |fault| faults.push(fault),
            &mut |_| {},
        )
        .await
        .unwrap();
        (verified, faults)
    }
}

/// Everything of every event but the type that it is held in.
fn shown(events: &[RecordedEvent]) -> Vec<String> {
    events.iter().map(|event| format!("{event:?}")).collect()
}

async fn all(store: &dyn EventStore) -> Vec<String> {
    shown(&store.read_all(Position::START, 4_000).await.unwrap())
}

async fn exported(store: &dyn EventStore, format: Format) -> Vec<u8> {
    let mut lines = Vec::new();
    let output: &mut Vec<u8> = &mut lines;
    export(store, Position::START, format, output, &mut |_| {})
        .await
        .unwrap();
    lines
}

async fn imported(store: &dyn EventStore, mut lines: &[u8]) -> Result<Imported, Error> {
    import(store, &mut lines, &mut |_| {}).await
}

#[tokio::test]
async fn a_log_survives_both_formats() {
    let log = Log::full(EVENTS).await;
    let mut special = contract::some_events(4);
    special[0].data =
        RawValue::from_string(r#"{"имя": "\u0000 ✔ \" \n", "n": 1.0e400}"#.into()).unwrap();
    special[1].metadata.actor = Actor::User(Segment::parse("alice").unwrap());
    special[1].metadata.idempotency = Some(Idempotency {
        key: Uuid::new_v4(),
        fingerprint: "c0ffee ü".into(),
    });
    special[2].metadata.actor = Actor::Anonymous;
    special[2].metadata.causation_id = None;
    special[3].metadata.traceparent = None;
    let stream = StreamId::from_stored("etwas-Größeres");
    log.store
        .append(&stream, Expected::NoStream, special)
        .await
        .unwrap();

    for format in [Format::Ndjson, Format::CloudEvents] {
        let lines = exported(&*log.store, format).await;
        assert_eq!(
            lines.iter().filter(|byte| **byte == b'\n').count(),
            EVENTS + 4
        );
        let other = Log::empty().await;
        let first = imported(&*other.store, &lines).await.unwrap();
        assert_eq!((first.appended, first.present), (EVENTS as u64 + 4, 0));
        assert_eq!(
            all(&*other.store).await,
            all(&*log.store).await,
            "{format:?}"
        );
        // The same lines again are all there.
        let again = imported(&*other.store, &lines).await.unwrap();
        assert_eq!((again.appended, again.present), (0, EVENTS as u64 + 4));
    }
}

#[tokio::test]
async fn an_import_that_broke_off_goes_on() {
    let log = Log::full(EVENTS).await;
    let lines = exported(&*log.store, Format::Ndjson).await;
    let other = Log::empty().await;
    let half = lines.len() / 2;
    let number = match imported(&*other.store, &lines[..half]).await {
        Err(Error::Line {
            number,
            reason: Refusal::Unreadable(_),
        }) => number as usize,
        other => panic!("{other:?}"),
    };
    let cut = lines[..half].iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(number, cut + 1);
    // Whole pages only: nothing of the refused line's page is there.
    let there = other.store.head().borrow().number() as usize;
    assert_eq!(there, cut / PAGE_EVENTS * PAGE_EVENTS);
    let rest = imported(&*other.store, &lines).await.unwrap();
    assert_eq!(rest.present as usize, there);
    assert_eq!(all(&*other.store).await, all(&*log.store).await);
}

#[tokio::test]
async fn a_line_that_does_not_fit_is_refused_with_its_page() {
    let log = Log::full(300).await;
    let lines = String::from_utf8(exported(&*log.store, Format::Ndjson).await).unwrap();
    let other = Log::empty().await;
    let refused = async |lines: &str| match imported(&*other.store, lines.as_bytes()).await {
        Err(Error::Line { number, reason }) => (number, reason),
        other => panic!("{other:?}"),
    };
    let all: Vec<&str> = lines.lines().collect();

    // One is left out, so its stream has a gap.
    let mut gap = all.clone();
    gap.remove(200);
    let (_, reason) = refused(&gap.join("\n")).await;
    assert!(matches!(reason, Refusal::Revision { .. }), "{reason:?}");
    let (number, reason) = refused(&format!(
        "{}\n\n{}",
        all[0],
        "x".repeat(super::lines::LINE_BYTES_MAX + 1)
    ))
    .await;
    assert!(
        matches!((number, &reason), (3, Refusal::TooLong)),
        "{number} {reason:?}"
    );
    let elsewhere = all[0].replace(NAMES[0], "project-elsewhere");
    let (number, reason) = refused(&format!("{}\n{elsewhere}", all[0])).await;
    assert!(
        matches!((number, &reason), (2, Refusal::IdTaken)),
        "{number} {reason:?}"
    );
    assert_eq!(other.store.head().borrow().number(), 0);

    // A log that has later events would give these another time.
    other
        .store
        .append(
            &contract::a_stream(),
            Expected::NoStream,
            contract::some_events(1),
        )
        .await
        .unwrap();
    let (number, reason) = refused(&lines).await;
    assert!(
        matches!((number, &reason), (1, Refusal::OutOfTime)),
        "{number} {reason:?}"
    );
}

/// Copies, is interrupted in the middle, copies again; the target must be the source's equal.
async fn interrupted(source: &dyn EventStore, target: &dyn EventStore) -> Copied {
    let written = Notify::new();
    let mut observer = |progress: Progress| {
        if progress.phase == Phase::Write {
            written.notify_one();
        }
    };
    tokio::select! {
        biased;
        () = written.notified() => {}
        ended = copy(source, target, &mut observer) => panic!("{ended:?}"),
    }
    // Unlike a process that was killed, the target's writer still works off what it was handed: wait behind that.
    let never = Expected::Exact(Revision::new(1 << 40));
    let conflict = target
        .append(&contract::a_stream(), never, contract::some_events(1))
        .await;
    assert!(
        matches!(conflict, Err(store::Error::Conflict { .. })),
        "{conflict:?}"
    );
    copy(source, target, &mut |_| {}).await.unwrap()
}

#[tokio::test]
async fn an_interrupted_copy_goes_on() {
    let source = Log::full(EVENTS).await;
    let target = Log::empty().await;
    let copied = interrupted(&*source.store, &*target.store).await;
    assert!(copied.present >= PAGE_EVENTS as u64, "{copied:?}");
    assert_eq!(copied.present + copied.written, EVENTS as u64);
    assert_eq!(all(&*target.store).await, all(&*source.store).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_copy_to_a_server_goes_on_and_comes_back() {
    let source = Log::full(EVENTS).await;
    let server = Postgres::start();
    let target = PostgresEventStore::open(&server.url()).await.unwrap();
    let copied = interrupted(&*source.store, &target).await;
    assert_eq!(copied.present + copied.written, EVENTS as u64);
    assert_eq!(all(&target).await, all(&*source.store).await);
    let back = Log::empty().await;
    copy(&target, &*back.store, &mut |_| {}).await.unwrap();
    assert_eq!(all(&*back.store).await, all(&*source.store).await);
}

#[tokio::test]
async fn a_target_that_is_no_beginning_of_the_source_is_left_alone() {
    let source = Log::full(700).await;
    let other = Log::full(600).await;
    let refused = copy(&*source.store, &*other.store, &mut |_| {}).await;
    assert!(
        matches!(refused, Err(Error::NotAPrefix { position }) if position.number() == 1),
        "{refused:?}"
    );
    assert_eq!(other.store.head().borrow().number(), 600);

    // Nor is one that goes on by itself.
    let longer = Log::empty().await;
    copy(&*source.store, &*longer.store, &mut |_| {})
        .await
        .unwrap();
    longer
        .store
        .append(
            &contract::a_stream(),
            Expected::NoStream,
            contract::some_events(1),
        )
        .await
        .unwrap();
    let refused = copy(&*source.store, &*longer.store, &mut |_| {}).await;
    assert!(
        matches!(refused, Err(Error::NotAPrefix { position }) if position.number() == 701),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_whole_log_has_no_fault() {
    let log = Log::full(EVENTS).await;
    let (verified, faults) = log.verify().await;
    assert_eq!(faults, []);
    assert_eq!((verified.events, verified.streams), (EVENTS as u64, 3));
    assert_eq!(verified.unknown["SomethingHappened v7"], EVENTS as u64);
}

#[tokio::test]
async fn flipped_bits_are_found_and_passed_over() {
    let log = Log::full(EVENTS).await;
    log.execute(
        "UPDATE events SET data = replace(data, 'number', 'lumber') WHERE position IN (700, 701)",
    );
    // A letter that is none any more.
    log.execute("UPDATE events SET event_type = CAST(x'53ff' AS TEXT) WHERE position = 900");
    log.execute("UPDATE events SET recorded_at = recorded_at + 1 WHERE position = (SELECT max(position) FROM events)");
    let (verified, faults) = log.verify().await;
    let unreadable: Vec<u64> = faults
        .iter()
        .filter(|fault| matches!(fault.kind, FaultKind::Unreadable(_)))
        .map(|fault| fault.position.unwrap().number())
        .collect();
    assert_eq!(unreadable, [700, 701, 900, EVENTS as u64], "{faults:?}");
    assert_eq!(verified.events, EVENTS as u64 - 4);
    // What is lost of a stream shows where it goes on.
    let gaps = faults
        .iter()
        .filter(|fault| matches!(fault.kind, FaultKind::Revision(_)));
    assert!(gaps.count() >= 1, "{faults:?}");
    let others = |fault: &&Fault| matches!(fault.kind, FaultKind::Missing(_) | FaultKind::Disorder);
    assert_eq!(faults.iter().find(others), None);
}

#[tokio::test]
async fn missing_rows_are_found() {
    let log = Log::full(EVENTS).await;
    log.execute("DELETE FROM events WHERE position IN (1, 2, 700)");
    log.execute("UPDATE events SET data = '{}' WHERE position = 702");
    log.execute("DELETE FROM events WHERE position = 701");
    let (_, faults) = log.verify().await;
    let missing: Vec<(u64, u64)> = faults
        .iter()
        .filter_map(|fault| match fault.kind {
            FaultKind::Missing(last) => Some((fault.position.unwrap().number(), last.number())),
            _ => None,
        })
        .collect();
    assert_eq!(missing, [(1, 2), (700, 701)], "{faults:?}");
    let unreadable = faults
        .iter()
        .find(|fault| matches!(fault.kind, FaultKind::Unreadable(_)));
    assert_eq!(unreadable.unwrap().position, Some(Position::new(702)));
    let gap = faults
        .iter()
        .find(|fault| matches!(fault.kind, FaultKind::Revision(_)));
    let gap = gap.unwrap();
    assert!(gap.stream.is_some() && gap.revision.is_some(), "{gap:?}");
}

#[tokio::test]
async fn a_missing_end_is_found_where_the_log_remembers_it() {
    let server = Postgres::start();
    let store = PostgresEventStore::open(&server.url()).await.unwrap();
    store
        .append(
            &contract::a_stream(),
            Expected::NoStream,
            contract::some_events(3),
        )
        .await
        .unwrap();
    let mut connection = PgConnection::connect(&server.url()).await.unwrap();
    sqlx::query("DELETE FROM events WHERE position > 1")
        .execute(&mut connection)
        .await
        .unwrap();
    let mut faults = Vec::new();
    let mut on_fault = |fault: Fault| faults.push(fault.to_string());
    let verified = verify(&store, true, &mut on_fault, &mut |_| {}).await;
    assert_eq!(verified.unwrap().faults, 1);
    assert_eq!(faults, ["position 2: nothing is here, up to position 3"]);
}

#[tokio::test]
async fn an_id_that_is_elsewhere_is_told() {
    let id = EventId::from_uuid(Uuid::new_v4());
    let log = Log::empty().await;
    let mut events = contract::some_events(1);
    events[0].id = id;
    let stream = StreamId::from_stored("project-here");
    log.store
        .append(&stream, Expected::NoStream, events)
        .await
        .unwrap();
    let lines = String::from_utf8(exported(&*log.store, Format::CloudEvents).await).unwrap();
    let moved = lines.replace("project-here", "project-there");
    let refused = imported(&*log.store, moved.as_bytes()).await;
    assert!(
        matches!(
            &refused,
            Err(Error::Line {
                number: 1,
                reason: Refusal::IdTaken
            })
        ),
        "{refused:?}"
    );
}

#[test]
fn what_becomes_one_append_is_bounded_by_its_size() {
    let large = format!("\"{}\"", "x".repeat(store::EVENT_DATA_BYTES_MAX - 2));
    let line = |revision, data: &str| {
        let mut event = contract::some_events(1).remove(0);
        event.data = RawValue::from_string(data.to_owned()).unwrap();
        super::lines::Line {
            stream: StreamId::from_stored(NAMES[0]),
            revision: Revision::new(revision),
            event,
        }
    };
    let mut page: Vec<_> = (0..20).map(|revision| line(revision, &large)).collect();
    page.push(line(20, "{}"));
    let appends = super::appends(page);
    let sizes: Vec<_> = appends.iter().map(|append| append.events.len()).collect();
    assert_eq!(sizes, [8, 8, 5]);
    let expected: Vec<_> = appends.iter().map(|append| append.expected).collect();
    let after = |revision| Expected::Exact(Revision::new(revision));
    assert_eq!(expected, [Expected::NoStream, after(7), after(15)]);
}
