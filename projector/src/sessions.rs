//! `sessions`: who signed in, when, with what, and which projects they have in hand.

use async_trait::async_trait;
use firefly_domain::session::Event;
use firefly_domain::{Aggregate, Session};
use firefly_event_store::{DomainEvent, RecordedEvent};
use sqlx::SqliteConnection;

use crate::projection::{Projection, sql};

pub(crate) struct Sessions;

#[async_trait]
impl Projection for Sessions {
    fn name(&self) -> &'static str {
        "sessions"
    }

    fn version(&self) -> u32 {
        1
    }

    fn categories(&self) -> &'static [&'static str] {
        &[Session::CATEGORY]
    }

    async fn reset(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM sessions")
            .execute(&mut *connection)
            .await?;
        sqlx::query("DELETE FROM session_projects")
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
        let DomainEvent::Session(session, event) = event else {
            return Ok(());
        };
        let id = session.to_string();
        let query = match event {
            Event::Started(started) => sqlx::query(
                "INSERT OR REPLACE INTO sessions (id, user, client, started_at, position) VALUES (?, ?, ?, ?, 0)",
            )
            .bind(&id)
            .bind(started.user.as_str())
            .bind(&started.client)
            .bind(recorded.recorded_at),
            Event::Joined(joined) => {
                sqlx::query("INSERT OR IGNORE INTO session_projects (session, project) VALUES (?, ?)")
                    .bind(&id)
                    .bind(joined.project.to_string())
            }
            Event::Left(left) => sqlx::query("DELETE FROM session_projects WHERE session = ? AND project = ?")
                .bind(&id)
                .bind(left.project.to_string()),
            Event::Ended(ended) => sqlx::query("UPDATE sessions SET ended_at = ?, end_reason = ? WHERE id = ?")
                .bind(recorded.recorded_at)
                .bind(ended.reason.as_str())
                .bind(&id),
        };
        query.execute(&mut *connection).await?;
        sqlx::query("UPDATE sessions SET position = ? WHERE id = ?")
            .bind(sql(recorded.position.number()))
            .bind(&id)
            .execute(connection)
            .await?;
        Ok(())
    }
}
