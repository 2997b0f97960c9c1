//! What a table is, and the statements that make, fill and read it on each database.

use std::fmt::Write;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A 64-bit number. Times are microseconds since 1970-01-01 UTC, and flags are 0 and 1, so that rows are the same on
    /// every database.
    Integer,
}

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may hold nothing.
    pub nullable: bool,
}

/// A table of rows with one key each.
#[derive(Debug)]
pub struct Table {
    /// The name of the view that queries read.
    pub name: &'static str,
    /// Its columns; the first is the key, a text.
    pub columns: &'static [Column],
    /// The columns of each index, most significant first.
    pub indexes: &'static [&'static [&'static str]],
}

impl Table {
    /// Its columns by name. What is read names them too: a connection may have prepared the query for an earlier build.
    pub(crate) fn column_names(&self) -> String {
        let names = self.columns.iter().map(|column| quoted(column.name));
        names.collect::<Vec<_>>().join(", ")
    }
}

/// The dialects of SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// The table of one build.
#[derive(Clone, Copy, Debug)]
pub struct Physical {
    /// What it is.
    pub table: &'static Table,
    /// Whose.
    pub build: i64,
}

impl Physical {
    /// Its name in the database.
    pub fn name(&self) -> String {
        name_of(self.table.name, self.build)
    }

    pub(crate) fn key(&self) -> &'static str {
        self.table.columns[0].name
    }

    fn columns(&self) -> String {
        self.table.column_names()
    }

    /// The statements that make it.
    pub(crate) fn create(&self, dialect: Dialect) -> Vec<String> {
        let name = quoted(&self.name());
        let mut create = format!("CREATE TABLE {name} (");
        for (number, column) in self.table.columns.iter().enumerate() {
            let separator = if number == 0 { "" } else { ", " };
            let kind = match (column.kind, dialect) {
                // Bytes, not a language, decide the order, as on SQLite.
                (Kind::Text, Dialect::Postgres) => "text COLLATE \"C\"",
                (Kind::Text, Dialect::Sqlite) => "TEXT",
                (Kind::Integer, Dialect::Postgres) => "bigint",
                (Kind::Integer, Dialect::Sqlite) => "INTEGER",
            };
            let rule = match (number, column.nullable) {
                (0, _) => " PRIMARY KEY",
                (_, false) => " NOT NULL",
                (_, true) => "",
            };
            let _ = write!(create, "{separator}{} {kind}{rule}", quoted(column.name));
        }
        create.push_str(match dialect {
            Dialect::Sqlite => ") STRICT",
            Dialect::Postgres => ")",
        });
        let mut statements = vec![create];
        for (number, columns) in self.table.indexes.iter().enumerate() {
            let index = quoted(&format!("{}_by_{number}", self.name()));
            let columns: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
            statements.push(format!(
                "CREATE INDEX {index} ON {name} ({})",
                columns.join(", ")
            ));
        }
        statements
    }

    /// The statement that removes it.
    pub(crate) fn drop(&self) -> String {
        format!("DROP TABLE IF EXISTS {}", quoted(&self.name()))
    }

    /// The statements that let queries read it, instead of whatever they read before.
    pub(crate) fn serve(&self) -> [String; 2] {
        let view = quoted(self.table.name);
        [
            format!("DROP VIEW IF EXISTS {view}"),
            format!(
                "CREATE VIEW {view} AS SELECT * FROM {}",
                quoted(&self.name())
            ),
        ]
    }

    /// Rows by a JSON array of keys, in `$1`.
    pub(crate) fn select(&self, dialect: Dialect) -> String {
        let (name, key) = (quoted(&self.name()), quoted(self.key()));
        let keys = match dialect {
            Dialect::Sqlite => "SELECT value FROM json_each($1)",
            Dialect::Postgres => "SELECT json_array_elements_text($1::json)",
        };
        let columns = self.columns();
        format!("SELECT {columns} FROM {name} WHERE {key} IN ({keys})")
    }

    /// Puts rows in the places of those with the same keys on PostgreSQL, if `condition` holds. Each column is bound as an
    /// array, from `$first` on.
    pub(crate) fn upsert_columns(&self, first: usize, condition: &str) -> String {
        let array = |(place, column): (usize, &Column)| match column.kind {
            Kind::Text => format!("${place}::text[]"),
            Kind::Integer => format!("${place}::bigint[]"),
        };
        let arrays: Vec<String> = (first..).zip(self.table.columns).map(array).collect();
        let arrays = arrays.join(", ");
        self.upsert(&format!("SELECT * FROM unnest({arrays}) WHERE {condition}"))
    }

    /// Puts so many rows, of which every value is bound, in the places of those with the same keys. SQLite would read a JSON
    /// array once for each column of each row, and looks for each name of a value among all of them, so they have none.
    pub(crate) fn upsert_values(&self, rows: usize) -> String {
        let listed = |what: &str, count: usize| vec![what; count].join(", ");
        let row = format!("({})", listed("?", self.table.columns.len()));
        self.upsert(&format!("VALUES {}", listed(&row, rows)))
    }

    fn upsert(&self, rows: &str) -> String {
        let (name, columns) = (quoted(&self.name()), self.columns());
        let sets = self.table.columns[1..].iter();
        let sets = sets.map(|column| format!("{0} = excluded.{0}", quoted(column.name)));
        let sets = sets.collect::<Vec<_>>().join(", ");
        format!(
            "INSERT INTO {name} ({columns}) {rows} ON CONFLICT ({}) DO UPDATE SET {sets}",
            quoted(self.key())
        )
    }

    /// Removes the rows with a JSON array of keys, in `$1`.
    pub(crate) fn delete(&self, dialect: Dialect) -> String {
        let (name, key) = (quoted(&self.name()), quoted(self.key()));
        let keys = match dialect {
            Dialect::Sqlite => "SELECT value FROM json_each($1)",
            Dialect::Postgres => "SELECT json_array_elements_text($1::json)",
        };
        format!("DELETE FROM {name} WHERE {key} IN ({keys})")
    }
}

/// The name of the table of a build. A projection and its table have the same name.
pub(crate) fn name_of(projection: &str, build: i64) -> String {
    format!("{projection}_{build}")
}

/// A name that is no keyword, whatever it says.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}
