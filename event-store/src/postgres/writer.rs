//! Commits groups of appends to the server.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use firefly_domain::EventId;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, PgPool};
use uuid::Uuid;

use super::listener::CHANNEL;
use crate::batch::{self, Append, Facts, Place};
use crate::crash;
use crate::event::{Position, Revision, StreamId};
use crate::store::{Appended, Error, engine};
use crate::stored::ToStore;
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
        let (head, last, now): (i64, DateTime<Utc>, DateTime<Utc>) = sqlx::query_as(
            "SELECT position, recorded_at, clock_timestamp() FROM event_log_head FOR UPDATE",
        )
        .fetch_one(&mut *transaction)
        .await?;
        let facts = Facts {
            head: Position::new(head.unsigned_abs()),
            revisions: revisions(&mut transaction, &batch::streams(group)).await?,
            places: places(&mut transaction, batch::event_ids(group).collect()).await?,
        };
        let plan = batch::plan(group, facts);
        if !plan.rows.is_empty() {
            let rows = ToStore::all(&plan.rows, last.timestamp_micros(), now);
            write(&mut transaction, plan.head, &rows).await?;
        }
        crash::point("between-write-and-commit");
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
async fn write(
    connection: &mut PgConnection,
    head: Position,
    rows: &[ToStore<'_>],
) -> Result<(), sqlx::Error> {
    fn column<'a, T>(rows: &'a [ToStore<'a>], value: impl Fn(&'a ToStore<'a>) -> T) -> Vec<T> {
        rows.iter().map(value).collect()
    }
    let recorded_at = |row: &ToStore<'_>| DateTime::from_timestamp_micros(row.recorded_at);
    sqlx::query(
        "WITH head AS (UPDATE event_log_head SET position = $1, recorded_at = $2), \
             told AS (SELECT pg_notify($3, '')) \
         INSERT INTO events \
             (position, stream, revision, event_id, event_type, schema_version, data, actor, correlation_id, \
              causation_id, context, recorded_at, checksum) \
         SELECT new.position, new.stream, new.revision, new.event_id, new.event_type, new.schema_version, \
             new.data::json, new.actor, new.correlation_id, new.causation_id, new.context::json, new.recorded_at, \
             new.checksum \
         FROM told, unnest($4::bigint[], $5::text[], $6::bigint[], $7::uuid[], $8::text[], $9::bigint[], $10::text[], \
             $11::text[], $12::uuid[], $13::uuid[], $14::text[], $15::timestamptz[], $16::bigint[]) \
             AS new (position, stream, revision, event_id, event_type, schema_version, data, actor, correlation_id, \
                 causation_id, context, recorded_at, checksum)",
    )
    .bind(head.number().cast_signed())
    .bind(rows.last().and_then(recorded_at))
    .bind(CHANNEL)
    .bind(column(rows, |row| row.row.position.number().cast_signed()))
    .bind(column(rows, |row| row.row.stream.as_str()))
    .bind(column(rows, |row| row.row.revision.number().cast_signed()))
    .bind(column(rows, |row| *row.row.event.id.as_uuid()))
    .bind(column(rows, |row| row.row.event.event_type.as_str()))
    .bind(column(rows, |row| i64::from(row.row.event.schema_version)))
    .bind(column(rows, |row| row.row.event.data.get()))
    .bind(column(rows, |row| row.origin.actor.as_str()))
    .bind(column(rows, |row| row.origin.correlation_id))
    .bind(column(rows, |row| row.origin.causation_id))
    .bind(column(rows, |row| row.origin.context.as_deref()))
    .bind(column(rows, recorded_at))
    .bind(column(rows, |row| row.checksum))
    .execute(connection)
    .await?;
    Ok(())
}
