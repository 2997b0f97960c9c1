//! `containers`: every container there was, and how it ended.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Row, maybe_number, number, text};
use crate::table::Table;
use crate::value::Value;

/// The container of one generation of a project.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct ContainerRow {
    /// The project's id and the generation, with a slash in between.
    pub key: String,
    /// The engine's id for it.
    pub id: String,
    /// The project's id.
    pub project: String,
    /// Which opening of the project it was made for.
    pub generation: i64,
    /// What it was made of.
    pub image: String,
    /// Whether it was started ahead of the opening.
    #[serde(with = "super::flag")]
    pub from_pool: bool,
    /// `running`, `exited` or `removed`.
    pub state: String,
    /// What it exited with, if that is known.
    pub exit_code: Option<i64>,
    /// Whether it ran out of memory.
    #[serde(with = "super::flag")]
    pub oom: bool,
    /// When it started.
    #[serde(with = "super::micros")]
    pub started_at: DateTime<Utc>,
    /// When it ended, if it did.
    #[serde(with = "super::maybe_micros", default)]
    pub ended_at: Option<DateTime<Utc>>,
    /// The position of the last event about it.
    pub position: i64,
}

impl ContainerRow {
    /// The key of the container of a generation.
    pub fn key_of(project: &str, generation: u64) -> String {
        format!("{project}/{generation}")
    }
}

impl Row for ContainerRow {
    const TABLE: &'static Table = &Table {
        name: "containers",
        columns: &[
            text("key"),
            text("id"),
            text("project"),
            number("generation"),
            text("image"),
            number("from_pool"),
            text("state"),
            maybe_number("exit_code"),
            number("oom"),
            number("started_at"),
            maybe_number("ended_at"),
            number("position"),
        ],
        indexes: &[&["project", "position"], &["position"]],
    };

    fn key(&self) -> &str {
        &self.key
    }

    fn values(&self) -> Vec<Value> {
        vec![
            self.key.clone().into(),
            self.id.clone().into(),
            self.project.clone().into(),
            self.generation.into(),
            self.image.clone().into(),
            i64::from(self.from_pool).into(),
            self.state.clone().into(),
            self.exit_code.into(),
            i64::from(self.oom).into(),
            self.started_at.timestamp_micros().into(),
            self.ended_at.map(|time| time.timestamp_micros()).into(),
            self.position.into(),
        ]
    }
}
