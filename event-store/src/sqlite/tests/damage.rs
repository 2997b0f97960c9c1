//! Files that are not what was written: refused with the reason, never answered from wrongly.

use super::*;
use crate::sqlite::structure::Doubt;
use crate::store::READ_EVENTS_MAX;

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

#[tokio::test]
async fn a_log_that_is_in_doubt_answers_nothing_and_takes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let stream = with_events(&path, 2).await;
    let doubt = || Doubt::Damaged("a page is not in order".to_owned());
    let store = SqliteEventStore::open_and(&path, move |_, _| Ok(doubt().into()))
        .await
        .unwrap();
    let append = || Append {
        stream: contract::a_stream(),
        expected: Expected::NoStream,
        events: contract::some_events(1),
    };
    let Append { events, .. } = append();
    let ids = [events[0].id];
    let another = contract::a_stream();
    for (what, refused) in [
        (
            "append",
            store
                .append(&another, Expected::NoStream, events)
                .await
                .err(),
        ),
        (
            "append_in_order",
            store.append_in_order(vec![append()]).await.err(),
        ),
        (
            "read_stream",
            store.read_stream(&stream, Revision::FIRST, 10).await.err(),
        ),
        ("read_all", store.read_all(Position::START, 10).await.err()),
        (
            "read_stream_back",
            store.read_stream_back(&stream, None, 10).await.err(),
        ),
        ("read_all_back", store.read_all_back(None, 10).await.err()),
        (
            "find_request",
            store.find_request(&Uuid::new_v4()).await.err(),
        ),
        ("taken", store.taken(&ids).await.err()),
    ] {
        assert!(
            matches!(refused, Some(Error::Corrupt { .. })),
            "{what}: {refused:?}"
        );
    }
    assert_eq!(*store.head().borrow(), Position::new(2));
}

/// Bytes between two flips, and between two cuts. Both are prime, so all parts of a page have their turn.
const FLIP_STEP: usize = 127;
const CUT_STEP: usize = 1_013;

/// A log on the disk, and what it answers.
struct Whole {
    folder: tempfile::TempDir,
    bytes: Vec<u8>,
    streams: Vec<StreamId>,
    ids: Vec<EventId>,
    right: Vec<Vec<String>>,
}

impl Whole {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        let store = SqliteEventStore::open(&path).await.unwrap();
        let streams: Vec<StreamId> = (0..8).map(|_| contract::a_stream()).collect();
        for turn in 0..6 {
            for stream in &streams {
                let last = u64::checked_sub(turn * 4, 1).map(Revision::new);
                let events = contract::some_events(4);
                let appended = store.append(stream, Expected::after(last), events).await;
                appended.unwrap();
            }
        }
        let all = store.read_all(Position::START, READ_EVENTS_MAX).await;
        let all = all.unwrap();
        let mut whole = Self {
            ids: all.iter().step_by(23).map(|event| event.id).collect(),
            bytes: Vec::new(),
            right: Vec::new(),
            streams,
            folder,
        };
        let answers = whole.answers(&store).await.into_iter();
        whole.right = answers.map(Result::unwrap).collect();
        drop(store);
        // What is still in the write-ahead log goes into the file.
        let file = rusqlite::Connection::open(&path).unwrap();
        file.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .unwrap();
        whole.bytes = std::fs::read(&path).unwrap();
        whole
    }

    /// Everything that can be asked of it.
    async fn answers(&self, store: &SqliteEventStore) -> Vec<Result<Vec<String>, Error>> {
        let mut answers = Vec::new();
        let mut told = |answer: Result<Vec<RecordedEvent>, Error>| {
            let shown = |event: &RecordedEvent| format!("{event:?}");
            answers.push(answer.map(|events| events.iter().map(shown).collect()));
        };
        told(store.read_all(Position::START, READ_EVENTS_MAX).await);
        told(store.read_all_back(None, READ_EVENTS_MAX).await);
        for stream in &self.streams {
            told(store.read_stream(stream, Revision::FIRST, 100).await);
            told(store.read_stream_back(stream, None, 10).await);
        }
        let taken = store.taken(&self.ids).await;
        answers.push(taken.map(|taken| vec![format!("{taken:?}")]));
        answers
    }

    /// Answers as it did, or refuses and says why. Whether anything was refused.
    async fn is_answered_rightly(&self, damaged: &[u8], what: &str) -> bool {
        // The last one may be closed only now, with all that it had beside it.
        let folder = tempfile::tempdir_in(self.folder.path()).unwrap();
        let path = folder.path().join("damaged.db");
        std::fs::write(&path, damaged).unwrap();
        let store = match SqliteEventStore::open(&path).await {
            Ok(store) => store,
            Err(error) => return is_refusal(&error, what),
        };
        let mut refused = false;
        for (answer, right) in self.answers(&store).await.iter().zip(&self.right) {
            match answer {
                Ok(answer) => assert_eq!(answer, right, "{what}"),
                Err(error) => refused |= is_refusal(error, what),
            }
        }
        refused
    }
}

