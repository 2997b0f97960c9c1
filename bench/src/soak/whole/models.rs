//! Holds the read models of a running Firefly against those that are made anew from its log.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use firefly_event_store::Position;
use firefly_projector::Projector;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::client::Client;
use super::server::Server;

/// How long it may take until nothing happens in Firefly by itself.
const REST_TIMEOUT: Duration = Duration::from_secs(120);

/// How long Firefly is left alone when something has happened meanwhile.
const REST: Duration = Duration::from_millis(200);

/// Lists and items in one answer, as the query API bounds them.
const ROWS_MAX: usize = 1_000;

type Row = Map<String, Value>;
type Tables = BTreeMap<String, Vec<Row>>;

/// Compares every row, and what queries are answered, as of one position.
pub async fn compare(server: &Server, client: &Client, data: &Path) -> anyhow::Result<()> {
    let fresh = tempfile::tempdir().context("cannot make a directory for read models")?;
    let fresh = fresh.path().join("read-models.db");
    let log = format!("sqlite:{}", data.join("events.db").display());
    let store = firefly_event_store::open(&log).await?;
    let url = format!("sqlite:{}", fresh.display());
    let read_models = firefly_read_models::open(&url).await?;
    let projector = Projector::build(read_models, store).await?;
    let mut progress = projector.progress();
    let stop = CancellationToken::new();
    let projecting = tokio::spawn(projector.run(stop.clone()));

    let deadline = Instant::now() + REST_TIMEOUT;
    loop {
        let head = head(server, client).await?;
        let mut answers = Vec::new();
        for list in ["projects", "sessions", "containers"] {
            let answer = client.get(&server.url, list, head).await?;
            answers.push((list, answer[list].clone()));
        }
        let live = tables(&data.join("read-models.db"))?;
        timeout(REST_TIMEOUT, progress.reached(Position::new(head)))
            .await
            .context("read models that are made anew stop on the way")?;
        let rebuilt = tables(&fresh)?;
        if self::head(server, client).await? == head {
            same(&live, &rebuilt)?;
            answers
                .iter()
                .try_for_each(|(list, answer)| is_of(list, answer, &rebuilt))?;
            break;
        }
        ensure!(Instant::now() < deadline, "Firefly does not come to rest");
        sleep(REST).await;
    }
    stop.cancel();
    projecting.await?;
    Ok(())
}

/// The position of the log's last event.
async fn head(server: &Server, client: &Client) -> anyhow::Result<u64> {
    let answer = client.get(&server.url, "projections", 0).await?;
    answer["head"].as_u64().context("nobody tells the head")
}

/// Every row of everything that queries read.
fn tables(database: &Path) -> anyhow::Result<Tables> {
    let database = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut names = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'view'")?;
    let names: Vec<String> = names
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    names
        .into_iter()
        .map(|name| Ok((name.clone(), rows(&database, &name)?)))
        .collect()
}

fn rows(database: &Connection, table: &str) -> anyhow::Result<Vec<Row>> {
    let mut statement = database.prepare(&format!("SELECT * FROM {table}"))?;
    let columns: Vec<String> = statement
        .column_names()
        .into_iter()
        .map(str::to_owned)
        .collect();
    let mut found = statement.query([])?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let mut columns_of_row = Row::new();
        for (index, column) in columns.iter().enumerate() {
            let value = match row.get_ref(index)? {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(number) => number.into(),
                ValueRef::Real(number) => number.into(),
                ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
                ValueRef::Blob(bytes) => format!("{bytes:02x?}").into(),
            };
            columns_of_row.insert(column.clone(), value);
        }
        rows.push(columns_of_row);
    }
    // Which row was written first says nothing.
    rows.sort_by_cached_key(|row| Value::from(row.clone()).to_string());
    Ok(rows)
}

fn same(live: &Tables, rebuilt: &Tables) -> anyhow::Result<()> {
    ensure!(
        live.keys().eq(rebuilt.keys()),
        "the read models have other tables than they should"
    );
    for (table, rows) in live {
        let fresh = &rebuilt[table];
        if rows != fresh {
            let differs = rows.iter().find(|row| !fresh.contains(row));
            bail!(
                "the read model {table} has {} rows, and {} when it is made anew; the first that differs is {differs:?}",
                rows.len(),
                fresh.len()
            );
        }
    }
    Ok(())
}

/// Each item of an answer is a row, and all rows are answered, as far as one answer holds them.
fn is_of(table: &str, answer: &Value, tables: &Tables) -> anyhow::Result<()> {
    let rows = tables.get(table).context("a table is missing")?;
    let items = answer.as_array().context("an answer has no list")?;
    let listed = rows
        .iter()
        .filter(|row| row.get("state") != Some(&"deleted".into()));
    ensure!(
        items.len() == listed.count().min(ROWS_MAX),
        "{table} is answered with {} items",
        items.len()
    );
    for item in items {
        let item = item.as_object().context("an item is no object")?;
        ensure!(
            rows.iter().any(|row| agree(table, item, row)),
            "{table} is answered with {item:?}, which is no row"
        );
    }
    Ok(())
}

/// Whether an item and a row say the same where both say something; times are written in two ways, and the key of a
/// container's item is that of its project.
fn agree(table: &str, item: &Row, row: &Row) -> bool {
    item.iter().all(|(name, value)| match row.get(name) {
        None => true,
        Some(_) if table == "containers" && name == "key" => true,
        Some(_) if name.ends_with("_at") => true,
        Some(kept) => {
            kept == value
                || value
                    .as_bool()
                    .is_some_and(|flag| kept.as_i64() == Some(i64::from(flag)))
                || value.is_array() && kept.as_str() == Some(&value.to_string())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_models(rows: &str) -> Tables {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("read-models.db");
        let database = Connection::open(&path).unwrap();
        let create = "CREATE TABLE projects_1 (id TEXT, state TEXT, revision INTEGER) STRICT; \
                      CREATE VIEW projects AS SELECT * FROM projects_1; INSERT INTO projects_1 VALUES";
        database.execute_batch(&format!("{create} {rows}")).unwrap();
        tables(&path).unwrap()
    }

    #[test]
    fn a_row_that_differs_is_found() {
        let rebuilt = read_models("('a', 'ready', 4), ('b', 'closed', 2)");
        same(
            &read_models("('b', 'closed', 2), ('a', 'ready', 4)"),
            &rebuilt,
        )
        .unwrap();
        for live in [
            "('a', 'ready', 4)",
            "('a', 'ready', 3), ('b', 'closed', 2)",
            "('a', 'ready', 4), ('b', 'closed', 2), ('b', 'closed', 2)",
        ] {
            assert!(same(&read_models(live), &rebuilt).is_err(), "{live}");
        }
    }

    #[test]
    fn an_answer_that_is_no_row_is_found() {
        let tables = read_models("('a', 'ready', 4), ('b', 'deleted', 2)");
        let answer = |revision| serde_json::json!([{"id": "a", "state": "ready", "revision": revision, "url": "x"}]);
        is_of("projects", &answer(4), &tables).unwrap();
        assert!(is_of("projects", &answer(3), &tables).is_err());
        assert!(is_of("projects", &serde_json::json!([]), &tables).is_err());
    }
}
