//! Why the read models did not do as asked.

use sqlx::error::DatabaseError;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

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
    /// The database does not take a row for what the row says, and would not the next time either.
    #[error("{table} cannot hold what the event makes of it{said}")]
    Refused {
        /// The table.
        table: &'static str,
        /// What PostgreSQL says besides, of a value that it cannot read; of others that would be the whole row.
        said: String,
        /// What the database says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
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

impl Error {
    /// The error of writing or reading rows of a table by what events say.
    pub(crate) fn of_rows(self, table: &'static str) -> Self {
        match self {
            Self::Database {
                source: sqlx::Error::Database(source),
                ..
            } if is_refusal(&*source) => Self::Refused {
                table,
                said: said(&*source),
                source: source.into_error(),
            },
            other => other,
        }
    }
}

/// Whether a database finds fault with the values themselves. Whatever may be otherwise the next time (connections, locks,
/// time limits, disks, memory) is not among these.
fn is_refusal(error: &dyn DatabaseError) -> bool {
    let Some(code) = error.code() else {
        return false;
    };
    if error.try_downcast_ref::<SqliteError>().is_some() {
        // The primary code is in the low byte, https://sqlite.org/rescode.html.
        let primary = code.parse::<i32>().map(|code| code & 0xff);
        return primary.is_ok_and(|code| SQLITE_REFUSALS.contains(&code));
    }
    let mut classes = POSTGRES_REFUSALS.iter();
    classes.any(|class| code.starts_with(class))
}

/// Too big, constraint violated, mismatch.
const SQLITE_REFUSALS: [i32; 3] = [18, 19, 20];

/// Data exceptions, integrity constraint violations, and what is too long for an index. The last of them is also said by a
/// server that takes no commits at all any more; then the note that a projection stopped is refused too, and nothing stops.
/// See <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
const POSTGRES_REFUSALS: [&str; 3] = ["22", "23", "54000"];

fn said(error: &dyn DatabaseError) -> String {
    let error = error.try_downcast_ref::<PgDatabaseError>();
    let error = error.filter(|error| error.code().starts_with("22"));
    let detail = error.and_then(PgDatabaseError::detail);
    detail.map_or_else(String::new, |detail| {
        format!(" ({})", detail.trim_end_matches('.'))
    })
}

/// The error of a database that could not do something.
pub(crate) const fn failed(action: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |source| Error::Database { action, source }
}
