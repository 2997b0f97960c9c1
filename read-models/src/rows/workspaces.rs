//! `workspaces`: the files that users have, whether their projects are open or not.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Row, maybe_number, maybe_text, number, text};
use crate::table::Table;
use crate::value::Value;

/// The workspace of a project.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct WorkspaceRow {
    /// The project's id.
    pub project: String,
    /// Whose it is.
    pub user: String,
    /// Where its files come from.
    pub source: String,
    /// `none` before there are files, `present`, or `deleted`.
    pub state: String,
    /// The branch that was checked out, if that is known.
    pub branch: Option<String>,
    /// The commit that was checked out, if that is known.
    #[serde(rename = "commit_id")]
    pub commit: Option<String>,
    /// Packages that were installed, if any were.
    pub packages: Option<i64>,
    /// Files whose changes are nowhere else.
    pub unsaved_files: i64,
    /// Commits that are nowhere else.
    pub unsaved_commits: i64,
    /// When its project was last opened.
    #[serde(with = "super::micros")]
    pub opened_at: DateTime<Utc>,
    /// When its files were deleted, if they were.
    #[serde(with = "super::maybe_micros", default)]
    pub deleted_at: Option<DateTime<Utc>>,
    /// The position of the last event about it.
    pub position: i64,
}

impl Row for WorkspaceRow {
    const TABLE: &'static Table = &Table {
        name: "workspaces",
        columns: &[
            text("project"),
            text("user"),
            text("source"),
            text("state"),
            maybe_text("branch"),
            maybe_text("commit_id"),
            maybe_number("packages"),
            number("unsaved_files"),
            number("unsaved_commits"),
            number("opened_at"),
            maybe_number("deleted_at"),
            number("position"),
        ],
        indexes: &[&["user", "position"]],
    };

    fn key(&self) -> &str {
        &self.project
    }

    fn values(&self) -> Vec<Value> {
        vec![
            self.project.clone().into(),
            self.user.clone().into(),
            self.source.clone().into(),
            self.state.clone().into(),
            self.branch.clone().into(),
            self.commit.clone().into(),
            self.packages.into(),
            self.unsaved_files.into(),
            self.unsaved_commits.into(),
            self.opened_at.timestamp_micros().into(),
            self.deleted_at.map(|time| time.timestamp_micros()).into(),
            self.position.into(),
        ]
    }
}
