//! Which engine keeps the log: a URL says it.

use std::path::Path;
use std::sync::Arc;

use crate::eventstoredb::{self, EventStoreDbEventStore};
use crate::postgres::PostgresEventStore;
use crate::sqlite::SqliteEventStore;
use crate::store::{Error, EventStore};

/// Why a log was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL names no engine.
    #[error(
        "{shown:?} names no event log; give sqlite:PATH, postgres://USER@HOST/DATABASE or esdb://USER@HOST"
    )]
    Url {
        /// The URL's beginning; what comes behind may be a password.
        shown: String,
    },
    /// The engine failed.
    #[error("the event log cannot be opened")]
    Engine(#[source] Error),
}

/// Opens the log that a URL names, making it if it is not there: `sqlite:PATH`, `postgres://…`, `esdb://…` or
/// `kurrentdb://…`.
///
/// # Errors
///
/// See [`OpenError`].
pub async fn open(url: &str) -> Result<Arc<dyn EventStore>, OpenError> {
    let scheme = url.split(':').next().unwrap_or_default();
    match scheme {
        "sqlite" if url.len() > "sqlite:".len() => {
            let path = url["sqlite:".len()..].trim_start_matches("//");
            let store = SqliteEventStore::open(Path::new(path))
                .await
                .map_err(OpenError::Engine)?;
            Ok(Arc::new(store))
        }
        "postgres" | "postgresql" => {
            let store = PostgresEventStore::open(url)
                .await
                .map_err(OpenError::Engine)?;
            Ok(Arc::new(store))
        }
        scheme if eventstoredb::is_scheme(scheme) => {
            let store = EventStoreDbEventStore::open(url)
                .await
                .map_err(OpenError::Engine)?;
            Ok(Arc::new(store))
        }
        _ => Err(OpenError::Url {
            shown: scheme.chars().take(20).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_url_picks_the_engine() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("events.db");
        assert!(open(&format!("sqlite:{}", path.display())).await.is_ok());
        assert!(path.exists());
        assert!(matches!(
            open("postgres://nobody@127.0.0.1:1/none").await,
            Err(OpenError::Engine(_))
        ));
        for url in ["", "mysql://host", "/plain/path", "sqlite"] {
            assert!(
                matches!(open(url).await, Err(OpenError::Url { .. })),
                "{url:?}"
            );
        }
    }
}
