//! Lists of rows, page by page.
//!
//! A page ends with a cursor that holds the sort key of its last row, and the next one begins behind that key. So a page
//! costs the same wherever it is, and what comes and goes in between moves no row from one page to another.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use firefly_read_models::{Database, Kind, Row, Table, Value};
use firefly_web::Problem;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Rows of one page, and of an answer that nobody asked to be shorter.
pub const ROWS_MAX: usize = 1_000;

/// Values that one query may look for.
const VALUES_MAX: usize = 40;

/// How a list is sorted.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// What callers call it.
    pub name: &'static str,
    /// The columns, most significant first; together they tell every row from every other.
    pub columns: &'static [&'static str],
    /// Whether the greatest comes first.
    pub descending: bool,
}

/// Finds an order by its name; `-` in front turns it round.
pub fn order(orders: &[Order], asked: Option<&str>) -> Result<Order, Problem> {
    let Some(asked) = asked else {
        return Ok(orders[0]);
    };
    let (name, turned) = match asked.strip_prefix('-') {
        Some(name) => (name, true),
        None => (asked, false),
    };
    let found = orders.iter().find(|order| order.name == name);
    let order = found.ok_or_else(|| {
        let names: Vec<&str> = orders.iter().map(|order| order.name).collect();
        let names = names.join(", ");
        Problem::malformed(format!(
            "sort takes one of {names}, with a - in front to turn it round"
        ))
    })?;
    Ok(Order {
        descending: turned,
        ..*order
    })
}

/// Which page of a list is wanted.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Paging {
    /// Rows of a page.
    pub limit: Option<usize>,
    /// What the page before gave as `next`.
    pub cursor: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct Cursor {
    sort: String,
    after: Vec<Key>,
}

#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Key {
    Number(i64),
    Text(String),
}

/// A list to be read.
#[derive(Debug)]
pub struct Listing {
    conditions: Vec<String>,
    values: Vec<Value>,
    order: Order,
}

impl Listing {
    /// All rows, in an order.
    pub const fn new(order: Order) -> Self {
        Self {
            conditions: Vec::new(),
            values: Vec::new(),
            order,
        }
    }

    /// Only rows for which a condition of ours holds; `?` stands for the value.
    #[must_use]
    pub fn only(mut self, condition: &str, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        let place = format!("${}", self.values.len());
        self.conditions.push(condition.replace('?', &place));
        self
    }

    /// Only rows of which a column holds one of the values.
    #[must_use]
    pub fn among<'a>(mut self, column: &str, values: impl IntoIterator<Item = &'a str>) -> Self {
        let places: Vec<String> = values
            .into_iter()
            .map(|value| {
                self.values.push(value.into());
                format!("${}", self.values.len())
            })
            .collect();
        self.conditions
            .push(format!("\"{column}\" IN ({})", places.join(", ")));
        self
    }

    /// Refuses what no row could hold, and more than a query should.
    fn check(&self) -> Result<(), Problem> {
        let is_zero =
            |value: &Value| matches!(value, Value::Text(Some(text)) if text.contains('\0'));
        if self.values.iter().any(is_zero) {
            return Err(Problem::malformed("a parameter holds a zero character"));
        }
        if self.values.len() > VALUES_MAX {
            let detail = format!("these are more than {VALUES_MAX} values to look for");
            return Err(Problem::malformed(detail));
        }
        Ok(())
    }

    fn behind(self, cursor: &str, table: &Table) -> Result<Self, Problem> {
        let refused =
            || Problem::malformed("cursor takes what a page of the same list gave as next");
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| refused())?;
        let cursor: Cursor = serde_json::from_slice(&bytes).map_err(|_| refused())?;
        let columns = self.order.columns;
        let fits = |(column, key): (&&str, &Key)| {
            let known = table.columns.iter().find(|known| known.name == *column);
            known.is_some_and(|known| match key {
                Key::Number(_) => known.kind == Kind::Integer,
                Key::Text(_) => known.kind == Kind::Text,
            })
        };
        if cursor.sort != sort(self.order)
            || cursor.after.len() != columns.len()
            || !columns.iter().zip(&cursor.after).all(fits)
        {
            return Err(refused());
        }
        let mut listing = self;
        let places: Vec<String> = cursor
            .after
            .into_iter()
            .map(|key| {
                listing.values.push(match key {
                    Key::Number(number) => number.into(),
                    Key::Text(text) => text.into(),
                });
                format!("${}", listing.values.len())
            })
            .collect();
        let sign = if listing.order.descending { "<" } else { ">" };
        let condition = format!("({}) {sign} ({})", quoted(columns), places.join(", "));
        listing.conditions.push(condition);
        Ok(listing)
    }

    fn sql(&self, limit: usize) -> String {
        let conditions = match self.conditions.join(" AND ") {
            none if none.is_empty() => none,
            all => format!("WHERE {all} "),
        };
        let way = if self.order.descending { "DESC" } else { "ASC" };
        let columns: Vec<String> = self
            .order
            .columns
            .iter()
            .map(|column| format!("\"{column}\" {way}"))
            .collect();
        format!("{conditions}ORDER BY {} LIMIT {limit}", columns.join(", "))
    }

    /// A page, and the cursor of the next one if there is more.
    pub async fn page<R: Row>(
        self,
        database: &Database,
        paging: &Paging,
    ) -> Result<(Vec<R>, Option<String>), Error> {
        let limit = paging.limit.unwrap_or(ROWS_MAX);
        if limit == 0 || limit > ROWS_MAX {
            let detail = format!("limit takes 1 to {ROWS_MAX}");
            return Err(Problem::malformed(detail).into());
        }
        let listing = match &paging.cursor {
            Some(cursor) => self.behind(cursor, R::TABLE)?,
            None => self,
        };
        listing.check()?;
        // One more than is wanted tells whether there is more.
        let query = listing.sql(limit + 1);
        let rows = database.rows::<R>(&query, &listing.values).await;
        let mut rows = rows.map_err(|error| Error::read_models(&error))?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more);
        let next = next.map(|last| cursor(listing.order, last)).transpose()?;
        Ok((rows, next))
    }
}

