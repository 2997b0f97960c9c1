//! What is bound to a statement and read from a row, the same on both databases.

use serde_json::{Map, Number};
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Column as _, Row as _, TypeInfo as _, ValueRef as _};

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
