//! `projects`: one row a project, as it stands.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Row, maybe_text, number, text};
use crate::table::Table;
use crate::value::Value;

/// A project as it stands.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct ProjectRow {
    /// The UUID that its names give.
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// The owner of its repository.
    pub owner: String,
    /// The repository.
    pub repo: String,
    /// Where its files come from.
    pub source: String,
    /// The branch that was asked for.
    pub branch: Option<String>,
    /// The phase that it is in.
    pub state: String,
    /// The step of an opening that is at work.
    pub step: Option<String>,
    /// Counts its openings.
    pub generation: i64,
    /// The container that it has.
    pub container: Option<String>,
    /// Whether the container of a failed or closed opening is gone.
    #[serde(with = "super::flag")]
    pub released: bool,
    /// The step that failed.
    pub failure_step: Option<String>,
    /// Why, for programs.
    pub failure_code: Option<String>,
    /// Why, for people.
    pub failure_detail: Option<String>,
    /// Why it was closed.
    pub closed_reason: Option<String>,
    /// Files whose changes are nowhere else.
    pub unsaved_files: i64,
    /// Commits that are nowhere else.
    pub unsaved_commits: i64,
    /// When it was last opened.
    #[serde(with = "super::micros")]
    pub opened_at: DateTime<Utc>,
    /// When something last happened to it.
    #[serde(with = "super::micros")]
    pub updated_at: DateTime<Utc>,
    /// The revision of its last event.
    pub revision: i64,
    /// The position of its last event.
    pub position: i64,
}

impl Row for ProjectRow {
    const TABLE: &'static Table = &Table {
        name: "projects",
        columns: &[
            text("id"),
            text("user"),
            text("owner"),
            text("repo"),
            text("source"),
            maybe_text("branch"),
            text("state"),
            maybe_text("step"),
            number("generation"),
            maybe_text("container"),
            number("released"),
            maybe_text("failure_step"),
            maybe_text("failure_code"),
            maybe_text("failure_detail"),
            maybe_text("closed_reason"),
            number("unsaved_files"),
            number("unsaved_commits"),
            number("opened_at"),
            number("updated_at"),
            number("revision"),
            number("position"),
        ],
        indexes: &[&["user", "position"], &["user", "owner", "repo"]],
    };

    fn key(&self) -> &str {
        &self.id
    }

    fn values(&self) -> Vec<Value> {
        vec![
            self.id.clone().into(),
            self.user.clone().into(),
            self.owner.clone().into(),
            self.repo.clone().into(),
            self.source.clone().into(),
            self.branch.clone().into(),
            self.state.clone().into(),
            self.step.clone().into(),
            self.generation.into(),
            self.container.clone().into(),
            i64::from(self.released).into(),
            self.failure_step.clone().into(),
            self.failure_code.clone().into(),
            self.failure_detail.clone().into(),
            self.closed_reason.clone().into(),
            self.unsaved_files.into(),
            self.unsaved_commits.into(),
            self.opened_at.timestamp_micros().into(),
            self.updated_at.timestamp_micros().into(),
            self.revision.into(),
            self.position.into(),
        ]
    }
}
