//! Comparing a rebuild with the live build while both go on.
//!
//! What is compared is a snapshot of the database in which both are at the same position, a range of keys at a time: nobody
//! waits for it, and it holds a few rows whatever their number. A write-ahead log on SQLite grows for as long as it takes.

use crate::builds::{Build, Status};
use crate::database::{Database, typed};
use crate::error::Error;
use crate::table::{Physical, Table, quoted};
use crate::transaction::Transaction;
use crate::value::Value;

/// Keys of one range: a few milliseconds' work.
const ROWS_PER_RANGE: usize = 2_048;

/// Keys that a comparison names.
const DIFFERENCES_MAX: usize = 20;

/// A comparison at work. It holds a snapshot until it is dropped.
#[derive(Debug)]
pub struct Comparison {
    snapshot: Transaction,
    here: Physical,
    there: Physical,
    /// The last key that was looked at; none before the first.
    after: Option<String>,
    differing: Vec<String>,
}

impl Comparison {
    /// Makes what a transaction wrote visible, and begins to compare a rebuild with the live build as they are then; none if
    /// they are not at the same position. Who calls holds the live build in the transaction.
    ///
    /// # Errors
    ///
    /// The database failed; it is unknown whether the transaction was committed.
    pub async fn begin(
        database: &Database,
        transaction: Transaction,
        table: &'static Table,
        build: &Build,
    ) -> Result<Option<Self>, Error> {
        let mut snapshot = transaction.commit_and_look(database).await?;
        let query = "SELECT * FROM builds WHERE projection = $1 AND status = 'live'";
        let live = snapshot
            .fields(query, &[build.projection.clone().into()])
            .await?;
        let live: Vec<Build> = typed("builds", live)?;
        let is_comparable = |live: &Build| {
            (live.log, live.version, live.position) == (build.log, build.version, build.position)
        };
        let Some(live) = live.into_iter().find(is_comparable) else {
            return Ok(None);
        };
        let physical = |build: i64| Physical { table, build };
        Ok(Some(Self {
            snapshot,
            here: physical(build.build),
            there: physical(live.build),
            after: None,
            differing: Vec::new(),
        }))
    }

    /// Compares the next range of keys; whether there is more to compare.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub async fn advance(&mut self) -> Result<bool, Error> {
        let ends = [self.end(self.here).await?, self.end(self.there).await?];
        // The end of the range that is shorter; a table without one has fewer keys left.
        let until = ends.into_iter().flatten().min();
        for (one, other) in [(self.here, self.there), (self.there, self.here)] {
            let (query, values) = one.missing_in(&other, self.after.as_deref(), until.as_deref());
            for fields in self.snapshot.fields(query, &values).await? {
                let keys = fields.into_iter().map(|(_, key)| key);
                let keys = keys.filter_map(|key| key.as_str().map(str::to_owned));
                self.differing.extend(keys);
            }
        }
        self.after = until;
        Ok(self.after.is_some() && self.differing.len() < DIFFERENCES_MAX)
    }

    /// The keys of rows that are not the same, as far as they are named; none if all are.
    pub fn differing(mut self) -> Vec<String> {
        self.differing.sort_unstable();
        self.differing.dedup();
        self.differing.truncate(DIFFERENCES_MAX);
        self.differing
    }

    /// The last key of the next range of a table, if there are as many.
    async fn end(&mut self, table: Physical) -> Result<Option<String>, Error> {
        let (query, values) = table.range_end(self.after.as_deref());
        let found = self.snapshot.fields(query, &values).await?;
        let key = found.into_iter().flatten().next();
        Ok(key.and_then(|(_, key)| key.as_str().map(str::to_owned)))
    }
}

impl Physical {
    fn range_end(&self, after: Option<&str>) -> (String, Vec<Value>) {
        let (key, name) = (quoted(self.key()), quoted(&self.name()));
        let (condition, values) = range(&key, after, None);
        let offset = ROWS_PER_RANGE - 1;
        let query =
            format!("SELECT {key} FROM {name}{condition} ORDER BY {key} LIMIT 1 OFFSET {offset}");
        (query, values)
    }

    /// The keys of a range of rows that this table has and another has not, or not the same.
    fn missing_in(
        &self,
        other: &Self,
        after: Option<&str>,
        until: Option<&str>,
    ) -> (String, Vec<Value>) {
        let (key, columns) = (quoted(self.key()), self.table.column_names());
        let (condition, values) = range(&key, after, until);
        let rows = |table: &Self| {
            let name = quoted(&table.name());
            format!("SELECT {columns} FROM {name}{condition}")
        };
        let (here, there) = (rows(self), rows(other));
        let query = format!(
            "SELECT {key} FROM ({here} EXCEPT {there}) AS differing ORDER BY {key} LIMIT {DIFFERENCES_MAX}"
        );
        (query, values)
    }
}

/// The condition for keys behind one and up to another, and what is bound in it.
fn range(key: &str, after: Option<&str>, until: Option<&str>) -> (String, Vec<Value>) {
    let bounds = [(">", after), ("<=", until)];
    let bounds = bounds
        .into_iter()
        .filter_map(|(sign, bound)| Some((sign, bound?)));
    let (mut conditions, mut values) = (Vec::new(), Vec::new());
    for (sign, bound) in bounds {
        values.push(bound.into());
        conditions.push(format!("{key} {sign} ${}", values.len()));
    }
    let condition = match conditions.is_empty() {
        true => String::new(),
        false => format!(" WHERE {}", conditions.join(" AND ")),
    };
    (condition, values)
}

impl Database {
    /// Notes what a comparison came to, and removes the table that was made for it; whether the build was still its owner's.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub async fn note_comparison(
        &self,
        table: &'static Table,
        build: &Build,
        failure: Option<String>,
    ) -> Result<bool, Error> {
        let mut transaction = self.begin().await?;
        transaction.exclude_others(&build.projection).await?;
        let noted = transaction
            .execute(
                "UPDATE builds SET status = $1, failure = $2, owner = NULL, owned_until = NULL \
                 WHERE projection = $3 AND build = $4 AND status = 'verifying' AND owner = $5",
                &[
                    Status::Verified.as_str().into(),
                    Value::Text(failure),
                    build.projection.clone().into(),
                    build.build.into(),
                    Value::Text(build.owner.clone()),
                ],
            )
            .await?;
        if noted == 0 {
            return Ok(false);
        }
        let build = build.build;
        transaction
            .execute(Physical { table, build }.drop(), &[])
            .await?;
        transaction.commit().await?;
        Ok(true)
    }
}
