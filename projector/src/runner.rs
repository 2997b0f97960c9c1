//! Runs one projection: follows the log and commits rows and checkpoint together.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use firefly_event_store::{DecodeError, DomainEvent, EventStore, Position, RecordedEvent, follow};
use futures::StreamExt;
use sqlx::{Connection, SqliteConnection, SqlitePool};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::projection::{Projection, sql};

/// How long a projection waits before it tries again after its database or the log failed.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Why a projection cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database of the read models failed.
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
    /// The log failed.
    #[error("the event log could not be read")]
    Log(#[source] firefly_event_store::Error),
    /// An event cannot be read.
    #[error("an event cannot be projected")]
    Poison(#[source] DecodeError),
}

impl Error {
    /// Whether trying again may help.
    const fn passes(&self) -> bool {
        matches!(self, Self::Database { .. } | Self::Log(_))
    }
}

pub(crate) struct Runner {
    projection: Arc<dyn Projection>,
    database: SqlitePool,
    store: Arc<dyn EventStore>,
    checkpoint: watch::Sender<Position>,
}

impl Runner {
    pub(crate) async fn build(
        projection: Arc<dyn Projection>,
        database: SqlitePool,
        store: Arc<dyn EventStore>,
    ) -> Result<Self, Error> {
        let position = start(&*projection, &database, &*store)
            .await
            .map_err(|source| Error::Database {
                action: "find a projection's checkpoint",
                source,
            })?;
        let (checkpoint, _) = watch::channel(position);
        Ok(Self {
            projection,
            database,
            store,
            checkpoint,
        })
    }

    pub(crate) fn checkpoint(&self) -> watch::Receiver<Position> {
        self.checkpoint.subscribe()
    }

    pub(crate) async fn run(self, shutdown: CancellationToken) {
        shutdown.run_until_cancelled(self.project()).await;
    }

    /// Projects for ever; comes back only when an event cannot be taken in.
    async fn project(&self) {
        loop {
            match self.follow().await {
                Ok(()) => return,
                Err(error) if error.passes() => {
                    tracing::warn!(projection = self.projection.name(), error = %chain(&error), "a projection tries again");
                    tokio::time::sleep(RETRY_DELAY).await;
                }
                Err(error) => {
                    tracing::error!(projection = self.projection.name(), error = %chain(&error), "a projection stopped");
                    self.record_failure(&chain(&error)).await;
                    return;
                }
            }
        }
    }

    async fn follow(&self) -> Result<(), Error> {
        let position = *self.checkpoint.borrow();
        let mut pages = std::pin::pin!(follow(Arc::clone(&self.store), position));
        while let Some(page) = pages.next().await {
            self.commit(&page.map_err(Error::Log)?).await?;
        }
        Ok(())
    }

    /// One transaction: the rows of these events, and the checkpoint behind them.
    async fn commit(&self, events: &[RecordedEvent]) -> Result<(), Error> {
        let failed = |source| Error::Database {
            action: "commit a projection",
            source,
        };
        let mut connection = self.database.acquire().await.map_err(failed)?;
        match self.write(&mut connection, events).await {
            Ok((reached, poison)) => {
                self.checkpoint.send_replace(reached);
                poison.map_or(Ok(()), |error| Err(Error::Poison(error)))
            }
            Err(source) => {
                // SQLite may have ended the transaction by itself, and what the driver believes of it is no longer true.
                connection.close_on_drop();
                Err(failed(source))
            }
        }
    }

    /// How far it came, and the event that it cannot read, if there is one.
    async fn write(
        &self,
        connection: &mut SqliteConnection,
        events: &[RecordedEvent],
    ) -> Result<(Position, Option<DecodeError>), sqlx::Error> {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let mut reached = *self.checkpoint.borrow();
        let mut poison = None;
        for recorded in events {
            // Events of others are passed over unread: they may be of a kind that this program does not know.
            if self
                .projection
                .categories()
                .contains(&recorded.stream.category())
            {
                match DomainEvent::decode(recorded) {
                    Ok(Some(event)) => {
                        self.projection
                            .apply(&mut transaction, &event, recorded)
                            .await?
                    }
                    Ok(None) => {}
                    Err(error) => {
                        poison = Some(error);
                        break;
                    }
                }
            }
            reached = recorded.position;
        }
        save(
            &mut transaction,
            &*self.projection,
            self.store.id(),
            reached,
        )
        .await?;
        transaction.commit().await?;
        Ok((reached, poison))
    }

    async fn record_failure(&self, failure: &str) {
        let recorded = sqlx::query("UPDATE checkpoints SET failure = ? WHERE projection = ?")
            .bind(failure)
            .bind(self.projection.name())
            .execute(&self.database)
            .await;
        if let Err(error) = recorded {
            tracing::error!(%error, "the failure of a projection could not be recorded");
        }
    }
}

/// The checkpoint to start from; the beginning, with no rows, if there is none of this version and this log.
async fn start(
    projection: &dyn Projection,
    database: &SqlitePool,
    store: &dyn EventStore,
) -> Result<Position, sqlx::Error> {
    let mut transaction = database.begin_with("BEGIN IMMEDIATE").await?;
    let saved: Option<(i64, Uuid, i64)> =
        sqlx::query_as("SELECT version, log, position FROM checkpoints WHERE projection = ?")
            .bind(projection.name())
            .fetch_optional(&mut *transaction)
            .await?;
    let head = sql(store.head().borrow().number());
    let position = match saved {
        // A log that ends before the checkpoint was restored from an older copy.
        Some((version, log, position))
            if version == i64::from(projection.version())
                && log == store.id()
                && position <= head =>
        {
            Position::new(position.unsigned_abs())
        }
        _ => {
            if let Some((_, log, position)) = saved
                && log == store.id()
                && position > head
            {
                tracing::warn!(
                    projection = projection.name(),
                    position,
                    head,
                    "the event log ends before what was projected from it: it is an older copy, or has lost events"
                );
            }
            projection.reset(&mut transaction).await?;
            Position::START
        }
    };
    save(&mut transaction, projection, store.id(), position).await?;
    transaction.commit().await?;
    Ok(position)
}

async fn save(
    connection: &mut SqliteConnection,
    projection: &dyn Projection,
    log: Uuid,
    position: Position,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO checkpoints (projection, version, log, position, updated_at, failure) VALUES (?, ?, ?, ?, ?, NULL) \
         ON CONFLICT (projection) DO UPDATE SET version = excluded.version, log = excluded.log, \
         position = excluded.position, updated_at = excluded.updated_at, failure = NULL",
    )
    .bind(projection.name())
    .bind(i64::from(projection.version()))
    .bind(log)
    .bind(sql(position.number()))
    .bind(Utc::now())
    .execute(connection)
    .await?;
    Ok(())
}

/// An error with everything that led to it.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |error| error.source())
        .fold(error.to_string(), |text, source| {
            format!("{text}: {source}")
        })
}
