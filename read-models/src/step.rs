//! A step of a build: rows and the position behind them, written together or not at all.
//!
//! On PostgreSQL a step is one statement where it can be: each statement costs a journey to the server and back, and live
//! projections take as many steps as they can.

use chrono::Utc;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgPool;
use uuid::Uuid;

use crate::builds::{Build, until};
use crate::database::{Database, bound};
use crate::error::{Error, failed};
use crate::rows::Row;
use crate::table::{Dialect, Physical, quoted};
use crate::transaction::Transaction;
use crate::value::{Value, columns, with_columns};

/// Moves a build on, if it is where its writer believes it to be and still what it was.
const ADVANCE: &str = "UPDATE builds SET position = $1, events = events + $2, updated_at = $3, failure = NULL, \
     failed_position = NULL, failed_event = NULL, owned_until = $4 \
     WHERE projection = $5 AND build = $6 AND position = $7 AND status = $8 \
     AND COALESCE(owner, '') = COALESCE($9, '') AND started_at = $10";

/// The first place behind the values of [`ADVANCE`].
const BEHIND_ADVANCE: usize = 11;

/// What a writer makes of some events.
#[derive(Debug)]
pub struct Step<'a, R> {
    /// The build, where its writer believes it to be.
    pub build: &'a Build,
    /// Whose it is, if it is a rebuild.
    pub owner: Option<&'a str>,
    /// The position that it comes to.
    pub position: i64,
    /// How many events that takes.
    pub events: i64,
    /// Rows that take the places of those with the same keys.
    pub rows: Vec<&'a R>,
    /// Keys of rows that are no more.
    pub gone: Vec<&'a str>,
    /// Why the build does not go on from there, if it does not.
    pub failure: Option<Failure<'a>>,
}

/// Where a build stopped.
#[derive(Clone, Debug)]
pub struct Failure<'a> {
    /// Why.
    pub reason: &'a str,
    /// The event's position.
    pub position: i64,
    /// The event's id.
    pub event: Uuid,
}

impl<R: Row> Step<'_, R> {
    fn table(&self) -> Physical {
        Physical {
            table: R::TABLE,
            build: self.build.build,
        }
    }

    /// The values of [`ADVANCE`].
    fn advance(&self) -> Vec<Value> {
        let now = Utc::now();
        vec![
            self.position.into(),
            self.events.into(),
            now.timestamp_micros().into(),
            self.owner.map(|_| until(now)).into(),
            self.build.projection.clone().into(),
            self.build.build.into(),
            self.build.position.into(),
            self.build.status.as_str().into(),
            self.owner.map(str::to_owned).into(),
            self.build.started_at.into(),
        ]
    }
}

/// Who writes a build. On PostgreSQL it keeps a connection: taking one from the pool and giving it back asks the server each
/// time whether it is still there.
#[derive(Debug)]
pub struct Session {
    database: Database,
    kept: Option<PoolConnection<Postgres>>,
}

impl Session {
    /// Begins one; a connection is made when it is needed.
    pub const fn new(database: Database) -> Self {
        Self {
            database,
            kept: None,
        }
    }

    /// The database that is written.
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// Takes a step; whether the build was where it is believed to be.
    ///
    /// # Errors
    ///
    /// The database failed, or does not take one of the rows.
    pub async fn take<R: Row>(&mut self, step: &Step<'_, R>) -> Result<bool, Error> {
        match &self.database {
            Database::Postgres { pool } if step.gone.is_empty() && step.failure.is_none() => {
                let pool = pool.clone();
                let was_kept = self.kept.is_some();
                match self.take_at_once(&pool, step).await {
                    // The server may have ended a connection that nobody used for long. If the step was taken all the same,
                    // the build is no longer where it was.
                    Err(Error::Database { source, .. })
                        if was_kept && source.as_database_error().is_none() =>
                    {
                        self.take_at_once(&pool, step).await
                    }
                    taken => taken,
                }
            }
            _ => {
                let mut transaction = self.database.begin().await?;
                let moved = transaction.take(step).await?;
                if moved {
                    transaction.commit().await?;
                }
                Ok(moved)
            }
        }
    }

    async fn take_at_once<R: Row>(
        &mut self,
        pool: &PgPool,
        step: &Step<'_, R>,
    ) -> Result<bool, Error> {
        let mut connection = match self.kept.take() {
            Some(connection) => connection,
            None => pool.acquire().await.map_err(failed("connect"))?,
        };
        let rows = match step.rows.as_slice() {
            [] => String::new(),
            _ => {
                let moved = "EXISTS (SELECT FROM moved)";
                let upsert = step.table().upsert_columns(BEHIND_ADVANCE, moved);
                format!(", put AS ({upsert})")
            }
        };
        let statement =
            format!("WITH moved AS ({ADVANCE} RETURNING build){rows} SELECT build FROM moved");
        let mut query = bound!(statement, step.advance());
        if !step.rows.is_empty() {
            query = with_columns(query, columns(&step.rows));
        }
        let moved = query.fetch_optional(&mut *connection).await;
        let moved = moved.map_err(|error| failed("write")(error).of_rows(R::TABLE.name))?;
        self.kept = Some(connection);
        Ok(moved.is_some())
    }
}

impl Transaction {
    /// Takes a step as a part of this transaction; whether the build was where it is believed to be.
    ///
    /// # Errors
    ///
    /// The database failed, or does not take one of the rows.
    pub async fn take<R: Row>(&mut self, step: &Step<'_, R>) -> Result<bool, Error> {
        if self.dialect() == Dialect::Postgres {
            let table = quoted(&step.table().name());
            let lock = format!("LOCK TABLE {table} IN ROW EXCLUSIVE MODE");
            self.execute(lock, &[]).await?;
        }
        // First the position: of two writers, the second waits here and then knows.
        if self.execute(ADVANCE, &step.advance()).await? == 0 {
            return Ok(false);
        }
        self.save(step.build.build, &step.rows).await?;
        self.remove::<R>(step.build.build, &step.gone).await?;
        if let Some(failure) = &step.failure {
            self.execute(
                "UPDATE builds SET failure = $1, failed_position = $2, failed_event = $3 \
                 WHERE projection = $4 AND build = $5",
                &[
                    failure.reason.into(),
                    failure.position.into(),
                    failure.event.to_string().into(),
                    step.build.projection.clone().into(),
                    step.build.build.into(),
                ],
            )
            .await?;
        }
        Ok(true)
    }
}
