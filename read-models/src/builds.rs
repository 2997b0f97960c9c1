//! The builds of each projection: which one queries read, how far each has come, and who works on it.
//!
//! A build's position moves only from where its writer believes it to be. So of two writers that believe to have the same
//! build one is told that it is wrong, together with all the rows that it wanted to write.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::database::{Database, typed};
use crate::error::Error;
use crate::table::{Dialect, Physical, Table, name_of, quoted};
use crate::transaction::Transaction;

/// How long a rebuild belongs to a process that is not heard of; it says so with every page.
pub const LEASE: Duration = Duration::from_secs(10);

/// What a build is for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Queries read it.
    Live,
    /// It will take the place of the live one.
    Building,
    /// It will be compared with the live one.
    Verifying,
    /// It was compared with the live one; its `failure` says how they differ.
    Verified,
}

impl Status {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Building => "building",
            Self::Verifying => "verifying",
            Self::Verified => "verified",
        }
    }
}

/// A build of a projection.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Build {
    /// The projection's name.
    pub projection: String,
    /// Counts the builds that the projection has ever had.
    pub build: i64,
    /// The version of the projection that makes its rows.
    pub version: i64,
    /// The log that it is made from.
    pub log: Uuid,
    /// What it is for.
    pub status: Status,
    /// The position of the last event that it has taken in.
    pub position: i64,
    /// How many events that were.
    pub events: i64,
    /// When it began, in microseconds since 1970.
    pub started_at: i64,
    /// When it last moved, in microseconds since 1970.
    pub updated_at: i64,
    /// Why it stopped, if it did.
    pub failure: Option<String>,
    /// The position of the event that stopped it.
    pub failed_position: Option<i64>,
    /// The id of the event that stopped it.
    pub failed_event: Option<String>,
    /// Who builds it.
    pub owner: Option<String>,
    /// Until when nobody else may, in microseconds since 1970.
    pub owned_until: Option<i64>,
}

impl Build {
    /// Whether somebody works on it.
    pub fn is_owned(&self, now: DateTime<Utc>) -> bool {
        self.owned_until
            .is_some_and(|until| until >= now.timestamp_micros())
    }
}

/// What a build is of.
#[derive(Clone, Copy, Debug)]
pub struct Projected {
    /// The projection's name.
    pub projection: &'static str,
    /// Its version.
    pub version: u32,
    /// Its table.
    pub table: &'static Table,
}

impl Database {
    /// All builds.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub async fn builds(&self) -> Result<Vec<Build>, Error> {
        let query = "SELECT * FROM builds ORDER BY projection, build";
        typed("builds", self.fields(query, &[]).await?)
    }

    /// Makes a rebuild one's own, or keeps it; whether it is.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub async fn claim(&self, build: &Build, owner: &str) -> Result<bool, Error> {
        let now = Utc::now();
        let mut transaction = self.begin().await?;
        // Who holds the row on PostgreSQL is about to remove it, and waits for whoever reads its table.
        let unless_held = match self.dialect() {
            Dialect::Sqlite => "",
            Dialect::Postgres => " FOR UPDATE SKIP LOCKED",
        };
        let claimed = transaction
            .execute(
                format!(
                    "UPDATE builds SET owner = $1, owned_until = $2 WHERE (projection, build) IN \
                     (SELECT projection, build FROM builds WHERE projection = $3 AND build = $4 \
                     AND status IN ('building', 'verifying') \
                     AND (owner IS NULL OR owner = $1 OR owned_until < $5){unless_held})"
                ),
                &[
                    owner.into(),
                    until(now).into(),
                    build.projection.clone().into(),
                    build.build.into(),
                    now.timestamp_micros().into(),
                ],
            )
            .await?;
        transaction.commit().await?;
        Ok(claimed != 0)
    }
}

pub(crate) fn until(now: DateTime<Utc>) -> i64 {
    (now + LEASE).timestamp_micros()
}

impl Transaction {
    /// Waits on PostgreSQL until nobody else replaces, begins or removes builds of a projection, and keeps others from it. On
    /// SQLite nobody else writes anyway.
    pub(crate) async fn exclude_others(&mut self, projection: &str) -> Result<(), Error> {
        if self.dialect() == Dialect::Postgres {
            let wait = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
            self.execute(wait, &[projection.into()]).await?;
        }
        Ok(())
    }

