//! The tables of the read models: what projections fill and queries read.
//!
//! [`rows`] says what is in them, once for both databases. [`Database`] speaks to SQLite or to PostgreSQL in the few ways
//! that are needed: rows by key, rows by a condition, and many rows written at once. [`builds`] keeps, for each projection,
//! which of its tables is the live one, how far it has come and who works on it.
//!
//! A projection's rows live in a table of their own for every build, `<name>_<build>`, and queries read the view `<name>`
//! over the live one. Replacing it is one transaction, in which nobody sees anything in between.

pub mod builds;
mod comparison;
mod database;
mod error;
mod requests;
pub mod rows;
mod step;
mod table;
#[cfg(test)]
mod tests;
mod transaction;
mod value;

pub use builds::Build;
pub use comparison::Comparison;
pub use database::{Database, look, open};
pub use error::Error;
pub use rows::{ActivityRow, ContainerRow, ProjectRow, Row, SessionRow, WorkspaceRow};
pub use step::{Failure, Session, Step};
pub use table::{Column, Kind, Physical, Table};
pub use transaction::Transaction;
pub use value::Value;
