//! Why the read models did not do as asked.

/// The database of the read models failed, or holds what this program cannot read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL names no database.
    #[error(
        "{shown:?} names no database for read models; give sqlite:PATH or postgres://USER@HOST/DATABASE"
    )]
    Url {
        /// The URL's beginning; what comes behind may be a password.
        shown: String,
    },
    /// The database failed.
    #[error("the read models' database could not {action}")]
    Database {
        /// What it was doing.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: sqlx::Error,
    },
    /// The tables cannot be brought up to date.
    #[error("the read models' tables cannot be brought up to date")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// A row is not what its table promises.
    #[error("a row of {table} cannot be read; rebuild it with `firefly projections rebuild`")]
    Row {
        /// The table.
        table: &'static str,
        /// How it shows.
        #[source]
        source: serde_json::Error,
    },
}

/// The error of a database that could not do something.
pub(crate) const fn failed(action: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |source| Error::Database { action, source }
}
