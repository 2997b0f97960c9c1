//! `sessions`: one row a sign-in.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Row, maybe_number, maybe_text, number, text};
use crate::table::Table;
use crate::value::Value;

/// A sign-in of one user in one client.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct SessionRow {
    /// Its UUID.
    pub id: String,
    /// Who signed in.
    pub user: String,
    /// With what kind of client.
    pub client: String,
    /// The ids of the projects in hand, as a JSON array in order.
    pub projects: String,
    /// When it began.
    #[serde(with = "super::micros")]
    pub started_at: DateTime<Utc>,
    /// When it ended, if it did.
    #[serde(with = "super::maybe_micros", default)]
    pub ended_at: Option<DateTime<Utc>>,
    /// Why it ended.
    pub end_reason: Option<String>,
    /// The position of its last event.
    pub position: i64,
}

impl Row for SessionRow {
    const TABLE: &'static Table = &Table {
        name: "sessions",
        columns: &[
            text("id"),
            text("user"),
            text("client"),
            text("projects"),
            number("started_at"),
            maybe_number("ended_at"),
            maybe_text("end_reason"),
            number("position"),
        ],
        indexes: &[&["user", "position"]],
    };

    fn key(&self) -> &str {
        &self.id
    }

    fn values(&self) -> Vec<Value> {
        vec![
            self.id.clone().into(),
            self.user.clone().into(),
            self.client.clone().into(),
            self.projects.clone().into(),
            self.started_at.timestamp_micros().into(),
            self.ended_at.map(|time| time.timestamp_micros()).into(),
            self.end_reason.clone().into(),
            self.position.into(),
        ]
    }
}