fn sort(order: Order) -> String {
    let way = if order.descending { "-" } else { "" };
    format!("{way}{}", order.name)
}

fn quoted(columns: &[&str]) -> String {
    let columns: Vec<String> = columns.iter().map(|name| format!("\"{name}\"")).collect();
    columns.join(", ")
}

/// The cursor behind a row.
fn cursor<R: Row>(order: Order, row: &R) -> Result<String, Error> {
    let row = serde_json::to_value(row).map_err(|error| Error::internal(&error))?;
    let after = order.columns.iter().map(|column| match &row[column] {
        serde_json::Value::Number(number) => Key::Number(number.as_i64().unwrap_or_default()),
        other => Key::Text(other.as_str().unwrap_or_default().to_owned()),
    });
    let cursor = Cursor {
        sort: sort(order),
        after: after.collect(),
    };
    let cursor = serde_json::to_vec(&cursor).map_err(|error| Error::internal(&error))?;
    Ok(URL_SAFE_NO_PAD.encode(cursor))
}

#[cfg(test)]
mod tests {
    use firefly_read_models::ProjectRow;

    use super::*;

    const ORDERS: [Order; 2] = [
        Order {
            name: "updated",
            columns: &["position"],
            descending: true,
        },
        Order {
            name: "name",
            columns: &["owner", "repo", "id"],
            descending: false,
        },
    ];

    #[test]
    fn conditions_and_cursors_become_a_query() {
        let order = order(&ORDERS, Some("name")).unwrap();
        let cursor = Cursor {
            sort: "name".into(),
            after: vec![
                Key::Text("montage".into()),
                Key::Text("app".into()),
                Key::Text("7".into()),
            ],
        };
        let cursor = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cursor).unwrap());
        let listing = Listing::new(order)
            .only("\"user\" = ?", "alice")
            .among("state", ["ready", "closed"])
            .behind(&cursor, ProjectRow::TABLE)
            .unwrap();
        assert_eq!(
            listing.sql(11),
            "WHERE \"user\" = $1 AND \"state\" IN ($2, $3) AND (\"owner\", \"repo\", \"id\") > ($4, $5, $6) \
             ORDER BY \"owner\" ASC, \"repo\" ASC, \"id\" ASC LIMIT 11"
        );
        let other = Listing::new(ORDERS[0]).behind(&cursor, ProjectRow::TABLE);
        assert!(other.is_err(), "a cursor of another order");
        assert!(
            Listing::new(ORDERS[0])
                .behind("x", ProjectRow::TABLE)
                .is_err()
        );
        let text = r#"{"sort":"-updated","after":["7"]}"#;
        let text = URL_SAFE_NO_PAD.encode(text);
        let other = Listing::new(ORDERS[0]).behind(&text, ProjectRow::TABLE);
        assert!(other.is_err(), "a text for a number");
        let zero = Listing::new(ORDERS[0]).only("owner = ?", "a\0b");
        assert!(zero.check().is_err());
        let many = Listing::new(ORDERS[0]).among("state", ["ready"; VALUES_MAX + 1]);
        assert!(many.check().is_err());
    }

    #[test]
    fn orders_are_named_and_turned_round() {
        assert_eq!(sort(order(&ORDERS, None).unwrap()), "-updated");
        assert_eq!(sort(order(&ORDERS, Some("-updated")).unwrap()), "-updated");
        assert_eq!(sort(order(&ORDERS, Some("updated")).unwrap()), "updated");
        assert!(order(&ORDERS, Some("size")).is_err());
    }
}
