//! message-db: functions in a PostgreSQL database that its own script has installed.

use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::postgres::PgConnectOptions;
use sqlx::{PgPool, Row};
use uuid::Uuid;

use crate::load::{Cursor, Outcome, Peer, Store};
use crate::payload::Measured;

/// Events of a page that is read.
const PAGE_EVENTS: i64 = 1_000;

/// Events of a transaction while the store is filled; a stream has a hundred of them.
const FILL_EVENTS: usize = 1_000;

struct MessageDb(PgPool);

pub async fn open(url: &str, connections: usize) -> anyhow::Result<Peer> {
    let options =
        PgConnectOptions::from_str(url)?.options([("search_path", "message_store,public")]);
    Ok(Arc::new(MessageDb(
        crate::pool(options, connections).await?,
    )))
}

#[async_trait]
impl Store for MessageDb {
    async fn append(&self, at: &Cursor, number: u64) -> anyhow::Result<Outcome> {
        // Appends within a category wait for each other, so each writer has one of its own.
        sqlx::query(
            "SELECT write_message($1::varchar, $2::varchar, 'SomethingMeasured'::varchar, $3::jsonb, NULL, $4::bigint)",
        )
        .bind(Uuid::new_v4().to_string())
        .bind(format!("measured{}-{}", at.writer, at.stream))
        .bind(Measured::new(number).json())
        .bind(i64::try_from(at.events)? - 1)
        .execute(&self.0)
        .await?;
        Ok(Outcome::Appended(None))
    }

    async fn fill(&self, events: usize) -> anyhow::Result<()> {
        for _ in 0..events.div_ceil(FILL_EVENTS) {
            sqlx::query(
                "SELECT count(write_message(gen_random_uuid()::varchar, ($1 || (i / 100))::varchar, \
                 'SomethingMeasured'::varchar, $2::jsonb)) FROM generate_series(0, $3 - 1) i",
            )
            .bind(format!("filled-{}", Uuid::new_v4()))
            .bind(Measured::new(0).json())
            .bind(i32::try_from(FILL_EVENTS)?)
            .execute(&self.0)
            .await?;
        }
        sqlx::query("VACUUM ANALYZE").execute(&self.0).await?;
        Ok(())
    }

    async fn read_all(&self) -> anyhow::Result<usize> {
        let (mut count, mut position) = (0, 0_i64);
        loop {
            // Only a stream or a category can be read, not everything.
            let page = sqlx::query("SELECT * FROM get_category_messages('filled', $1, $2)")
                .bind(position)
                .bind(PAGE_EVENTS)
                .fetch_all(&self.0)
                .await?;
            for row in &page {
                anyhow::ensure!(
                    !row.try_get::<&str, _>("data")?.is_empty(),
                    "an event without data"
                );
            }
            let Some(last) = page.last() else {
                return Ok(count);
            };
            position = last.try_get::<i64, _>("global_position")? + 1;
            count += page.len();
        }
    }
}