fn is_refusal(error: &Error, what: &str) -> bool {
    let precise = matches!(
        error,
        Error::Corrupt { .. } | Error::Missing { .. } | Error::Engine { .. }
    );
    assert!(precise, "{what}: {error:?}");
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bit_that_flips_anywhere_is_never_answered_from_wrongly() {
    let whole = Whole::new().await;
    let mut refused = 0;
    for (number, offset) in (0..whole.bytes.len()).step_by(FLIP_STEP).enumerate() {
        let mut damaged = whole.bytes.clone();
        damaged[offset] ^= 1 << (number % 8);
        let what = format!("bit {} of byte {offset}", number % 8);
        refused += usize::from(whole.is_answered_rightly(&damaged, &what).await);
    }
    // Some bytes are of no use to anybody, and a flip there changes nothing.
    let flips = whole.bytes.len() / FLIP_STEP;
    assert!(refused > flips / 4, "{refused} of {flips} were refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_cut_anywhere_is_refused() {
    let whole = Whole::new().await;
    // To SQLite a file of one byte is as empty as one of none, and that is how a new log begins.
    for length in (2..whole.bytes.len()).step_by(CUT_STEP) {
        let what = format!("the first {length} bytes");
        let refused = whole
            .is_answered_rightly(&whole.bytes[..length], &what)
            .await;
        assert!(refused, "{what}");
    }
}

/// Appends that are all in the write-ahead log, each of one event.
const APPENDS: usize = 40;

/// Appends at the end of a write-ahead log of which nobody can tell whether they were acknowledged: the one at work when a
/// crash came, and one more, since the end of the first may be what is damaged.
const UNCERTAIN_MAX: usize = 2;

/// A file and its write-ahead log, before anything was moved from one to the other.
async fn with_write_ahead_log() -> (Vec<u8>, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let store = SqliteEventStore::open(&path).await.unwrap();
    for _ in 0..APPENDS {
        let (stream, events) = (contract::a_stream(), contract::some_events(1));
        let appended = store.append(&stream, Expected::NoStream, events).await;
        appended.unwrap();
    }
    let read = |path: &Path| std::fs::read(path).unwrap();
    (read(&path), read(&companion(&path, "-wal")))
}

/// The number of events that a file and its write-ahead log have.
async fn events_of(file: &[u8], wal: &[u8]) -> Result<usize, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    std::fs::write(&path, file).unwrap();
    std::fs::write(companion(&path, "-wal"), wal).unwrap();
    let store = SqliteEventStore::open(&path).await?;
    let events = store.read_all(Position::START, READ_EVENTS_MAX).await?;
    Ok(events.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bit_that_flips_in_the_write_ahead_log_loses_no_commit_but_the_last() {
    let (file, wal) = with_write_ahead_log().await;
    let mut refused = 0;
    for (number, offset) in (0..wal.len()).step_by(wal.len() / 300).enumerate() {
        let mut damaged = wal.clone();
        damaged[offset] ^= 1 << (number % 8);
        match events_of(&file, &damaged).await {
            Ok(left) => assert!(left + UNCERTAIN_MAX >= APPENDS, "byte {offset}: {left}"),
            Err(Error::Corrupt { what, .. }) => {
                assert_eq!(what, "its write-ahead log", "byte {offset}");
                refused += 1;
            }
            Err(error) => panic!("byte {offset}: {error:?}"),
        }
    }
    assert!(refused > 250, "{refused} were refused");
}

#[tokio::test]
async fn a_write_ahead_log_that_a_crash_cut_short_is_no_damage() {
    let (file, wal) = with_write_ahead_log().await;
    assert_eq!(events_of(&file, &wal).await.unwrap(), APPENDS);
    for lost in [1, 100, 4_000, 5_000, 20_000] {
        let left = events_of(&file, &wal[..wal.len() - lost]).await.unwrap();
        assert!((1..APPENDS).contains(&left), "{lost}: {left}");
    }
    // The last commit was written, but not all of it came to the disk.
    let mut torn = wal.clone();
    let end = torn.len();
    torn[end - 3 * 4_120..end - 2 * 4_120].fill(0);
    assert_eq!(events_of(&file, &torn).await.unwrap(), APPENDS - 1);
}
