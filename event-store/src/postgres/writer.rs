//! Commits groups of appends to the server.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use firefly_domain::EventId;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, PgPool, Row};
use uuid::Uuid;

use super::listener::CHANNEL;
use crate::batch::{self, Facts, Group, Place};
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
        group: &Group,
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
        group: &Group,
    ) -> Result<(Vec<Result<Appended, Error>>, Position), sqlx::Error> {
        let mut connection = self.0.acquire().await?;
        // From here to the commit, nobody else hands out positions.
        let mut transaction = connection.begin_with(BEGIN).await?;
        // A statement of its own: what it sees was committed before the lock was ours.
        let Looked { facts, last, now } = look(&mut transaction, group).await?;
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

/// Begins a transaction and takes the lock, in one round trip.
const BEGIN: &str = "BEGIN; SELECT FROM event_log_head FOR UPDATE";

/// The head, the last revision of each stream and the place of each event id, in one round trip. For a stream it is one look
/// at the end of an index, however long the stream is.
const LOOK: &str = "\
    SELECT 0 AS kind, NULL::text AS stream, NULL::uuid AS id, NULL::bigint AS revision, position, recorded_at, \
        clock_timestamp() AS now \
    FROM event_log_head \
    UNION ALL \
    SELECT 1, asked.stream, NULL, last.revision, NULL, NULL, NULL \
    FROM unnest($1::text[]) AS asked (stream), LATERAL \
        (SELECT revision FROM events WHERE events.stream = asked.stream ORDER BY revision DESC LIMIT 1) AS last \
    UNION ALL \
    SELECT 2, stream, event_id, revision, position, NULL, NULL FROM events WHERE event_id = ANY ($2)";

/// What the log says inside the transaction.
struct Looked {
    facts: Facts,
    /// When the last event was recorded.
    last: DateTime<Utc>,
    /// The server's time.
    now: DateTime<Utc>,
}

async fn look(connection: &mut PgConnection, group: &Group) -> Result<Looked, sqlx::Error> {
    let streams: Vec<&str> = batch::streams(group).into_iter().collect();
    let ids: Vec<Uuid> = batch::event_ids(group).map(|id| *id.as_uuid()).collect();
    let rows = sqlx::query(LOOK)
        .bind(streams)
        .bind(ids)
        .fetch_all(connection)
        .await?;
    let mut looked = Looked {
        facts: Facts::default(),
        last: DateTime::UNIX_EPOCH,
        now: DateTime::UNIX_EPOCH,
    };
    for row in rows {
        let number = |column| -> Result<u64, sqlx::Error> {
            Ok(row.try_get::<i64, _>(column)?.unsigned_abs())
        };
        match row.try_get::<i32, _>("kind")? {
            0 => {
                looked.facts.head = Position::new(number("position")?);
                looked.last = row.try_get("recorded_at")?;
                looked.now = row.try_get("now")?;
            }
            1 => {
                let stream = StreamId::from_stored(row.try_get::<&str, _>("stream")?);
                let revision = Revision::new(number("revision")?);
                looked.facts.revisions.insert(stream, revision);
            }
            _ => {
                let place = Place {
                    stream: StreamId::from_stored(row.try_get::<&str, _>("stream")?),
                    revision: Revision::new(number("revision")?),
                    position: Position::new(number("position")?),
                };
                let id = EventId::from_uuid(row.try_get("id")?);
                looked.facts.places.insert(id, place);
            }
        }
    }
    Ok(looked)
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
