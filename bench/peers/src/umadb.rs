//! UmaDB: a server of its own, reached through its Rust client.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use async_trait::async_trait;
use futures::StreamExt;
use umadb_client::{AsyncUmaDbClient, UmaDbClient};
use umadb_dcb::{
    DcbAppendCondition, DcbError, DcbEvent, DcbEventStoreAsync, DcbQuery, DcbQueryItem,
};
use uuid::Uuid;

use crate::load::{Cursor, Outcome, Peer, STREAM_EVENTS, Seen, Store};
use crate::payload::{Measured, number};

/// Events of an append while the store is filled.
const FILL_EVENTS: usize = 1_000;

struct Umadb {
    url: String,
    clients: Vec<AsyncUmaDbClient>,
}

pub async fn open(url: &str, connections: usize) -> anyhow::Result<Peer> {
    let mut clients = Vec::with_capacity(connections);
    for _ in 0..connections {
        clients.push(connect(url).await?);
    }
    let url = url.to_owned();
    Ok(Arc::new(Umadb { url, clients }))
}

async fn connect(url: &str) -> anyhow::Result<AsyncUmaDbClient> {
    UmaDbClient::new(url.to_owned())
        .connect_async()
        .await
        .context("cannot connect to UmaDB")
}

fn tag(stream: Uuid) -> String {
    format!("measured:{stream}")
}

fn event(stream: Uuid, number: u64) -> DcbEvent {
    DcbEvent::default()
        .event_type("SomethingMeasured")
        .tags([tag(stream)])
        .data(Measured::new(number).json())
        .uuid(Uuid::new_v4())
}

#[async_trait]
impl Store for Umadb {
    async fn append(&self, at: &Cursor, number: u64) -> anyhow::Result<Outcome> {
        // A stream is a tag; it is as expected if nothing with that tag came after the last event.
        let stream = DcbQueryItem::new().tags([tag(at.stream)]);
        let unchanged = DcbAppendCondition::new(DcbQuery::new().item(stream)).after(at.position);
        let client = &self.clients[at.writer % self.clients.len()];
        let events = vec![event(at.stream, number)];
        match client.append(events, Some(unchanged), None).await {
            Ok(position) => Ok(Outcome::Appended(Some(position))),
            Err(DcbError::IntegrityError(_)) => Ok(Outcome::Refused),
            Err(error) => Err(error).context("UmaDB does not append"),
        }
    }

    async fn fill(&self, events: usize) -> anyhow::Result<()> {
        for _ in 0..events.div_ceil(FILL_EVENTS) {
            let mut batch = Vec::with_capacity(FILL_EVENTS);
            while batch.len() < FILL_EVENTS {
                let stream = Uuid::new_v4();
                batch.extend((0..STREAM_EVENTS).map(|_| event(stream, 0)));
            }
            self.clients[0].append(batch, None, None).await?;
        }
        Ok(())
    }

    async fn read_all(&self) -> anyhow::Result<usize> {
        let mut events = self.clients[0].read(None, None, false, None).await?;
        let mut count = 0;
        while let Some(event) = events.next().await {
            anyhow::ensure!(!event?.event.data.is_empty(), "an event without data");
            count += 1;
        }
        Ok(count)
    }

    async fn subscribe(&self, seen: Seen) -> anyhow::Result<bool> {
        let client = connect(&self.url).await?;
        let head = client.head().await?;
        let mut events = client.subscribe(None, head).await?;
        tokio::spawn(async move {
            let _connected = client;
            while let Some(Ok(event)) = events.next().await {
                let now = Instant::now();
                let event: Option<Measured> = serde_json::from_slice(&event.event.data).ok();
                let Some(number) = event.and_then(|event| number(&event.note)) else {
                    return;
                };
                if seen.send((number, now)).is_err() {
                    return;
                }
            }
        });
        Ok(true)
    }
}
