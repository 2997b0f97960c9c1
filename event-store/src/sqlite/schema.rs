//! The file: how it is opened, and how its schema is brought up to date.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags, TransactionBehavior};
use uuid::Uuid;

use crate::store::{Error, engine};

/// Forward only; the number of those that a file has had is its `user_version`.
const MIGRATIONS: [&str; 1] = [include_str!(
    "../../../migrations/event-log-sqlite/0001_events.sql"
)];

/// Marks the file as a log of ours (`application_id`): "FFly".
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"FFly");

/// How long SQLite waits for a lock that another process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Statements kept prepared by each connection; there are fewer.
const STATEMENTS: usize = 32;

/// Pages kept by the connection that writes, in KiB: the inner nodes of the indexes of some ten million events.
const WRITER_CACHE_KIB: i64 = 16 * 1024;

/// Pages (of 4 KiB) in the write-ahead log before a commit moves them into the file. Pages that were written many times are
/// moved once, so more is faster; the file beside the log may take so much of the disk, and its reader so long after a crash.
const CHECKPOINT_PAGES: i64 = 4_000;

/// Opens the file for the writer, making it if there is none.
pub(super) fn writable(path: &Path) -> Result<Connection, Error> {
    open_writable(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
    )
}

/// Opens the file of a log for the writer again. What lies there now must be the same log.
pub(super) fn writable_again(path: &Path, log: Uuid) -> Result<Connection, Error> {
    let connection = open_writable(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    if id(&connection)? == log {
        return Ok(connection);
    }
    Err(Error::Engine {
        action: "open its file again",
        source: format!("{} is another log now", path.display()).into(),
    })
}

/// What tells a log from others.
pub(super) fn id(connection: &Connection) -> Result<Uuid, Error> {
    connection
        .query_row("SELECT id FROM log", [], |row| row.get(0))
        .map(Uuid::from_bytes)
        .map_err(failed("find its id"))
}

fn open_writable(path: &Path, flags: OpenFlags) -> Result<Connection, Error> {
    let mut connection = connect(path, flags)?;
    check_owner(&connection, path)?;
    check_writable(&connection, path)?;
    // A commit is on the disk before it is acknowledged (sqlite.org/pragma.html#pragma_synchronous).
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .and_then(|()| connection.pragma_update(None, "synchronous", "FULL"))
        .and_then(|()| connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB))
        .and_then(|()| connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES))
        .map_err(failed("set up its file"))?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// Opens the file for a reader.
pub(super) fn readable(path: &Path) -> Result<Connection, Error> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Error> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(failed("open its file"))?;
    connection
        .busy_timeout(BUSY_TIMEOUT)
        .map_err(failed("open its file"))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// Refuses a database of something else before a byte of it is changed.
fn check_owner(connection: &Connection, path: &Path) -> Result<(), Error> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let (owner, tables) = number("application_id")
        .and_then(|owner| Ok((owner, number("schema_version")?)))
        .map_err(failed("read its file"))?;
    if owner == APPLICATION_ID || (owner == 0 && tables == 0) {
        return Ok(());
    }
    Err(foreign(path))
}

/// Refuses a file that SQLite opened for reading only, since it may not be written: that is said before anything is tried.
fn check_writable(connection: &Connection, path: &Path) -> Result<(), Error> {
    let read_only = connection
        .is_readonly(MAIN_DB)
        .map_err(failed("open its file"))?;
    if read_only {
        return Err(Error::Engine {
            action: "write to its file",
            source: format!("{} is read-only", path.display()).into(),
        });
    }
    Ok(())
}

fn foreign(path: &Path) -> Error {
    Error::Engine {
        action: "use its file",
        source: format!(
            "{} is a database of something else, or a log of Firefly 0.1.0, which is not converted",
            path.display()
        )
        .into(),
    }
}

/// Refuses a file that is not, or not yet, a log as this program knows it.
pub(super) fn check_known(connection: &Connection, path: &Path) -> Result<(), Error> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let (owner, version) = number("application_id")
        .and_then(|owner| Ok((owner, number("user_version")?)))
        .map_err(failed("read its file"))?;
    if owner != APPLICATION_ID {
        return Err(foreign(path));
    }
    if usize::try_from(version).is_ok_and(|version| version <= MIGRATIONS.len()) {
        return Ok(());
    }
    Err(newer(version.unsigned_abs()))
}

fn newer(version: u32) -> Error {
    let known = MIGRATIONS.len();
    Error::Engine {
        action: "use its file",
        source: format!(
            "its schema has version {version} and this program knows {known}; run the newer Firefly that made it"
        )
        .into(),
    }
}

fn migrate(connection: &mut Connection) -> Result<(), Error> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed("bring its schema up to date"))?;
    let version: u32 = transaction
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(failed("find its schema's version"))?;
    let known = MIGRATIONS.len() as u32;
    let Some(missing) = MIGRATIONS.get(version as usize..) else {
        return Err(newer(version));
    };
    if missing.is_empty() {
        return Ok(());
    }
    missing
        .iter()
        .try_for_each(|migration| transaction.execute_batch(migration))
        .and_then(|()| transaction.pragma_update(None, "user_version", known))
        .and_then(|()| transaction.pragma_update(None, "application_id", APPLICATION_ID))
        .and_then(|()| transaction.commit())
        .map_err(failed("bring its schema up to date"))
}

/// The error of SQLite as the log's: damage is told apart from what may pass.
pub(super) fn failed(action: &'static str) -> impl Fn(rusqlite::Error) -> Error {
    move |source| match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Error::Corrupt {
            what: "its file".to_owned(),
            detail: source.to_string(),
            position: None,
        },
        _ => engine(action)(source),
    }
}
