//! The database of the read models.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use crate::runner::Error;

/// Connections: one for each projection, the rest for queries.
const CONNECTIONS: u32 = 8;

/// How long one projection waits while another commits.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens the read models, making or upgrading their tables.
///
/// A commit need not reach the disk before it counts (`synchronous = NORMAL`): what a power cut takes away is
/// projected again, rows and checkpoint together.
///
/// # Errors
///
/// The file cannot be opened, or its schema is newer than this program.
pub async fn open(path: &Path) -> Result<SqlitePool, Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(BUSY_TIMEOUT);
    let pool = SqlitePoolOptions::new()
        .max_connections(CONNECTIONS)
        .connect_with(options)
        .await
        .map_err(|source| Error::Database {
            action: "open",
            source,
        })?;
    sqlx::migrate!("../migrations/read-models-sqlite")
        .run(&pool)
        .await
        .map_err(Error::Migration)?;
    Ok(pool)
}
