//! Whether the structure of the file can be trusted: its tables, its indexes, and that they agree.
//!
//! The checksum of a row tells that what is read was written. That there is *no* row is what tables and indexes say, and a bit
//! that flips in one of them hides rows from some reads and not from others: a stream seems to end early or never to have
//! begun, a request never to have been made. So all of the structure is looked through whenever a log is opened.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread;

use rusqlite::{Connection, ErrorCode, InterruptHandle};

use super::schema::{failed, readable};
use crate::store::{Error, engine};

/// A file of so many bytes is looked through before anything is answered from it. That takes some 3 ms for each MB, so a
/// larger one is looked through meanwhile, and answered from until something is found.
const AT_ONCE_BYTES_MAX: i64 = 64 * 1024 * 1024;

/// What is known of the structure. Dropping it ends the look.
#[derive(Default)]
pub(super) struct Structure {
    damage: Arc<OnceLock<String>>,
    looking: Option<InterruptHandle>,
}

impl std::fmt::Debug for Structure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Structure")
            .field("damage", &self.damage)
            .finish_non_exhaustive()
    }
}

impl Structure {
    /// Looks through a file, or begins to.
    ///
    /// # Errors
    ///
    /// The file is damaged, or cannot be read.
    pub(super) fn examine(path: &Path, connection: &Connection) -> Result<Self, Error> {
        if bytes(connection)? <= AT_ONCE_BYTES_MAX {
            check(connection)?;
            return Ok(Self::default());
        }
        Self::examine_meanwhile(path.to_owned())
    }

    fn examine_meanwhile(path: PathBuf) -> Result<Self, Error> {
        let connection = readable(&path)?;
        let looking = Some(connection.get_interrupt_handle());
        let damage = Arc::new(OnceLock::new());
        let found = Arc::clone(&damage);
        thread::Builder::new()
            .name("event-log-check".to_owned())
            .spawn(move || look(&connection, &path, &found))
            .map_err(engine("start a thread"))?;
        Ok(Self { damage, looking })
    }

    /// Refuses to go on if damage was found.
    pub(super) fn trusted(&self) -> Result<(), Error> {
        match self.damage.get() {
            None => Ok(()),
            Some(damage) => Err(corrupt(damage.clone())),
        }
    }
}

impl Drop for Structure {
    fn drop(&mut self) {
        if let Some(looking) = &self.looking {
            looking.interrupt();
        }
    }
}

fn look(connection: &Connection, path: &Path, damage: &OnceLock<String>) {
    let found = match check(connection) {
        Ok(()) => return,
        Err(Error::Corrupt { detail, .. }) => detail,
        Err(Error::Engine { source, .. }) if is_interrupted(&*source) => return,
        Err(error) => {
            tracing::warn!(?error, "the event log's file could not be looked through");
            return;
        }
    };
    tracing::error!(file = %path.display(), damage = found, "the event log is damaged; nothing is answered from it any more");
    // Nobody else sets it.
    let _ = damage.set(found);
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
pub(super) fn check(connection: &Connection) -> Result<(), Error> {
    let found: String = connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(failed("look through its file"))?;
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
        .map_err(engine("look through its file"))?
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
    const DEADLINE: std::time::Duration = std::time::Duration::from_secs(20);

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
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(DEADLINE, found).await.unwrap();
        assert!(matches!(structure.trusted(), Err(Error::Corrupt { .. })));
    }
}
