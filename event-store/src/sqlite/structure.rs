//! Whether the structure of the file can be trusted: its tables, its indexes, and that they agree.
//!
//! The checksum of a row tells that what is read was written. That there is *no* row is what tables and indexes say, and a bit
//! that flips in one of them hides rows from some reads and not from others: a stream seems to end early or never to have
//! begun, a request never to have been made. So all of the structure is looked through whenever a log is opened.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, InterruptHandle};

use super::schema::{failed, readable};
use crate::store::{Error, engine};

/// A file of so many bytes is looked through before anything is answered from it. That takes some 3 ms for each MB, so a
/// larger one is looked through meanwhile, and answered from until something is found.
const AT_ONCE_BYTES_MAX: i64 = 64 * 1024 * 1024;

/// What fails if it does, in words.
const LOOK: &str = "look through its file";

/// How often a look that fails is taken altogether, with twice the pause after each: a lock or a disk gets a minute to recover.
const LOOKS_MAX: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// What is known of the structure. Dropping it ends the look.
#[derive(Default)]
pub(super) struct Structure {
    doubt: Arc<OnceLock<Doubt>>,
    _look: Option<Look>,
}

/// Why nothing is answered any more.
#[derive(Clone, Debug)]
pub(super) enum Doubt {
    /// This is wrong with the file.
    Damaged(String),
    /// It could not be looked through, for this reason.
    Unknown(String),
}

/// A look that is being taken.
struct Look {
    running: InterruptHandle,
    stop: Option<Sender<()>>,
}

impl std::fmt::Debug for Structure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Structure")
            .field("doubt", &self.doubt)
            .finish_non_exhaustive()
    }
}

impl From<Doubt> for Structure {
    fn from(doubt: Doubt) -> Self {
        Self {
            doubt: Arc::new(OnceLock::from(doubt)),
            _look: None,
        }
    }
}

impl Structure {
    /// Looks through a file, or begins to if it is a large one.
    ///
    /// # Errors
    ///
    /// The file is damaged, or cannot be read.
    pub(super) fn examine(path: &Path, connection: &Connection) -> Result<Self, Error> {
        if bytes(connection)? <= AT_ONCE_BYTES_MAX {
            return Self::examine_first(connection);
        }
        Self::examine_meanwhile(path.to_owned())
    }

    /// Looks through a file, whatever its size.
    ///
    /// # Errors
    ///
    /// The file is damaged, or cannot be read.
    pub(super) fn examine_first(connection: &Connection) -> Result<Self, Error> {
        check(connection)?;
        Ok(Self::default())
    }

    fn examine_meanwhile(path: PathBuf) -> Result<Self, Error> {
        let connection = readable(&path)?;
        let (stop, stopped) = mpsc::channel();
        let look = Some(Look {
            running: connection.get_interrupt_handle(),
            stop: Some(stop),
        });
        let doubt = Arc::new(OnceLock::new());
        let found = Arc::clone(&doubt);
        let goes_on_after =
            move |pause| stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout);
        thread::Builder::new()
            .name("event-log-check".to_owned())
            .spawn(move || {
                if let Some(doubt) = look_through(|| check(&connection), goes_on_after) {
                    tracing::error!(file = %path.display(), ?doubt, "nothing is answered from the event log any more");
                    // Nobody else sets it.
                    let _ = found.set(doubt);
                }
            })
            .map_err(engine("start a thread"))?;
        Ok(Self { doubt, _look: look })
    }

    /// Refuses to go on if the file is damaged, or nobody can tell.
    pub(super) fn trusted(&self) -> Result<(), Error> {
        match self.doubt.get() {
            None => Ok(()),
            Some(Doubt::Damaged(detail)) => Err(corrupt(detail.clone())),
            Some(Doubt::Unknown(reason)) => Err(engine(LOOK)(reason.clone())),
        }
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        self.stop.take();
        self.running.interrupt();
    }
}

/// Looks until it is known whether the file is damaged, or the look was ended, or it failed too often.
fn look_through(
    mut check: impl FnMut() -> Result<(), Error>,
    goes_on_after: impl Fn(Duration) -> bool,
) -> Option<Doubt> {
    let mut pause = FIRST_PAUSE;
    for look in 1.. {
        let error = match check() {
            Ok(()) => return None,
            Err(Error::Corrupt { detail, .. }) => return Some(Doubt::Damaged(detail)),
            Err(Error::Engine { source, .. }) if is_interrupted(&*source) => return None,
            Err(error) => error,
        };
        tracing::warn!(
            ?error,
            look,
            "the event log's file could not be looked through"
        );
        if look == LOOKS_MAX {
            return Some(Doubt::Unknown(format!(
                "that failed {look} times: {}",
                chain(&error)
            )));
        }
        if !goes_on_after(pause) {
            return None;
        }
        pause *= 2;
    }
    None
}

