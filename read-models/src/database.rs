//! The database of the read models, whichever it is.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::sync::{Mutex, Notify};

use crate::error::{Error, failed};
use crate::rows::Row;
use crate::table::{Dialect, Physical};
use crate::transaction::Transaction;
use crate::value::{Fields, Value, postgres_fields, sqlite_fields};

/// Connections: one for each projection and rebuild, the rest for queries.
const CONNECTIONS: u32 = 16;

/// How long one process waits while another commits.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Pages that a connection to SQLite remembers, in KiB when negative: the upper levels of every index.
const CACHE_SIZE: &str = "-16384";

/// Pages that the connection that writes remembers: the indexes over some hundred thousand rows.
const WRITER_CACHE_SIZE: &str = "-65536";

/// Pages of the write-ahead log after which whoever writes puts them into the file before it goes on: 64 MiB. Until then
/// [`Database::checkpoint`] does it beside the writer, and then few are left.
const CHECKPOINT_PAGES: &str = "16384";

/// Prepared statements of a connection to SQLite.
const STATEMENTS_KEPT: usize = 500;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What every connection to PostgreSQL is set to. A commit need not reach the disk before it counts: what a power cut takes
/// away is projected again, rows and checkpoint together.
const SETTINGS: [(&str, &str); 4] = [
    ("synchronous_commit", "off"),
    ("statement_timeout", "60s"),
    ("lock_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "60s"),
];

/// The read models. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Database {
    /// In a SQLite file.
    Sqlite {
        /// Connections to it that read.
        pool: SqlitePool,
        /// The one connection that writes. Whatever another one commits makes a connection forget all pages that it has
        /// read, so that with one alone they stay in memory.
        writer: SqlitePool,
        /// Held by whoever writes: waiting here is fair, waiting in SQLite is not.
        writing: Arc<Mutex<()>>,
        /// Notified by each commit.
        committed: Arc<Notify>,
    },
    /// In a PostgreSQL database.
    Postgres {
        /// Connections to it.
        pool: PgPool,
    },
}

/// Opens the read models that `sqlite:PATH` or `postgres://…` names, making or upgrading what they need.
///
/// # Errors
///
/// The database cannot be opened, or its schema is newer than this program.
pub async fn open(url: &str) -> Result<Database, Error> {
    match url.split_once(':') {
        Some(("sqlite", path)) if !path.is_empty() => {
            open_sqlite(Path::new(path.trim_start_matches("//"))).await
        }
        Some(("postgres" | "postgresql", _)) => open_postgres(url).await,
        _ => Err(unnamed(url)),
    }
}

/// Opens read models that are there to look at them, and changes nothing, not even their schema.
///
/// # Errors
///
/// They are not there, or cannot be read.
pub async fn look(url: &str) -> Result<Database, Error> {
    match url.split_once(':') {
        Some(("sqlite", path)) if !path.is_empty() => {
            let options = SqliteConnectOptions::new()
                .filename(path.trim_start_matches("//"))
                .read_only(true)
                .busy_timeout(BUSY_TIMEOUT);
            let pool = SqlitePoolOptions::new()
                .max_connections(1)
                .acquire_timeout(CONNECT_TIMEOUT)
                .connect_with(options)
                .await
                .map_err(failed("open"))?;
            Ok(Database::Sqlite {
                writer: pool.clone(),
                pool,
                writing: Arc::default(),
                committed: Arc::default(),
            })
        }
        Some(("postgres" | "postgresql", _)) => Ok(Database::Postgres {
            pool: connect_postgres(url).await?,
        }),
        _ => Err(unnamed(url)),
    }
}

fn unnamed(url: &str) -> Error {
    Error::Url {
        shown: url
            .split(':')
            .next()
            .unwrap_or_default()
            .chars()
            .take(20)
            .collect(),
    }
}

async fn open_sqlite(path: &Path) -> Result<Database, Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // What a power cut takes away is projected again, rows and checkpoint together.
        .synchronous(SqliteSynchronous::Normal)
        .pragma("cache_size", CACHE_SIZE)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        // Statements of many rows keep in memory, not in a file, what would undo them.
        .pragma("temp_store", "memory")
        .statement_cache_capacity(STATEMENTS_KEPT)
        .busy_timeout(BUSY_TIMEOUT);
    let pool = SqlitePoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(BUSY_TIMEOUT)
        .connect_with(options)
        .await
        .map_err(failed("open"))?;
    sqlx::migrate!("../migrations/read-models-sqlite")
        .run(&pool)
        .await
        .map_err(Error::Migration)?;
    let options = (*pool.connect_options()).clone();
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(BUSY_TIMEOUT)
        .connect_with(options.pragma("cache_size", WRITER_CACHE_SIZE))
        .await
        .map_err(failed("open"))?;
    Ok(Database::Sqlite {
        pool,
        writer,
        writing: Arc::default(),
        committed: Arc::default(),
    })
}

