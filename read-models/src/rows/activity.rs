//! `activity`: what happened to each project on each day, counted.

use serde::{Deserialize, Serialize};

use super::{Row, number, text};
use crate::table::Table;
use crate::value::Value;

/// A project's day.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct ActivityRow {
    /// The day and the project's id, with a slash in between.
    pub key: String,
    /// The day in UTC, like 2026-11-25.
    pub day: String,
    /// The project's id.
    pub project: String,
    /// How often an opening began, restarts included.
    pub opened: i64,
    /// How often it became ready.
    pub ready: i64,
    /// How often an opening failed.
    pub failed: i64,
    /// How often its container ended by itself.
    pub exited: i64,
    /// How often it was closed.
    pub closed: i64,
    /// The time that all openings of the day took until they were ready, in milliseconds.
    pub ready_ms: i64,
    /// The position of the last event that was counted.
    pub position: i64,
}

impl ActivityRow {
    /// The key of a project's day.
    pub fn key_of(day: &str, project: &str) -> String {
        format!("{day}/{project}")
    }
}

impl Row for ActivityRow {
    const TABLE: &'static Table = &Table {
        name: "activity",
        columns: &[
            text("key"),
            text("day"),
            text("project"),
            number("opened"),
            number("ready"),
            number("failed"),
            number("exited"),
            number("closed"),
            number("ready_ms"),
            number("position"),
        ],
        indexes: &[&["project", "day"]],
    };

    fn key(&self) -> &str {
        &self.key
    }

    fn values(&self) -> Vec<Value> {
        vec![
            self.key.clone().into(),
            self.day.clone().into(),
            self.project.clone().into(),
            self.opened.into(),
            self.ready.into(),
            self.failed.into(),
            self.exited.into(),
            self.closed.into(),
            self.ready_ms.into(),
            self.position.into(),
        ]
    }
}