/// An error with all that it comes from.
fn chain(error: &Error) -> String {
    let first: &dyn std::error::Error = error;
    let all = std::iter::successors(Some(first), |error| error.source());
    let said: Vec<String> = all.map(ToString::to_string).collect();
    said.join(": ")
}

fn is_interrupted(error: &(dyn std::error::Error + 'static)) -> bool {
    let error = error.downcast_ref::<rusqlite::Error>();
    error.and_then(rusqlite::Error::sqlite_error_code) == Some(ErrorCode::OperationInterrupted)
}

fn bytes(connection: &Connection) -> Result<i64, Error> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    number("page_count")
        .and_then(|pages| Ok(pages.saturating_mul(number("page_size")?)))
        .map_err(failed("read its file"))
}

/// Looks through everything (sqlite.org/pragma.html#pragma_integrity_check).
///
/// That is one reading transaction, and the write-ahead log is not begun anew while it lasts. Table by table would not
/// shorten it: nearly all pages belong to the table of events and its indexes, which are compared with each other.
pub(super) fn check(connection: &Connection) -> Result<(), Error> {
    let found: String = connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(failed(LOOK))?;
    if found == "ok" {
        Ok(())
    } else {
        Err(corrupt(found))
    }
}

/// Looks through the file of a log, whatever its size.
///
/// # Errors
///
/// The file is damaged, which [`Error::Corrupt`] describes, or cannot be read.
pub async fn examine(path: &Path) -> Result<(), Error> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || check(&readable(&path)?))
        .await
        .map_err(engine(LOOK))?
}

fn corrupt(detail: String) -> Error {
    Error::Corrupt {
        what: "its file".to_owned(),
        detail,
        position: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::SqliteEventStore;
    use super::*;
    use crate::contract;
    use crate::event::Position;
    use crate::store::{EventStore, Expected};

    /// Long enough for a loaded machine; reached only by a test that fails.
    const DEADLINE: Duration = Duration::from_secs(20);

    /// A log that one of its indexes misses rows of.
    async fn damaged() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        let store = SqliteEventStore::open(&path).await.unwrap();
        for _ in 0..3 {
            let stream = contract::a_stream();
            let events = contract::some_events(2);
            store
                .append(&stream, Expected::NoStream, events)
                .await
                .unwrap();
        }
        drop(store);
        let file = Connection::open(&path).unwrap();
        let swap = "PRAGMA writable_schema = ON; \
             UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_streams_1') \
             WHERE name = 'sqlite_autoindex_events_1'";
        file.execute_batch(swap).unwrap();
        (folder, path)
    }

    #[tokio::test]
    async fn a_short_log_is_looked_through_before_it_is_opened() {
        let (_folder, path) = damaged().await;
        let refused = SqliteEventStore::open(&path).await;
        assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
        let refused = examine(&path).await;
        assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
    }

    #[tokio::test]
    async fn a_log_of_any_size_is_looked_through_first_for_those_who_ask_for_it() {
        let (_folder, path) = damaged().await;
        let refused = SqliteEventStore::open_examined(&path).await;
        assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
    }

    #[test]
    fn a_look_that_fails_is_taken_again_and_then_the_log_is_refused() {
        let busy = || Err(engine(LOOK)("database is locked"));
        let looks = std::cell::Cell::new(0);
        let doubt = look_through(
            || {
                looks.set(looks.get() + 1);
                busy()
            },
            |_| true,
        );
        assert_eq!(looks.get(), LOOKS_MAX);
        let refused = Structure::from(doubt.unwrap()).trusted();
        let Err(Error::Engine { source, .. }) = refused else {
            panic!("{refused:?}")
        };
        assert!(
            source.to_string().contains("database is locked"),
            "{source}"
        );
    }

    #[test]
    fn a_look_that_succeeds_at_last_leaves_no_doubt() {
        let mut answers = vec![Ok(()), Err(engine(LOOK)("disk I/O error"))];
        assert!(look_through(|| answers.pop().unwrap(), |_| true).is_none());
        assert!(answers.is_empty());
    }

    #[test]
    fn nothing_is_looked_at_any_more_once_the_log_is_closed() {
        let mut answers = vec![Err(engine(LOOK)("disk I/O error"))];
        assert!(look_through(|| answers.pop().unwrap(), |_| false).is_none());
    }

    #[tokio::test]
    async fn what_can_be_read_of_a_damaged_log_is_shown_to_those_who_ask_for_it() {
        let (_folder, path) = damaged().await;
        let store = SqliteEventStore::open_unexamined(&path).await.unwrap();
        assert_eq!(store.read_all(Position::START, 10).await.unwrap().len(), 6);
    }

    #[tokio::test]
    async fn a_long_log_is_refused_as_soon_as_damage_is_found() {
        let (_folder, path) = damaged().await;
        let structure = Structure::examine_meanwhile(path).unwrap();
        let found = async {
            while structure.trusted().is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(DEADLINE, found).await.unwrap();
        assert!(matches!(structure.trusted(), Err(Error::Corrupt { .. })));
    }
}
