//! What a URL names, and what the engine behind it can count.

use std::path::{Path, PathBuf};

use sqlx::{Connection, PgConnection};

use crate::store::{Error, engine};
use crate::{eventstoredb, sqlite};

/// The engine that a URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    Postgres,
    /// An EventStoreDB or KurrentDB database.
    EventStoreDb,
    /// Another one, by its scheme, or none.
    Other(String),
}

impl Engine {
    /// Tells it by the URL alone.
    pub fn of(url: &str) -> Self {
        match url.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => {
                Self::Sqlite(Path::new(path.trim_start_matches("//")).to_owned())
            }
            Some(("postgres" | "postgresql", _)) => Self::Postgres,
            Some((scheme, _)) if eventstoredb::is_scheme(scheme) => Self::EventStoreDb,
            Some((scheme, _)) => Self::Other(scheme.to_owned()),
            None => Self::Other(String::new()),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres => "postgres",
            Self::EventStoreDb => "eventstoredb",
            Self::Other(scheme) => scheme,
        }
    }

    /// Whether it counts positions without gaps, so that the head is the number of events.
    pub const fn is_contiguous(&self) -> bool {
        matches!(self, Self::Sqlite(_) | Self::Postgres)
    }
}

/// What an engine can count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events.
    pub events: Option<u64>,
    /// Streams.
    pub streams: Option<u64>,
    /// Bytes on the disk.
    pub bytes: Option<u64>,
}

/// Counts what there is in the log that a URL names.
///
/// # Errors
///
/// The engine failed.
pub async fn counts(url: &str) -> Result<Counts, Error> {
    match Engine::of(url) {
        Engine::Sqlite(path) => tokio::task::spawn_blocking(move || sqlite::counts(&path))
            .await
            .map_err(engine("count its events"))?,
        Engine::Postgres => postgres(url).await.map_err(engine("count its events")),
        // It would have to be read from end to end.
        Engine::EventStoreDb | Engine::Other(_) => Ok(Counts::default()),
    }
}

async fn postgres(url: &str) -> Result<Counts, sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    let (events, streams): (i64, i64) =
        sqlx::query_as("SELECT count(*), count(DISTINCT stream) FROM events")
            .fetch_one(&mut connection)
            .await?;
    connection.close().await?;
    Ok(Counts {
        events: Some(events.unsigned_abs()),
        streams: Some(streams.unsigned_abs()),
        bytes: None,
    })
}
