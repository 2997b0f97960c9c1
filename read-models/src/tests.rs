//! Rows go into tables of a build and come back as they were.

use uuid::Uuid;

use crate::builds::{Projected, Status};
use crate::{
    ActivityRow, Column, ContainerRow, Database, Kind, ProjectRow, Row, SessionRow, Table, Value,
    WorkspaceRow, open,
};

fn projected() -> Projected {
    Projected {
        projection: "activity",
        version: 1,
        table: ActivityRow::TABLE,
    }
}

fn day(number: i64) -> ActivityRow {
    let (day, project) = (format!("2026-11-{number:02}"), "p".to_owned());
    ActivityRow {
        key: ActivityRow::key_of(&day, &project),
        day,
        project,
        opened: number,
        ..ActivityRow::default()
    }
}

async fn database() -> (tempfile::TempDir, Database) {
    let home = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", home.path().join("read-models.db").display());
    let database = open(&url).await.unwrap();
    (home, database)
}

#[tokio::test]
async fn rows_are_put_replaced_and_removed() {
    let (_home, database) = database().await;
    let mut transaction = database.begin().await.unwrap();
    let started = transaction
        .start(projected(), Uuid::nil(), Status::Live)
        .await;
    let build = started.unwrap().build;
    let rows: Vec<ActivityRow> = (1..=30).cycle().take(70).map(day).collect();
    transaction
        .save(build, &rows.iter().collect::<Vec<_>>())
        .await
        .unwrap();
    let gone = day(7).key;
    transaction
        .remove::<ActivityRow>(build, &[&gone])
        .await
        .unwrap();
    transaction.commit().await.unwrap();

    let keys = [day(6).key, gone];
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let loaded: Vec<ActivityRow> = database.load(build, &keys).await.unwrap();
    assert_eq!(loaded, [day(6)]);
    let all: Vec<ActivityRow> = database.rows("ORDER BY key", &[]).await.unwrap();
    assert_eq!(all.len(), 29);
}

#[tokio::test]
async fn what_is_not_committed_is_not_there() {
    let (_home, database) = database().await;
    let mut transaction = database.begin().await.unwrap();
    let started = transaction
        .start(projected(), Uuid::nil(), Status::Live)
        .await;
    started.unwrap();
    drop(transaction);
    assert!(database.builds().await.unwrap().is_empty());
    let mut transaction = database.begin().await.unwrap();
    assert!(transaction.live("activity").await.unwrap().is_none());
}

#[tokio::test]
async fn what_names_no_database_is_refused_without_its_password() {
    for url in [
        "",
        "esdb://admin:secret@host",
        "sqlite:",
        "mysql://u:secret@h",
    ] {
        let refused = open(url).await.unwrap_err();
        assert!(!refused.to_string().contains("secret"), "{refused}");
    }
}

/// A row of each kind with something in every column.
fn samples() -> Vec<(&'static str, &'static Table, serde_json::Value, Vec<Value>)> {
    fn sample<R: Row>(
        fields: serde_json::Value,
    ) -> (&'static str, &'static Table, serde_json::Value, Vec<Value>) {
        let row: R = serde_json::from_value(fields).unwrap();
        let written = serde_json::to_value(&row).unwrap();
        (R::TABLE.name, R::TABLE, written, row.values())
    }
    fn filled(table: &Table) -> serde_json::Value {
        let field = |(number, column): (usize, &Column)| {
            // A flag that is not 0 is written as 1.
            let value = match column.kind {
                Kind::Text => serde_json::json!(format!("{} {number}", column.name)),
                Kind::Integer => serde_json::json!(number + 2),
            };
            (column.name.to_owned(), value)
        };
        table.columns.iter().enumerate().map(field).collect()
    }
    vec![
        sample::<ProjectRow>(filled(ProjectRow::TABLE)),
        sample::<SessionRow>(filled(SessionRow::TABLE)),
        sample::<ContainerRow>(filled(ContainerRow::TABLE)),
        sample::<WorkspaceRow>(filled(WorkspaceRow::TABLE)),
        sample::<ActivityRow>(filled(ActivityRow::TABLE)),
    ]
}

#[test]
fn what_is_written_of_a_row_is_what_is_read_of_it() {
    for (name, table, fields, values) in samples() {
        assert_eq!(values.len(), table.columns.len(), "{name}");
        for (column, value) in table.columns.iter().zip(values) {
            let wanted = &fields[column.name];
            let same = match (column.kind, &value) {
                (Kind::Text, Value::Text(text)) => wanted.as_str() == text.as_deref(),
                (Kind::Integer, Value::Integer(number)) => wanted.as_i64() == *number,
                _ => false,
            };
            assert!(
                same,
                "{name}.{}: {value:?} instead of {wanted}",
                column.name
            );
        }
    }
}
