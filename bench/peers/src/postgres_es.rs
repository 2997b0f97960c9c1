//! postgres-es: the repository of cqrs-es on PostgreSQL.

use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context;
use async_trait::async_trait;
use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::{PersistedEventRepository, SerializedEvent};
use cqrs_es::{Aggregate, DomainEvent};
use postgres_es::PostgresEventRepository;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use uuid::Uuid;

use crate::load::{Cursor, Outcome, Peer, STREAM_EVENTS, Store};
use crate::payload::Measured;

/// The table that its README asks for.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS events (
    aggregate_type text NOT NULL,
    aggregate_id text NOT NULL,
    sequence bigint CHECK (sequence >= 0) NOT NULL,
    event_type text NOT NULL,
    event_version text NOT NULL,
    payload json NOT NULL,
    metadata json NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence)
)";

/// Events of a transaction while the store is filled.
const FILL_EVENTS: usize = 1_000;

struct PostgresEs {
    pool: PgPool,
    repository: PostgresEventRepository,
}

pub async fn open(url: &str, connections: usize) -> anyhow::Result<Peer> {
    let pool = crate::pool(PgConnectOptions::from_str(url)?, connections).await?;
    sqlx::raw_sql(TABLE).execute(&pool).await?;
    let repository = PostgresEventRepository::new(pool.clone());
    Ok(Arc::new(PostgresEs { pool, repository }))
}

impl DomainEvent for Measured {
    fn event_type(&self) -> String {
        "SomethingMeasured".into()
    }

    fn event_version(&self) -> String {
        "1".into()
    }
}

/// The library wants to know whose events these are; nothing is ever decided.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Measurement;

#[derive(Debug)]
struct Never;

impl std::fmt::Display for Never {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("nothing is decided")
    }
}

impl std::error::Error for Never {}

impl Aggregate for Measurement {
    const TYPE: &'static str = "measured";
    type Command = ();
    type Event = Measured;
    type Error = Never;
    type Services = ();

    async fn handle(&mut self, _: (), _: &(), _: &EventSink<Self>) -> Result<(), Never> {
        Err(Never)
    }

    fn apply(&mut self, _: Measured) {}
}

fn event(stream: Uuid, sequence: u64, number: u64) -> anyhow::Result<SerializedEvent> {
    let payload: Value = serde_json::to_value(Measured::new(number))?;
    Ok(SerializedEvent::new(
        stream.to_string(),
        usize::try_from(sequence)?,
        Measurement::TYPE.into(),
        "SomethingMeasured".into(),
        "1".into(),
        payload,
        json!({}),
    ))
}

#[async_trait]
impl Store for PostgresEs {
    async fn append(&self, at: &Cursor, number: u64) -> anyhow::Result<Outcome> {
        // The primary key refuses a sequence number that is there already.
        let event = event(at.stream, at.events + 1, number)?;
        self.repository
            .persist::<Measurement>(&[event], None)
            .await
            .context("postgres-es does not append")?;
        Ok(Outcome::Appended(None))
    }

    async fn fill(&self, events: usize) -> anyhow::Result<()> {
        for _ in 0..events.div_ceil(FILL_EVENTS) {
            let mut batch = Vec::with_capacity(FILL_EVENTS);
            while batch.len() < FILL_EVENTS {
                let stream = Uuid::new_v4();
                for sequence in 1..=STREAM_EVENTS {
                    batch.push(event(stream, sequence, 0)?);
                }
            }
            self.repository.persist::<Measurement>(&batch, None).await?;
        }
        sqlx::query("VACUUM ANALYZE").execute(&self.pool).await?;
        Ok(())
    }

    async fn read_all(&self) -> anyhow::Result<usize> {
        let mut events = self.repository.stream_all_events::<Measurement>().await?;
        let mut count = 0;
        while let Some(event) = events.next::<Measurement>(&[]).await {
            event?;
            count += 1;
        }
        Ok(count)
    }
}