    /// The live build of a projection.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub async fn live(&mut self, projection: &str) -> Result<Option<Build>, Error> {
        // Until this transaction ends, nobody replaces or moves it. A look on PostgreSQL that waited for a row which was then
        // replaced would find none, so whoever replaces one is waited for before.
        self.exclude_others(projection).await?;
        let query = "SELECT * FROM builds WHERE projection = $1 AND status = 'live'";
        let found = self.fields(query, &[projection.into()]).await?;
        let Some(live) = typed::<Build>("builds", found)?.pop() else {
            return Ok(None);
        };
        if self.dialect() == Dialect::Sqlite {
            return Ok(Some(live));
        }
        self.hold(&live).await?;
        let query = format!("{query} FOR UPDATE");
        let found = self.fields(query, &[projection.into()]).await?;
        Ok(typed("builds", found)?.pop())
    }

    /// Keeps writers on PostgreSQL from the table of a build. Everybody has the table before the row in `builds`, so that
    /// nobody waits for somebody who waits for him.
    async fn hold(&mut self, build: &Build) -> Result<(), Error> {
        // The table of one that was compared is gone.
        if self.dialect() == Dialect::Postgres && build.status != Status::Verified {
            let table = quoted(&name_of(&build.projection, build.build));
            let lock = format!("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE");
            self.execute(lock, &[]).await?;
        }
        Ok(())
    }

    /// Begins a build with empty tables, at the beginning of the log. A live one is served at once, in the place of the one
    /// before.
    ///
    /// # Errors
    ///
    /// The database failed, or there is such a build already.
    pub async fn start(
        &mut self,
        projected: Projected,
        log: Uuid,
        status: Status,
    ) -> Result<Build, Error> {
        let name = projected.projection;
        if status == Status::Live
            && let Some(before) = self.live(name).await?
        {
            self.discard(projected.table, &before).await?;
        }
        let build = self.next_number(name).await?;
        let table = Physical {
            table: projected.table,
            build,
        };
        for statement in table.create(self.dialect()) {
            self.execute(statement, &[]).await?;
        }
        if status == Status::Live {
            self.serve(table).await?;
        }
        let now = Utc::now().timestamp_micros();
        self.execute(
            "INSERT INTO builds (projection, build, version, log, status, position, events, started_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, 0, 0, $6, $6)",
            &[
                name.into(),
                build.into(),
                i64::from(projected.version).into(),
                log.to_string().into(),
                status.as_str().into(),
                now.into(),
            ],
        )
        .await?;
        let query = "SELECT * FROM builds WHERE projection = $1 AND build = $2";
        let made = self.fields(query, &[name.into(), build.into()]).await?;
        let made: Vec<Build> = typed("builds", made)?;
        made.into_iter().next().ok_or(Error::Database {
            action: "find a build",
            source: sqlx::Error::RowNotFound,
        })
    }

    /// A number that no build of the projection has had.
    async fn next_number(&mut self, projection: &str) -> Result<i64, Error> {
        let count = "INSERT INTO build_numbers (projection, last) VALUES ($1, 1) \
                     ON CONFLICT (projection) DO UPDATE SET last = build_numbers.last + 1 RETURNING last";
        let counted = self.fields(count, &[projection.into()]).await?;
        let number = counted.first().and_then(|fields| fields["last"].as_i64());
        number.ok_or(Error::Database {
            action: "count a build",
            source: sqlx::Error::RowNotFound,
        })
    }

    async fn serve(&mut self, table: Physical) -> Result<(), Error> {
        for statement in table.serve() {
            self.execute(statement, &[]).await?;
        }
        Ok(())
    }

    /// Lets queries read a rebuild instead of the live build, if it has come at least as far; where the live one is if not.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub async fn switch(
        &mut self,
        table: &'static Table,
        build: &Build,
    ) -> Result<Result<(), i64>, Error> {
        if let Some(live) = self.live(&build.projection).await? {
            // One of another log, or of another version, does not go on.
            let comparable = live.log == build.log && live.version == build.version;
            if comparable && live.position > build.position {
                return Ok(Err(live.position));
            }
            self.discard(table, &live).await?;
        }
        let build_number = build.build;
        self.serve(Physical {
            table,
            build: build_number,
        })
        .await?;
        self.execute(
            "UPDATE builds SET status = 'live', owner = NULL, owned_until = NULL WHERE projection = $1 AND build = $2",
            &[build.projection.clone().into(), build_number.into()],
        )
        .await?;
        Ok(Ok(()))
    }

    /// Removes a build with its tables.
    ///
    /// # Errors
    ///
    /// The database failed, or queries read it still.
    pub async fn discard(&mut self, table: &'static Table, build: &Build) -> Result<(), Error> {
        let physical = Physical {
            table,
            build: build.build,
        };
        self.hold(build).await?;
        self.execute(
            "DELETE FROM builds WHERE projection = $1 AND build = $2",
            &[build.projection.clone().into(), build.build.into()],
        )
        .await?;
        if build.status == Status::Live {
            self.execute(format!("DROP VIEW IF EXISTS \"{}\"", table.name), &[])
                .await?;
        }
        self.execute(physical.drop(), &[]).await?;
        Ok(())
    }
}
