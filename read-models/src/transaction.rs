//! One transaction that writes.

use std::sync::Arc;

use tokio::sync::{Notify, OwnedMutexGuard};

use crate::database::{Database, bound, loaded, selecting};
use crate::error::{Error, failed};
use crate::rows::Row;
use crate::table::{Dialect, Physical};
use crate::value::{Column, Fields, Value, columns, postgres_fields, sqlite_fields, with_columns};

/// Rows of one statement on SQLite, as many as there are; fewer go by themselves. A prepared statement is kept for each number
/// of rows, so there are few different ones.
const ROWS_PER_STATEMENT: [usize; 2] = [128, 16];

/// A transaction; it is rolled back unless it is committed.
#[derive(Debug)]
pub struct Transaction(Inner);

#[derive(Debug)]
enum Inner {
    Sqlite {
        transaction: sqlx::Transaction<'static, sqlx::Sqlite>,
        /// None if it only reads.
        writing: Option<Writing>,
    },
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

impl Inner {
    /// Commits; the place of who wrote is still held.
    async fn commit(self) -> Result<Option<Writing>, Error> {
        let failed = failed("commit");
        match self {
            Self::Sqlite {
                transaction,
                writing,
            } => {
                transaction.commit().await.map_err(failed)?;
                if let Some(writing) = &writing {
                    writing.committed.notify_one();
                }
                Ok(writing)
            }
            Self::Postgres(transaction) => {
                transaction.commit().await.map_err(failed)?;
                Ok(None)
            }
        }
    }
}

/// The place of whoever writes to a SQLite file.
#[derive(Debug)]
struct Writing {
    /// Nobody else writes while it is held.
    _turn: OwnedMutexGuard<()>,
    committed: Arc<Notify>,
}

impl Transaction {
    pub(crate) async fn begin(database: &Database) -> Result<Self, Error> {
        let failed = failed("begin a commit");
        Ok(Self(match database {
            Database::Sqlite {
                writer,
                writing,
                committed,
                ..
            } => {
                let writing = Writing {
                    _turn: Arc::clone(writing).lock_owned().await,
                    committed: Arc::clone(committed),
                };
                let transaction = writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
                Inner::Sqlite {
                    transaction,
                    writing: Some(writing),
                }
            }
            Database::Postgres { pool } => Inner::Postgres(pool.begin().await.map_err(failed)?),
        }))
    }

