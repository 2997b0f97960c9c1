//! The process that is killed: clients that append, and note what was acknowledged.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use firefly_domain::{Actor, EventId};
use firefly_event_store::{EventStore, Expected, Metadata, NewEvent, StreamId};
use serde_json::value::to_raw_value;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::journal::{Entry, Journal};

const CLIENTS: usize = 16;

/// Events of one append at the most.
const EVENTS_MAX: u128 = 5;

/// Appends to a stream before a client begins another.
const STREAM_APPENDS: usize = 50;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long)]
    log: String,
    #[arg(long)]
    journal: PathBuf,
    #[arg(long)]
    acknowledge_early: bool,
}

/// Appends until it is killed.
pub async fn run(args: &Args) -> anyhow::Result<()> {
    let store = firefly_event_store::open(&args.log).await?;
    let journal = Arc::new(Journal::open(&args.journal)?);
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (store, journal) = (Arc::clone(&store), Arc::clone(&journal));
        let early = args.acknowledge_early;
        clients.spawn(async move { append(&*store, &journal, early).await });
    }
    println!("ready");
    match clients.join_next().await {
        Some(ended) => ended?.context("a client failed"),
        None => Ok(()),
    }
}

async fn append(store: &dyn EventStore, journal: &Journal, early: bool) -> anyhow::Result<()> {
    loop {
        let stream = StreamId::of("soak", &Uuid::new_v4());
        let mut last = None;
        for _ in 0..STREAM_APPENDS {
            let events = events();
            let mut entry = Entry {
                stream: stream.as_str().to_owned(),
                ids: events.iter().map(|event| *event.id.as_uuid()).collect(),
                last: None,
            };
            if early {
                journal.write(&entry)?;
            }
            let appended = store.append(&stream, Expected::after(last), events).await?;
            if !early {
                entry.last = Some((appended.revision.number(), appended.position.number()));
                journal.write(&entry)?;
            }
            last = Some(appended.revision);
        }
    }
}

/// The events of one append; each names the append and how many it has.
pub fn events() -> Vec<NewEvent> {
    let append = Uuid::new_v4();
    let count = append.as_u128() % EVENTS_MAX + 1;
    let payload = serde_json::json!({"append": append, "events": count as u64});
    let event = || NewEvent {
        id: EventId::from_uuid(Uuid::now_v7()),
        event_type: "SomethingSoaked".into(),
        schema_version: 1,
        data: to_raw_value(&payload).expect("it has only string keys"),
        metadata: Metadata {
            actor: Actor::System("soak".into()),
            correlation_id: append,
            causation_id: None,
            traceparent: None,
            idempotency: None,
        },
        recorded_at: None,
    };
    (0..count).map(|_| event()).collect()
}
