//! What is bound to a statement and read from a row, the same on both databases.

use serde_json::{Map, Number};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::sqlite::SqliteRow;
use sqlx::{Column as _, Postgres, Row as _, TypeInfo as _, ValueRef as _};

use crate::rows::Row;
use crate::table::Kind;

/// A value of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text, or none.
    Text(Option<String>),
    /// A number, or none.
    Integer(Option<i64>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(Some(number))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Integer(number)
    }
}

/// The values of one column, row by row.
pub(crate) enum Column {
    Text(Vec<Option<String>>),
    Integer(Vec<Option<i64>>),
}

/// Rows by their columns.
pub(crate) fn columns<R: Row>(rows: &[&R]) -> Vec<Column> {
    let mut columns: Vec<Column> = R::TABLE
        .columns
        .iter()
        .map(|column| match column.kind {
            Kind::Text => Column::Text(Vec::with_capacity(rows.len())),
            Kind::Integer => Column::Integer(Vec::with_capacity(rows.len())),
        })
        .collect();
    for row in rows {
        for (column, value) in columns.iter_mut().zip(row.values()) {
            match (column, value) {
                (Column::Text(texts), Value::Text(text)) => texts.push(text),
                (Column::Integer(numbers), Value::Integer(number)) => numbers.push(number),
                // A table and its rows agree; a test says so.
                (Column::Text(texts), Value::Integer(_)) => texts.push(None),
                (Column::Integer(numbers), Value::Text(_)) => numbers.push(None),
            }
        }
    }
    columns
}

/// Binds columns behind what is bound already.
pub(crate) fn with_columns(
    query: Query<'_, Postgres, PgArguments>,
    columns: Vec<Column>,
) -> Query<'_, Postgres, PgArguments> {
    columns
        .into_iter()
        .fold(query, |query, column| match column {
            Column::Text(texts) => query.bind(texts),
            Column::Integer(numbers) => query.bind(numbers),
        })
}

/// A row by its columns' names.
pub(crate) type Fields = Map<String, serde_json::Value>;

/// Reads a row of either database: its columns hold texts and 64-bit numbers only.
macro_rules! fields {
    ($name:ident, $row:ty, $number:literal) => {
        pub(crate) fn $name(row: &$row) -> Result<Fields, sqlx::Error> {
            let mut fields = Fields::new();
            for column in row.columns() {
                let index = column.ordinal();
                let raw = row.try_get_raw(index)?;
                let value = if raw.is_null() {
                    serde_json::Value::Null
                } else if raw.type_info().name() == $number {
                    Number::from(row.try_get::<i64, _>(index)?).into()
                } else {
                    row.try_get::<String, _>(index)?.into()
                };
                fields.insert(column.name().to_owned(), value);
            }
            Ok(fields)
        }
    };
}

fields!(sqlite_fields, SqliteRow, "INTEGER");
fields!(postgres_fields, PgRow, "INT8");