    pub(crate) const fn dialect(&self) -> Dialect {
        match self.0 {
            Inner::Sqlite { .. } => Dialect::Sqlite,
            Inner::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Carries a statement out; how many rows it changed.
    pub(crate) async fn execute(
        &mut self,
        statement: impl Into<String>,
        values: &[Value],
    ) -> Result<u64, Error> {
        self.carry_out(statement.into(), values.to_vec()).await
    }

    async fn carry_out(&mut self, statement: String, values: Vec<Value>) -> Result<u64, Error> {
        match &mut self.0 {
            Inner::Sqlite { transaction, .. } => {
                let done = bound!(statement, values).execute(&mut **transaction).await;
                done.map(|done| done.rows_affected())
            }
            Inner::Postgres(transaction) => {
                let done = bound!(statement, values).execute(&mut **transaction).await;
                done.map(|done| done.rows_affected())
            }
        }
        .map_err(failed("write"))
    }

    /// Carries a statement out on PostgreSQL, with values and then columns bound.
    async fn carry_out_with(
        &mut self,
        statement: String,
        values: Vec<Value>,
        columns: Vec<Column>,
    ) -> Result<(), Error> {
        let Inner::Postgres(transaction) = &mut self.0 else {
            return Ok(());
        };
        let query = with_columns(bound!(statement, values), columns);
        let done = query.execute(&mut **transaction).await;
        done.map(|_| ()).map_err(failed("write"))
    }

    pub(crate) async fn fields(
        &mut self,
        query: impl Into<String>,
        values: &[Value],
    ) -> Result<Vec<Fields>, Error> {
        let query = query.into();
        match &mut self.0 {
            Inner::Sqlite { transaction, .. } => {
                let rows = bound!(query, values.iter().cloned())
                    .fetch_all(&mut **transaction)
                    .await;
                rows.and_then(|rows| rows.iter().map(sqlite_fields).collect())
            }
            Inner::Postgres(transaction) => {
                let rows = bound!(query, values.iter().cloned())
                    .fetch_all(&mut **transaction)
                    .await;
                rows.and_then(|rows| rows.iter().map(postgres_fields).collect())
            }
        }
        .map_err(failed("read rows"))
    }

    /// Puts rows in the places of those with the same keys.
    ///
    /// # Errors
    ///
    /// The database failed, or does not take one of the rows.
    pub async fn save<R: Row>(&mut self, build: i64, rows: &[&R]) -> Result<(), Error> {
        let saved = self.put(build, rows).await;
        saved.map_err(|error| error.of_rows(R::TABLE.name))
    }

    async fn put<R: Row>(&mut self, build: i64, rows: &[&R]) -> Result<(), Error> {
        let table = Physical {
            table: R::TABLE,
            build,
        };
        match self.dialect() {
            Dialect::Postgres if rows.is_empty() => {}
            Dialect::Postgres => {
                let statement = table.upsert_columns(1, "true");
                self.carry_out_with(statement, Vec::new(), columns(rows))
                    .await?;
            }
            Dialect::Sqlite => {
                let mut rest = rows;
                while !rest.is_empty() {
                    let fits = |count: &usize| *count <= rest.len();
                    let count = ROWS_PER_STATEMENT.into_iter().find(fits);
                    let (rows, behind) = rest.split_at(count.unwrap_or(rest.len()));
                    rest = behind;
                    let statement = table.upsert_values(rows.len());
                    let values = rows.iter().flat_map(|row| row.values()).collect();
                    self.carry_out(statement, values).await?;
                }
            }
        }
        Ok(())
    }

    /// Removes the rows with these keys.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub async fn remove<R: Row>(&mut self, build: i64, keys: &[&str]) -> Result<(), Error> {
        if keys.is_empty() {
            return Ok(());
        }
        let table = Physical {
            table: R::TABLE,
            build,
        };
        let statement = table.delete(self.dialect());
        let keys = serde_json::json!(keys).to_string();
        let removed = self.execute(statement, &[keys.into()]).await;
        removed.map_err(|error| error.of_rows(R::TABLE.name))?;
        Ok(())
    }

    /// The rows of one build with these keys.
    ///
    /// # Errors
    ///
    /// The database failed, or a row cannot be read.
    pub async fn load<R: Row>(&mut self, build: i64, keys: &[&str]) -> Result<Vec<R>, Error> {
        let (query, keys) = selecting::<R>(self.dialect(), build, keys);
        loaded::<R>(self.fields(query, &[keys]).await)
    }

    /// Makes what was written visible to everybody.
    ///
    /// # Errors
    ///
    /// The database failed; then nothing was written, or it is unknown whether it was.
    pub async fn commit(self) -> Result<(), Error> {
        self.0.commit().await.map(drop)
    }

    /// Makes what was written visible, and looks at everything as it is just then, for as long as the look is held. On SQLite
    /// nobody else of this process writes in between; others may have.
    pub(crate) async fn commit_and_look(self, database: &Database) -> Result<Self, Error> {
        let begun = failed("begin to look");
        let mut look = Self(match database {
            Database::Sqlite { pool, .. } => Inner::Sqlite {
                transaction: pool.begin().await.map_err(begun)?,
                writing: None,
            },
            Database::Postgres { pool } => {
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                Inner::Postgres(pool.begin_with(begin).await.map_err(begun)?)
            }
        });
        let _writing = self.0.commit().await?;
        // The first query says what is looked at; the writer's place is free afterwards.
        look.fields("SELECT projection FROM builds LIMIT 1", &[])
            .await?;
        Ok(look)
    }
}
