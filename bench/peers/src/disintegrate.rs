//! disintegrate-postgres: streams as queries over one table, in serialisable transactions.

use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use async_trait::async_trait;
use disintegrate::{
    Event, EventListener, EventStore, PersistedEvent, StreamItem, StreamQuery, query,
};
use disintegrate_postgres::{Error, PgEventListener, PgEventListenerConfig, PgEventStore};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnectOptions;
use uuid::Uuid;

use crate::load::{Cursor, Outcome, Peer, STREAM_EVENTS, Seen, Store};
use crate::payload::{BYTES, note, number};

/// Events of a transaction while the store is filled.
const FILL_EVENTS: usize = 1_000;

/// How often its listener looks on its own; it is woken by notifications besides.
const POLL: Duration = Duration::from_secs(1);

/// What PostgreSQL answers when a transaction has to give way to another.
const SERIALIZATION_FAILURE: &str = "40001";
const DEADLOCK: &str = "40P01";

/// The epoch function of version 4.0.1 with its mask in decimal: PostgreSQL reads hexadecimal numbers from 16 on only.
const BEGIN_EPOCH: &str = "CREATE OR REPLACE FUNCTION event_store_begin_epoch() RETURNS void AS $$
    DECLARE
        id bigint;
        db_id int;
    BEGIN
        SELECT last_value INTO id FROM seq_event_event_id;
        SELECT oid INTO db_id FROM pg_database WHERE datname = current_database();
        PERFORM pg_try_advisory_xact_lock_shared(db_id, 0);
        PERFORM pg_try_advisory_xact_lock_shared(1, (id & 4294967295)::bit(32)::integer);
        PERFORM pg_try_advisory_xact_lock_shared(2, (id >> 32)::bit(32)::integer);
    END;
    $$ LANGUAGE plpgsql";

#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize)]
#[serde(tag = "type")]
enum Happened {
    SomethingMeasured {
        #[id]
        stream: String,
        note: String,
    },
}

type Log = PgEventStore<Happened, disintegrate::serde::json::Json<Happened>>;

fn event(stream: Uuid, number: u64) -> Happened {
    let stream = stream.to_string();
    let empty = r#"{"type":"SomethingMeasured","stream":"","note":""}"#.len() + stream.len();
    Happened::SomethingMeasured {
        stream,
        note: note(number, BYTES - empty),
    }
}

struct Disintegrate(Log, PgConnectOptions);

pub async fn open(url: &str, connections: usize) -> anyhow::Result<Peer> {
    let bytes = serde_json::to_string(&event(Uuid::new_v4(), 7))?.len();
    ensure!(
        bytes == BYTES,
        "its event has {bytes} bytes, and all others {BYTES}"
    );
    // Without this the function that is replaced below could not be made at all.
    let options = PgConnectOptions::from_str(url)?.options([("check_function_bodies", "off")]);
    let pool = crate::pool(options.clone(), connections).await?;
    let log = Log::try_new(pool.clone(), Default::default())
        .await
        .context("disintegrate does not make its schema")?;
    sqlx::raw_sql(BEGIN_EPOCH).execute(&pool).await?;
    Ok(Arc::new(Disintegrate(log, options)))
}

#[async_trait]
impl Store for Disintegrate {
    async fn append(&self, at: &Cursor, number: u64) -> anyhow::Result<Outcome> {
        let stream = at.stream.to_string();
        let query = query!(Happened; stream == stream);
        let version = i64::try_from(at.position.unwrap_or(0))?;
        let events = vec![event(at.stream, number)];
        match self.0.append(events, query, version).await {
            Ok(appended) => {
                let last = appended.last().context("nothing was appended")?.id();
                Ok(Outcome::Appended(Some(u64::try_from(last)?)))
            }
            Err(Error::Concurrency) => Ok(Outcome::Refused),
            Err(Error::Database(sqlx::Error::Database(error)))
                if [SERIALIZATION_FAILURE, DEADLOCK]
                    .map(Some)
                    .contains(&error.code().as_deref()) =>
            {
                Ok(Outcome::Refused)
            }
            Err(error) => Err(error).context("disintegrate does not append"),
        }
    }

    async fn fill(&self, events: usize) -> anyhow::Result<()> {
        for _ in 0..events.div_ceil(FILL_EVENTS) {
            let mut batch = Vec::with_capacity(FILL_EVENTS);
            while batch.len() < FILL_EVENTS {
                let stream = Uuid::new_v4();
                batch.extend((0..STREAM_EVENTS).map(|_| event(stream, 0)));
            }
            self.0.append_without_validation(batch).await?;
        }
        let pool = crate::pool(self.1.clone(), 1).await?;
        sqlx::query("VACUUM ANALYZE").execute(&pool).await?;
        Ok(())
    }

    async fn read_all(&self) -> anyhow::Result<usize> {
        let everything = query!(Happened);
        let mut items = self.0.stream(&everything);
        let mut count = 0;
        while let Some(item) = items.next().await {
            if let StreamItem::Event(_) = item? {
                count += 1;
            }
        }
        Ok(count)
    }

    async fn subscribe(&self, seen: Seen) -> anyhow::Result<bool> {
        let listener = Listener {
            query: query!(Happened),
            seen,
        };
        let config = PgEventListenerConfig::poller(POLL).with_notifier();
        let listening = PgEventListener::builder(self.0.clone())
            .register_listener(listener, config)
            .start();
        tokio::spawn(async move {
            if let Err(error) = listening.await {
                eprintln!("disintegrate's listener ended: {error}");
            }
        });
        Ok(true)
    }
}

struct Listener {
    query: StreamQuery<i64, Happened>,
    seen: Seen,
}

#[async_trait]
impl EventListener<i64, Happened> for Listener {
    type Error = std::io::Error;

    fn id(&self) -> &'static str {
        "bench"
    }

    fn query(&self) -> &StreamQuery<i64, Happened> {
        &self.query
    }

    async fn handle(&self, event: PersistedEvent<i64, Happened>) -> Result<(), Self::Error> {
        let now = Instant::now();
        let Happened::SomethingMeasured { note, .. } = event.into_inner();
        let number = number(&note).ok_or_else(|| std::io::Error::other("no number"))?;
        // The measurement may be over.
        let _ = self.seen.send((number, now));
        Ok(())
    }
}
