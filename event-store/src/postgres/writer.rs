//! Commits groups of appends to the server.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use firefly_domain::EventId;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, PgPool};
use uuid::Uuid;

use super::listener::CHANNEL;
use crate::batch::{self, Append, Facts, Place, Plan, Row};
use crate::event::{Position, Revision, StreamId};
use crate::sql::engine;
use crate::store::{Appended, Error};
use crate::writer::Commit;

/// A pool of the one connection that writes; it makes a new one when the server went away.
pub(super) struct Writer(pub(super) PgPool);

#[async_trait]
impl Commit for Writer {
    async fn commit(
        &mut self,
        group: &[Append],
    ) -> Result<(Vec<Result<Appended, Error>>, Position), Error> {
        self.try_commit(group).await.map_err(engine("commit"))
    }

    async fn close(self) {
        self.0.close().await;
    }
}

impl Writer {
    async fn try_commit(
        &self,
        group: &[Append],
    ) -> Result<(Vec<Result<Appended, Error>>, Position), sqlx::Error> {
        let mut connection = self.0.acquire().await?;
        let mut transaction = connection.begin().await?;
        // From here to the commit, nobody else hands out positions.
        let head: i64 = sqlx::query_scalar("SELECT position FROM event_log_head FOR UPDATE")
            .fetch_one(&mut *transaction)
            .await?;
        let facts = Facts {
            head: Position::new(head.unsigned_abs()),
            revisions: revisions(&mut transaction, &batch::streams(group)).await?,
            places: places(&mut transaction, batch::event_ids(group).collect()).await?,
        };
        let plan = batch::plan(group, facts);
        if !plan.rows.is_empty() {
            write(&mut transaction, &plan).await?;
        }
        transaction.commit().await?;
        Ok((plan.outcomes, plan.head))
    }
}

async fn revisions(
    connection: &mut PgConnection,
    streams: &HashSet<&str>,
) -> Result<HashMap<StreamId, Revision>, sqlx::Error> {
    let streams: Vec<&str> = streams.iter().copied().collect();
    // One look at the end of an index for each stream, however long the stream is.
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT asked.stream, last.revision FROM unnest($1::text[]) AS asked (stream), LATERAL \
         (SELECT revision FROM events WHERE events.stream = asked.stream ORDER BY revision DESC LIMIT 1) AS last",
    )
    .bind(streams)
    .fetch_all(connection)
    .await?;
    let last = |(stream, revision): (String, i64)| {
        (
            StreamId::from_stored(stream),
            Revision::new(revision.unsigned_abs()),
        )
    };
    Ok(rows.into_iter().map(last).collect())
}

async fn places(
    connection: &mut PgConnection,
    ids: Vec<EventId>,
) -> Result<HashMap<EventId, Place>, sqlx::Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| *id.as_uuid()).collect();
    let rows: Vec<(Uuid, String, i64, i64)> = sqlx::query_as(
        "SELECT event_id, stream, revision, position FROM events WHERE event_id = ANY ($1)",
    )
    .bind(ids)
    .fetch_all(connection)
    .await?;
    let place = |(id, stream, revision, position): (Uuid, String, i64, i64)| {
        let place = Place {
            stream: StreamId::from_stored(stream),
            revision: Revision::new(revision.unsigned_abs()),
            position: Position::new(position.unsigned_abs()),
        };
        (EventId::from_uuid(id), place)
    };
    Ok(rows.into_iter().map(place).collect())
}

/// The rows, the head behind them, and the word to followers, which goes out with the commit.
async fn write(connection: &mut PgConnection, plan: &Plan<'_>) -> Result<(), sqlx::Error> {
    fn column<'a, T>(rows: &'a [Row<'a>], value: impl Fn(&'a Row<'a>) -> T) -> Vec<T> {
        rows.iter().map(value).collect()
    }
    let rows = &plan.rows;
    // A clock that was set back must not put an event before an earlier one.
    sqlx::query(
        "WITH head AS ( \
             UPDATE event_log_head SET position = $1, recorded_at = GREATEST(recorded_at, clock_timestamp()) \
             RETURNING recorded_at) \
         INSERT INTO events \
             (position, stream, revision, event_id, event_type, schema_version, data, metadata, recorded_at) \
         SELECT new.position, new.stream, new.revision, new.event_id, new.event_type, new.schema_version, \
             new.data::json, new.metadata::json, head.recorded_at \
         FROM head, unnest($2::bigint[], $3::text[], $4::bigint[], $5::uuid[], $6::text[], $7::integer[], \
             $8::text[], $9::text[]) \
             AS new (position, stream, revision, event_id, event_type, schema_version, data, metadata)",
    )
    .bind(plan.head.number().cast_signed())
    .bind(column(rows, |row| row.position.number().cast_signed()))
    .bind(column(rows, |row| row.stream.as_str()))
    .bind(column(rows, |row| row.revision.number().cast_signed()))
    .bind(column(rows, |row| *row.event.id.as_uuid()))
    .bind(column(rows, |row| row.event.event_type.as_str()))
    .bind(column(rows, |row| row.event.schema_version.cast_signed()))
    .bind(column(rows, |row| row.event.data.get()))
    .bind(column(rows, |row| row.event.metadata.to_json()))
    .execute(&mut *connection)
    .await?;
    sqlx::query("SELECT pg_notify($1, '')")
        .bind(CHANNEL)
        .execute(connection)
        .await?;
    Ok(())
}
