//! A real server, where one is named. None can be installed by Firefly's own test command.
//!
//! A case of the suite wants an empty log, and a server is not emptied for it. So it sees what comes behind the end that the
//! log had when the case began; cases must not run side by side then (`cargo nextest run -j 1`).

use super::*;

/// Holds the connection string of a server to be tested instead of the stand-in. Its database is written to.
pub(super) const REAL_SERVER: &str = "FIREFLY_TEST_EVENTSTOREDB";

/// The log of a server, from its end of now on.
pub(super) struct FromNowOn {
    store: EventStoreDbEventStore,
    begin: Position,
    head: watch::Receiver<Position>,
}

impl FromNowOn {
    pub(super) async fn open(url: &str) -> Self {
        let store = EventStoreDbEventStore::open(url).await.unwrap();
        let mut theirs = store.head();
        let begin = *theirs.borrow_and_update();
        let (announce, head) = watch::channel(Position::START);
        tokio::spawn(async move {
            while theirs.changed().await.is_ok() {
                announce.send_replace(*theirs.borrow_and_update());
            }
        });
        Self { store, begin, head }
    }
}

#[async_trait]
impl EventStore for FromNowOn {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, Error> {
        self.store.append(stream, expected, events).await
    }

    async fn append_in_order(&self, appends: Vec<Append>) -> Result<(), Error> {
        self.store.append_in_order(appends).await
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        self.store.read_stream(stream, from, limit).await
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, Error> {
        self.store.read_all(after.max(self.begin), limit).await
    }

    async fn read_stream_back(
        &self,
        stream: &StreamId,
        before: Option<Revision>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        self.store.read_stream_back(stream, before, limit).await
    }

    async fn read_all_back(
        &self,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        let mut events = self.store.read_all_back(before, limit).await?;
        events.retain(|event| event.position > self.begin);
        Ok(events)
    }

    async fn find_request(&self, key: &Uuid) -> Result<Option<RecordedEvent>, Error> {
        self.store.find_request(key).await
    }

    async fn taken(&self, ids: &[EventId]) -> Result<Vec<EventId>, Error> {
        self.store.taken(ids).await
    }

    fn id(&self) -> Uuid {
        self.store.id()
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.head.clone()
    }
}
