//! Logs with something in front of them: whoever counts, delays or hides says only what it does otherwise.

use async_trait::async_trait;
use firefly_domain::EventId;
use tokio::sync::watch;
use uuid::Uuid;

use crate::event::{NewEvent, Position, RecordedEvent, Revision, StreamId};
use crate::store::{Append, Appended, Error, EventStore, Expected};

/// Something in front of a log. It is an [`EventStore`] itself, and passes on what it does not do otherwise; what each
/// operation means is said there.
#[async_trait]
#[expect(missing_docs, reason = "they are the operations of `EventStore`")]
pub trait Layer: Send + Sync + 'static {
    /// The log behind it.
    fn behind(&self) -> &dyn EventStore;

    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, Error> {
        self.behind().append(stream, expected, events).await
    }

    async fn append_in_order(&self, appends: Vec<Append>) -> Result<(), Error> {
        self.behind().append_in_order(appends).await
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, Error> {
        self.behind().read_all(after, limit).await
    }

    async fn read_all_back(
        &self,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        self.behind().read_all_back(before, limit).await
    }

    async fn find_request(&self, key: &Uuid) -> Result<Option<RecordedEvent>, Error> {
        self.behind().find_request(key).await
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.behind().head()
    }
}

#[async_trait]
impl<L: Layer> EventStore for L {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, Error> {
        Layer::append(self, stream, expected, events).await
    }

    async fn append_in_order(&self, appends: Vec<Append>) -> Result<(), Error> {
        Layer::append_in_order(self, appends).await
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from: Revision,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        self.behind().read_stream(stream, from, limit).await
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, Error> {
        Layer::read_all(self, after, limit).await
    }

    async fn read_stream_back(
        &self,
        stream: &StreamId,
        before: Option<Revision>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        self.behind().read_stream_back(stream, before, limit).await
    }

    async fn read_all_back(
        &self,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        Layer::read_all_back(self, before, limit).await
    }

    async fn find_request(&self, key: &Uuid) -> Result<Option<RecordedEvent>, Error> {
        Layer::find_request(self, key).await
    }

    async fn taken(&self, ids: &[EventId]) -> Result<Vec<EventId>, Error> {
        self.behind().taken(ids).await
    }

    fn id(&self) -> Uuid {
        self.behind().id()
    }

    fn head(&self) -> watch::Receiver<Position> {
        Layer::head(self)
    }
}