async fn connect_postgres(url: &str) -> Result<PgPool, Error> {
    let options = PgConnectOptions::from_str(url)
        .map_err(failed("read its URL"))?
        .options(SETTINGS);
    PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(CONNECT_TIMEOUT)
        .connect_with(options)
        .await
        .map_err(failed("connect to its server"))
}

async fn open_postgres(url: &str) -> Result<Database, Error> {
    let pool = connect_postgres(url).await?;
    // The log may be in the same database, with migrations of its own.
    sqlx::migrate!("../migrations/read-models-postgres")
        .dangerous_set_table_name("read_model_migrations")
        .run(&pool)
        .await
        .map_err(Error::Migration)?;
    Ok(Database::Postgres { pool })
}

/// Binds values in order; `$1` is the first.
macro_rules! bound {
    ($query:expr, $values:expr) => {{
        let mut query = sqlx::query(sqlx::AssertSqlSafe($query));
        for value in $values {
            query = match value {
                Value::Text(text) => query.bind(text),
                Value::Integer(number) => query.bind(number),
            };
        }
        query
    }};
}
pub(crate) use bound;

impl Database {
    pub(crate) const fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite { .. } => Dialect::Sqlite,
            Self::Postgres { .. } => Dialect::Postgres,
        }
    }

    /// Begins to write.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub async fn begin(&self) -> Result<Transaction, Error> {
        Transaction::begin(self).await
    }

    /// Puts into the SQLite file what its write-ahead log holds, while others write; on PostgreSQL the server does so itself.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub async fn checkpoint(&self) -> Result<(), Error> {
        if let Self::Sqlite { pool, .. } = self {
            let checkpoint = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)");
            let done = checkpoint.fetch_optional(pool).await;
            done.map_err(failed("put its write-ahead log into its file"))?;
        }
        Ok(())
    }

    /// Waits until something was committed since it was last waited for, which [`checkpoint`](Self::checkpoint) could put
    /// where it stays; for ever where the server does that by itself.
    pub async fn committed(&self) {
        match self {
            Self::Sqlite { committed, .. } => committed.notified().await,
            Self::Postgres { .. } => std::future::pending().await,
        }
    }

    /// The rows that a query gives. Its text is ours; what callers ask for is bound.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub(crate) async fn fields(&self, query: &str, values: &[Value]) -> Result<Vec<Fields>, Error> {
        let failed = failed("read rows");
        match self {
            Self::Sqlite { pool, .. } => {
                let rows = bound!(query.to_owned(), values.iter().cloned())
                    .fetch_all(pool)
                    .await;
                rows.and_then(|rows| rows.iter().map(sqlite_fields).collect())
            }
            Self::Postgres { pool } => {
                let rows = bound!(query.to_owned(), values.iter().cloned())
                    .fetch_all(pool)
                    .await;
                rows.and_then(|rows| rows.iter().map(postgres_fields).collect())
            }
        }
        .map_err(failed)
    }

    /// The rows of a kind that its view and what comes behind its name give, such as `WHERE "user" = $1`.
    ///
    /// # Errors
    ///
    /// The database failed, or a row cannot be read.
    pub async fn rows<R: Row>(&self, behind: &str, values: &[Value]) -> Result<Vec<R>, Error> {
        let table = R::TABLE.name;
        let columns = R::TABLE.column_names();
        let query = format!("SELECT {columns} FROM \"{table}\" {behind}");
        typed(table, self.fields(&query, values).await?)
    }

    /// The rows of one build with these keys, for whoever writes it.
    ///
    /// # Errors
    ///
    /// The database failed, or a row cannot be read.
    pub async fn load<R: Row>(&self, build: i64, keys: &[&str]) -> Result<Vec<R>, Error> {
        let (query, keys) = selecting::<R>(self.dialect(), build, keys);
        let found = match self {
            Self::Sqlite { writer, .. } => {
                let rows = bound!(query, [keys]).fetch_all(writer).await;
                rows.and_then(|rows| rows.iter().map(sqlite_fields).collect())
                    .map_err(failed("read rows"))
            }
            Self::Postgres { .. } => self.fields(&query, &[keys]).await,
        };
        loaded::<R>(found)
    }
}

/// The query for rows of one build by their keys.
pub(crate) fn selecting<R: Row>(dialect: Dialect, build: i64, keys: &[&str]) -> (String, Value) {
    let table = Physical {
        table: R::TABLE,
        build,
    };
    let keys = serde_json::json!(keys).to_string();
    (table.select(dialect), keys.into())
}

/// What that query gives.
pub(crate) fn loaded<R: Row>(found: Result<Vec<Fields>, Error>) -> Result<Vec<R>, Error> {
    let table = R::TABLE.name;
    typed(table, found.map_err(|error| error.of_rows(table))?)
}

pub(crate) fn typed<R: DeserializeOwned>(
    table: &'static str,
    rows: Vec<Fields>,
) -> Result<Vec<R>, Error> {
    rows.into_iter()
        .map(|fields| {
            serde_json::from_value(fields.into()).map_err(|source| Error::Row { table, source })
        })
        .collect()
}
