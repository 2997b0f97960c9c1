//! `containers`: every container there was, and how it ended.

use async_trait::async_trait;
use firefly_domain::project::Event;
use firefly_domain::{Aggregate, Project};
use firefly_event_store::{DomainEvent, RecordedEvent};
use sqlx::SqliteConnection;

use crate::projection::{Projection, sql};

pub(crate) struct Containers;

#[async_trait]
impl Projection for Containers {
    fn name(&self) -> &'static str {
        "containers"
    }

    fn version(&self) -> u32 {
        1
    }

    fn categories(&self) -> &'static [&'static str] {
        &[Project::CATEGORY]
    }

    async fn reset(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM containers")
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
        let project = project.to_string();
        let position = sql(recorded.position.number());
        let query = match event {
            Event::ContainerStarted(started) => sqlx::query(
                "INSERT OR REPLACE INTO containers \
                 (id, project, generation, image, from_pool, state, started_at, position) \
                 VALUES (?, ?, ?, ?, ?, 'running', ?, ?)",
            )
            .bind(started.container.as_str())
            .bind(project)
            .bind(sql(started.generation.number()))
            .bind(&started.image)
            .bind(started.from_pool)
            .bind(recorded.recorded_at)
            .bind(position),
            Event::ContainerExited(exited) => sqlx::query(
                "UPDATE containers SET state = 'exited', exit_code = ?, oom = ?, ended_at = ?, position = ? \
                 WHERE project = ? AND generation = ?",
            )
            .bind(exited.exit_code)
            .bind(exited.oom)
            .bind(recorded.recorded_at)
            .bind(position)
            .bind(project)
            .bind(sql(exited.generation.number())),
            Event::ContainerRemoved(removed) => ended(&project, removed.generation.number(), recorded),
            Event::WorkspaceKept(kept) => ended(&project, kept.generation.number(), recorded),
            Event::WorkspaceDeleted(deleted) => ended(&project, deleted.generation.number(), recorded),
            // A new generation takes the place of the one before it.
            Event::Opened(opened) => ended(&project, opened.generation.number().saturating_sub(1), recorded),
            Event::RepositoryCloned(_)
            | Event::TemplateApplied(_)
            | Event::WorkspaceResumed(_)
            | Event::DependenciesInstalled(_)
            | Event::Ready(_)
            | Event::OpenFailed(_)
            | Event::Closed(_)
            | Event::UnsavedWorkChanged(_) => return Ok(()),
        };
        query.execute(connection).await?;
        Ok(())
    }
}

type Query = sqlx::query::Query<'static, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

fn ended(project: &str, generation: u64, recorded: &RecordedEvent) -> Query {
    sqlx::query(
        "UPDATE containers SET state = 'removed', ended_at = COALESCE(ended_at, ?), position = ? \
         WHERE project = ? AND generation = ? AND state <> 'removed'",
    )
    .bind(recorded.recorded_at)
    .bind(sql(recorded.position.number()))
    .bind(project.to_owned())
    .bind(sql(generation))
}
