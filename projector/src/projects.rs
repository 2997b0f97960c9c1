//! `projects`: one row a project, as it stands.

use async_trait::async_trait;
use firefly_domain::project::{CloseReason, Event};
use firefly_domain::{Aggregate, Project, ProjectId, Step};
use firefly_event_store::{DomainEvent, RecordedEvent};
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, SqliteConnection};

use crate::projection::{Projection, sql};

pub(crate) struct Projects;

#[async_trait]
impl Projection for Projects {
    fn name(&self) -> &'static str {
        "projects"
    }

    fn version(&self) -> u32 {
        1
    }

    fn categories(&self) -> &'static [&'static str] {
        &[Project::CATEGORY]
    }

    async fn reset(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM projects")
            .execute(connection)
            .await?;
        Ok(())
    }

    async fn apply(
        &self,
        connection: &mut SqliteConnection,
        event: &DomainEvent,
        recorded: &RecordedEvent,
    ) -> Result<(), sqlx::Error> {
        let DomainEvent::Project(project, event) = event else {
            return Ok(());
        };
        change(connection, *project, event, recorded).await?;
        sqlx::query("UPDATE projects SET updated_at = ?, revision = ?, position = ? WHERE id = ?")
            .bind(recorded.recorded_at)
            .bind(sql(recorded.revision.number()))
            .bind(sql(recorded.position.number()))
            .bind(project.to_string())
            .execute(connection)
            .await?;
        Ok(())
    }
}

async fn change(
    connection: &mut SqliteConnection,
    project: ProjectId,
    event: &Event,
    recorded: &RecordedEvent,
) -> Result<(), sqlx::Error> {
    let id = project.to_string();
    let query = match event {
        Event::Opened(opened) => sqlx::query(
            "INSERT INTO projects \
             (id, user, owner, repo, source, branch, state, step, generation, opened_at, updated_at, revision, position) \
             VALUES (?, ?, ?, ?, ?, ?, 'opening', 'container', ?, ?, '', 0, 0) \
             ON CONFLICT (id) DO UPDATE SET source = excluded.source, branch = excluded.branch, state = 'opening', \
             step = 'container', generation = excluded.generation, container = NULL, released = 0, opened_at = excluded.opened_at, \
             failure_step = NULL, failure_code = NULL, failure_detail = NULL, closed_reason = NULL",
        )
        .bind(id)
        .bind(opened.key.user.as_str())
        .bind(opened.key.owner.as_str())
        .bind(opened.key.repo.as_str())
        .bind(opened.source.to_string())
        .bind(opened.branch.as_ref().map(|branch| branch.as_str()))
        .bind(sql(opened.generation.number()))
        .bind(recorded.recorded_at),
        Event::ContainerStarted(started) => {
            sqlx::query("UPDATE projects SET step = ?, container = ? WHERE id = ?")
                .bind(Step::Source.as_str())
                .bind(started.container.as_str())
                .bind(id)
        }
        Event::RepositoryCloned(_) | Event::TemplateApplied(_) | Event::WorkspaceResumed(_) => {
            advance(id, Step::Install)
        }
        Event::DependenciesInstalled(_) => advance(id, Step::Preview),
        Event::Ready(_) => sqlx::query("UPDATE projects SET state = 'ready', step = NULL WHERE id = ?").bind(id),
        Event::OpenFailed(failed) => sqlx::query(
            "UPDATE projects SET state = 'failed', step = NULL, container = NULL, \
             failure_step = ?, failure_code = ?, failure_detail = ? WHERE id = ?",
        )
        .bind(failed.failure.step.as_str())
        .bind(failed.failure.code.as_str())
        .bind(&failed.failure.detail)
        .bind(id),
        Event::ContainerExited(_) => {
            sqlx::query("UPDATE projects SET container = NULL WHERE id = ?").bind(id)
        }
        // A failed opening that has given its container back has nothing left to close.
        Event::Closed(closed) => sqlx::query(
            "UPDATE projects SET step = NULL, container = NULL, closed_reason = ?, \
             failure_step = NULL, failure_code = NULL, failure_detail = NULL, \
             state = CASE WHEN ? THEN 'deleting' WHEN state = 'failed' AND released THEN 'closed' ELSE 'closing' END \
             WHERE id = ?",
        )
        .bind(closed.reason.as_str())
        .bind(closed.reason == CloseReason::Deleted)
        .bind(id),
        Event::ContainerRemoved(_) => sqlx::query(
            "UPDATE projects SET released = 1, state = CASE state WHEN 'closing' THEN 'closed' ELSE state END \
             WHERE id = ?",
        )
        .bind(id),
        Event::UnsavedWorkChanged(changed) => {
            sqlx::query("UPDATE projects SET unsaved_files = ?, unsaved_commits = ? WHERE id = ?")
                .bind(sql(changed.unsaved.files))
                .bind(sql(changed.unsaved.commits))
                .bind(id)
        }
        Event::WorkspaceKept(kept) => {
            sqlx::query("UPDATE projects SET state = 'closed', unsaved_files = ?, unsaved_commits = ? WHERE id = ?")
                .bind(sql(kept.unsaved.files))
                .bind(sql(kept.unsaved.commits))
                .bind(id)
        }
        Event::WorkspaceDeleted(_) => sqlx::query(
            "UPDATE projects SET state = 'deleted', unsaved_files = 0, unsaved_commits = 0 WHERE id = ?",
        )
        .bind(id),
    };
    query.execute(connection).await?;
    Ok(())
}

/// A workspace that is made while its project is closing already is recorded too; then no step is at work any longer.
fn advance<'q>(id: String, step: Step) -> Query<'q, Sqlite, SqliteArguments> {
    sqlx::query("UPDATE projects SET step = ? WHERE id = ? AND state = 'opening'")
        .bind(step.as_str())
        .bind(id)
}
