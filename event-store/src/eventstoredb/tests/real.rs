//! A real server, where one is named. None can be installed by Firefly's own test command.
//!
//! A case of the suite wants an empty log, and a server is not emptied for it. So it sees what comes behind the end that the
//! log had when the case began; cases must not run side by side then (`cargo nextest run -j 1`).

use super::*;
use crate::layer::Layer;

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
impl Layer for FromNowOn {
    fn behind(&self) -> &dyn EventStore {
        &self.store
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, Error> {
        self.store.read_all(after.max(self.begin), limit).await
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

    fn head(&self) -> watch::Receiver<Position> {
        self.head.clone()
    }
}
