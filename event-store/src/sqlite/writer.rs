//! Commits groups of appends to the file.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use chrono::Utc;
use firefly_domain::EventId;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, QueryBuilder, Sqlite};
use uuid::Uuid;

use crate::batch::{self, Append, Facts, Place, Row};
use crate::event::{Position, Revision, StreamId};
use crate::sql::engine;
use crate::store::{Appended, Error};
use crate::writer::Commit;

/// Rows in one INSERT: nine values each, and SQLite takes 32,766 values.
const ROWS_PER_INSERT_MAX: usize = 500;

/// Values in one `IN` list.
const VALUES_PER_SELECT_MAX: usize = 1_000;

/// The connection that writes. One that failed is given up: SQLite may have ended its transaction by itself, and what the
/// driver believes of it is no longer true.
pub(super) struct Writer {
    options: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
}

#[async_trait]
impl Commit for Writer {
    async fn commit(
        &mut self,
        group: &[Append],
    ) -> Result<(Vec<Result<Appended, Error>>, Position), Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self
                .options
                .connect()
                .await
                .map_err(engine("open its file again"))?,
        };
        let committed = commit(&mut connection, group)
            .await
            .map_err(engine("commit"))?;
        self.connection = Some(connection);
        Ok(committed)
    }

    async fn close(self) {
        if let Some(connection) = self.connection
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the event log's file was not closed cleanly");
        }
    }
}

impl Writer {
    pub(super) fn new(options: SqliteConnectOptions, connection: SqliteConnection) -> Self {
        Self {
            options,
            connection: Some(connection),
        }
    }
}

async fn commit(
    connection: &mut SqliteConnection,
    group: &[Append],
) -> Result<(Vec<Result<Appended, Error>>, Position), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    // Another process may have written to the file since.
    let (head, recorded_at) = last(&mut transaction).await?;
    let facts = Facts {
        head,
        revisions: revisions(&mut transaction, &batch::streams(group)).await?,
        places: places(&mut transaction, batch::event_ids(group).collect()).await?,
    };
    let plan = batch::plan(group, facts);
    insert(
        &mut transaction,
        &plan.rows,
        recorded_at.max(Utc::now().timestamp_micros()),
    )
    .await?;
    transaction.commit().await?;
    Ok((plan.outcomes, plan.head))
}

/// The position of the last event, and when it was recorded, in microseconds since 1970.
pub(super) async fn last(
    connection: &mut SqliteConnection,
) -> Result<(Position, i64), sqlx::Error> {
    let row: Option<(i64, i64)> =
        sqlx::query_as("SELECT position, recorded_at FROM events ORDER BY position DESC LIMIT 1")
            .fetch_optional(connection)
            .await?;
    Ok(row.map_or((Position::START, 0), |(position, recorded_at)| {
        (Position::new(position.unsigned_abs()), recorded_at)
    }))
}

/// The last revision of each stream; a lookup in an index each.
async fn revisions(
    connection: &mut SqliteConnection,
    streams: &HashSet<&str>,
) -> Result<HashMap<StreamId, Revision>, sqlx::Error> {
    let mut revisions = HashMap::with_capacity(streams.len());
    for stream in streams {
        let last: Option<i64> =
            sqlx::query_scalar("SELECT MAX(revision) FROM events WHERE stream = ?")
                .bind(*stream)
                .fetch_one(&mut *connection)
                .await?;
        if let Some(last) = last {
            revisions.insert(
                StreamId::from_stored((*stream).to_owned()),
                Revision::new(last.unsigned_abs()),
            );
        }
    }
    Ok(revisions)
}

async fn places(
    connection: &mut SqliteConnection,
    ids: Vec<EventId>,
) -> Result<HashMap<EventId, Place>, sqlx::Error> {
    let mut places = HashMap::new();
    for ids in ids.chunks(VALUES_PER_SELECT_MAX) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT event_id, stream, revision, position FROM events WHERE event_id IN (",
        );
        let mut values = query.separated(", ");
        for id in ids {
            values.push_bind(*id.as_uuid());
        }
        query.push(")");
        let rows: Vec<(Uuid, String, i64, i64)> =
            query.build_query_as().fetch_all(&mut *connection).await?;
        places.extend(rows.into_iter().map(|(id, stream, revision, position)| {
            let place = Place {
                stream: StreamId::from_stored(stream),
                revision: Revision::new(revision.unsigned_abs()),
                position: Position::new(position.unsigned_abs()),
            };
            (EventId::from_uuid(id), place)
        }));
    }
    Ok(places)
}

async fn insert(
    connection: &mut SqliteConnection,
    rows: &[Row<'_>],
    recorded_at: i64,
) -> Result<(), sqlx::Error> {
    for rows in rows.chunks(ROWS_PER_INSERT_MAX) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "INSERT INTO events \
             (position, stream, revision, event_id, event_type, schema_version, data, metadata, recorded_at) ",
        );
        query.push_values(rows, |mut values, row| {
            values
                .push_bind(row.position.number().cast_signed())
                .push_bind(row.stream.as_str())
                .push_bind(row.revision.number().cast_signed())
                .push_bind(*row.event.id.as_uuid())
                .push_bind(&row.event.event_type)
                .push_bind(i64::from(row.event.schema_version))
                .push_bind(row.event.data.get())
                .push_bind(row.event.metadata.to_json())
                .push_bind(recorded_at);
        });
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}
