//! An event log in memory, which for reactors is as slow and as unsure as everything else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use firefly_domain::lease::Event;
use firefly_domain::{Aggregate, EventId, Lease};
use firefly_event_store::{
    Append, Appended, Error, EventStore, Expected, NewEvent, Position, RecordedEvent, Revision,
    StreamId, Wire,
};
use tokio::sync::watch;
use uuid::Uuid;

use super::clock;
use super::world::{Life, World};
use crate::runtime;

/// The log itself. Cheap to clone.
#[derive(Clone)]
pub struct Log(Arc<Inner>);

struct Inner {
    events: Mutex<Vec<RecordedEvent>>,
    /// Where the events of each stream are.
    streams: Mutex<BTreeMap<StreamId, Vec<usize>>>,
    /// One for each who follows, so that they are woken in their order.
    heads: Mutex<Vec<watch::Sender<Position>>>,
}

/// The log as somebody sees it.
pub struct LogOf {
    log: Log,
    head: watch::Receiver<Position>,
    reactor: Option<(Arc<World>, Life)>,
}

impl Log {
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            events: Mutex::default(),
            streams: Mutex::default(),
            heads: Mutex::default(),
        }))
    }

    /// The events behind the first so many.
    pub fn events_from(&self, count: usize) -> Vec<RecordedEvent> {
        self.0.events.lock().unwrap()[count..].to_vec()
    }

    fn head(&self) -> watch::Receiver<Position> {
        let position = Position::new(self.0.events.lock().unwrap().len() as u64);
        let (sender, receiver) = watch::channel(position);
        self.0.heads.lock().unwrap().push(sender);
        receiver
    }

    fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        new: Vec<NewEvent>,
    ) -> Result<Appended, Error> {
        let mut events = self.0.events.lock().unwrap();
        if let Some(first) = events.iter().find(|event| event.id == new[0].id) {
            let count = new.len() as u64 - 1;
            return Ok(Appended {
                revision: Revision::new(first.revision.number() + count),
                position: Position::new(first.position.number() + count),
                repeated: true,
            });
        }
        let mut streams = self.0.streams.lock().unwrap();
        let places = streams.entry(stream.clone()).or_default();
        let current = places.last().map(|last| events[*last].revision);
        if Expected::after(current) != expected {
            return Err(Error::Conflict {
                stream: stream.clone(),
                expected,
                current,
            });
        }
        let mut revision = current.map_or(Revision::FIRST, Revision::next);
        for event in new {
            let position = Position::new(events.len() as u64 + 1);
            places.push(events.len());
            events.push(RecordedEvent {
                position,
                stream: stream.clone(),
                revision,
                id: event.id,
                event_type: event.event_type,
                schema_version: event.schema_version,
                data: event.data,
                metadata: event.metadata,
                recorded_at: clock::now(),
            });
            revision = revision.next();
        }
        let position = Position::new(events.len() as u64);
        for head in &*self.0.heads.lock().unwrap() {
            head.send_replace(position);
        }
        Ok(Appended {
            revision: Revision::new(revision.number() - 1),
            position,
            repeated: false,
        })
    }
}

impl LogOf {
    /// As people see it: nothing fails.
    pub fn people(log: &Log) -> Self {
        Self {
            head: log.head(),
            log: log.clone(),
            reactor: None,
        }
    }

    /// As a life of the reactor sees it.
    pub fn reactor(log: &Log, world: &Arc<World>, life: Life) -> Self {
        Self {
            head: log.head(),
            log: log.clone(),
            reactor: Some((Arc::clone(world), life)),
        }
    }

    async fn call<T>(
        &self,
        what: &'static str,
        effect: impl FnOnce(&Log) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Some((world, life)) = &self.reactor else {
            return effect(&self.log);
        };
        world.gate(*life).await;
        let before = self.log.0.events.lock().unwrap().len();
        let answered = world.call(*life, what, |state| {
            let done = effect(&self.log);
            for event in self.log.events_from(before) {
                if let Ok(Event::Acquired(acquired)) = Lease::decode(&event) {
                    state.leads(acquired.holder.process.as_u128() as Life);
                }
            }
            Ok(done)
        });
        let answered = answered.await;
        answered.unwrap_or_else(|error: runtime::Error| {
            Err(Error::Engine {
                action: "answer",
                source: Box::new(error),
            })
        })
    }

    async fn select(
        &self,
        wanted: impl Fn(&RecordedEvent) -> bool,
        backward: bool,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        self.call("read the log", |log| {
            let events = log.0.events.lock().unwrap();
            let wanted = |event: &&RecordedEvent| wanted(event);
            Ok(if backward {
                let found = events.iter().rev().filter(wanted);
                found.take(limit).cloned().collect()
            } else {
                events.iter().filter(wanted).take(limit).cloned().collect()
            })
        })
        .await
    }
}

#[async_trait]
impl EventStore for LogOf {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, Error> {
        let what = if stream.category() == Lease::CATEGORY {
            "sign"
        } else {
            "append"
        };
        self.call(what, |log| log.append(stream, expected, events))
            .await
    }

    async fn append_in_order(&self, appends: Vec<Append>) -> Result<(), Error> {
        self.call("append", |log| {
            appends.into_iter().try_for_each(|append| {
                log.append(&append.stream, append.expected, append.events)
                    .map(drop)
            })
        })
        .await
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        self.call("read the log", |log| {
            let events = log.0.events.lock().unwrap();
            let streams = log.0.streams.lock().unwrap();
            let places = streams.get(stream).map_or(&[][..], Vec::as_slice);
            let from = usize::try_from(from.number()).unwrap().min(places.len());
            let places = places[from..].iter().take(limit);
            Ok(places.map(|place| events[*place].clone()).collect())
        })
        .await
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, Error> {
        self.call("read the log", |log| {
            let events = log.0.events.lock().unwrap();
            let from = usize::try_from(after.number()).unwrap().min(events.len());
            Ok(events[from..].iter().take(limit).cloned().collect())
        })
        .await
    }

    async fn read_stream_back(
        &self,
        stream: &StreamId,
        before: Option<Revision>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        let wanted = |event: &RecordedEvent| {
            event.stream == *stream && before.is_none_or(|before| event.revision < before)
        };
        self.select(wanted, true, limit).await
    }

    async fn read_all_back(
        &self,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        let wanted = |event: &RecordedEvent| before.is_none_or(|before| event.position < before);
        self.select(wanted, true, limit).await
    }

    async fn find_request(&self, key: &Uuid) -> Result<Option<RecordedEvent>, Error> {
        let of_request = |event: &RecordedEvent| {
            let idempotency = event.metadata.idempotency.as_ref();
            idempotency.is_some_and(|idempotency| idempotency.key == *key)
        };
        let found = self.select(of_request, false, 1).await?;
        Ok(found.into_iter().next())
    }

    async fn taken(&self, ids: &[EventId]) -> Result<Vec<EventId>, Error> {
        let found = self
            .select(|event| ids.contains(&event.id), false, ids.len())
            .await?;
        Ok(found.into_iter().map(|event| event.id).collect())
    }

    fn id(&self) -> Uuid {
        Uuid::nil()
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.head.clone()
    }
}
