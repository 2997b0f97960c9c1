//! Commits groups of appends to the server.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
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

/// The one connection that writes, and what is known of the log since its last commit.
pub(super) struct Writer {
    /// Of one connection; it makes a new one when the server went away.
    pool: PgPool,
    known: Option<Known>,
}

/// The end of the log, unless another process appended since.
#[derive(Clone, Copy)]
struct Known {
    head: Position,
    /// When the last event was recorded.
    last: DateTime<Utc>,
    /// How far the server's clock is ahead of ours: times are the server's, whoever appends.
    ahead: TimeDelta,
}

type Committed = (Vec<Result<Appended, Error>>, Position);

#[async_trait]
impl Commit for Writer {
    async fn commit(&mut self, group: &Group) -> Result<Committed, Error> {
        self.try_commit(group).await.map_err(engine("commit"))
    }

    async fn close(self) {
        self.pool.close().await;
    }
}

impl Writer {
    pub(super) const fn new(pool: PgPool) -> Self {
        Self { pool, known: None }
    }

    async fn try_commit(&mut self, group: &Group) -> Result<Committed, sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        if let Some(known) = self.known.take()
            && let Some((committed, known)) = at_once(&mut connection, group, known).await?
        {
            self.known = Some(known);
            return Ok(committed);
        }
        let (committed, known) = locked(&mut connection, group).await?;
        self.known = Some(known);
        Ok(committed)
    }
}

/// Commits a group in one round trip and without a lock of ours, if nobody else appended and every stream is as its append
/// expects. The statement itself checks both; if it is otherwise, nothing happens.
async fn at_once(
    connection: &mut PgConnection,
    group: &Group,
    known: Known,
) -> Result<Option<(Committed, Known)>, sqlx::Error> {
    let (facts, before) = batch::hoped(group, known.head);
    let plan = batch::plan(group, facts);
    let first =
        |outcome: &Result<Appended, Error>| matches!(outcome, Ok(appended) if !appended.repeated);
    if !plan.outcomes.iter().all(first) {
        return Ok(None);
    }
    let now = Utc::now() + known.ahead;
    let rows = ToStore::all(&plan.rows, known.last.timestamp_micros(), now);
    // The statement writes and commits; what is between is the server's.
    crash::point("between-write-and-commit");
    match write(connection, known.head, plan.head, &before, &rows).await {
        Ok(true) => {
            let known = known.after(plan.head, &rows);
            Ok(Some(((plan.outcomes, plan.head), known)))
        }
        Ok(false) => Ok(None),
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Commits a group whatever the streams are like, in a transaction that holds the lock from its beginning.
async fn locked(
    connection: &mut PgConnection,
    group: &Group,
) -> Result<(Committed, Known), sqlx::Error> {
    // From here to the commit, nobody else hands out positions.
    let mut transaction = connection.begin_with(BEGIN).await?;
    // A statement of its own: what it sees was committed before the lock was ours.
    let Looked { facts, last, now } = look(&mut transaction, group).await?;
    let ahead = now - Utc::now();
    let head = facts.head;
    let plan = batch::plan(group, facts);
    let rows = ToStore::all(&plan.rows, last.timestamp_micros(), now);
    if !rows.is_empty() && !write(&mut transaction, head, plan.head, &[], &rows).await? {
        return Err(sqlx::Error::Protocol(
            "the head of the log moved although it was locked".to_owned(),
        ));
    }
    crash::point("between-write-and-commit");
    transaction.commit().await?;
    let known = Known { head, last, ahead };
    let known = known.after(plan.head, &rows);
    Ok(((plan.outcomes, plan.head), known))
}

impl Known {
    fn after(self, head: Position, rows: &[ToStore<'_>]) -> Self {
        let last = rows.last().and_then(recorded_at).unwrap_or(self.last);
        Self { head, last, ..self }
    }
}

fn recorded_at(row: &ToStore<'_>) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(row.recorded_at)
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

/// Writes rows, the head behind them, and the word to followers, which goes out with the commit; or, if the head is not
/// where it should be or one of the events is missing that have to be there before, nothing.
async fn write(
    connection: &mut PgConnection,
    head: Position,
    new_head: Position,
    before: &[(&StreamId, Revision)],
    rows: &[ToStore<'_>],
) -> Result<bool, sqlx::Error> {
    fn column<'a, R, T>(rows: &'a [R], value: impl Fn(&'a R) -> T) -> Vec<T> {
        rows.iter().map(value).collect()
    }
    let written = sqlx::query(WRITE)
        .bind(new_head.number().cast_signed())
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
        .bind(head.number().cast_signed())
        .bind(column(before, |(stream, _)| stream.as_str()))
        .bind(column(before, |(_, revision)| {
            revision.number().cast_signed()
        }))
        .execute(connection)
        .await?;
    Ok(written.rows_affected() != 0)
}

const WRITE: &str = "\
    WITH head AS (\
        UPDATE event_log_head SET position = $1, recorded_at = $2 \
        WHERE position = $17 AND NOT EXISTS (\
            SELECT FROM unnest($18::text[], $19::bigint[]) AS before (stream, revision) WHERE NOT EXISTS (\
                SELECT FROM events WHERE events.stream = before.stream AND events.revision = before.revision)) \
        RETURNING position), \
    told AS (SELECT pg_notify($3, '') FROM head) \
    INSERT INTO events \
        (position, stream, revision, event_id, event_type, schema_version, data, actor, correlation_id, causation_id, \
         context, recorded_at, checksum) \
    SELECT new.position, new.stream, new.revision, new.event_id, new.event_type, new.schema_version, new.data::json, \
        new.actor, new.correlation_id, new.causation_id, new.context::json, new.recorded_at, new.checksum \
    FROM told, unnest($4::bigint[], $5::text[], $6::bigint[], $7::uuid[], $8::text[], $9::bigint[], $10::text[], \
        $11::text[], $12::uuid[], $13::uuid[], $14::text[], $15::timestamptz[], $16::bigint[]) \
        AS new (position, stream, revision, event_id, event_type, schema_version, data, actor, correlation_id, \
            causation_id, context, recorded_at, checksum)";
