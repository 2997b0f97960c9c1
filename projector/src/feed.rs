//! Pages of the log, read and decoded once for all projections that are at the same place.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use firefly_event_store::{DecodeError, DomainEvent, EventStore, Position, RecordedEvent};
use tokio::sync::{OnceCell, watch};

use crate::error::Error;

/// Events that are taken in together at the most. With little to do a page has what has come since the one before; behind
/// the head it is this long, so that the cost of a commit is shared by many.
const PAGE_EVENTS: usize = 4_096;

/// Pages that are kept for those that come later; they are not far apart.
const PAGES_KEPT: usize = 4;

/// Events of the log in their order, at least one.
pub(crate) struct Page {
    pub(crate) events: Vec<Read>,
}

/// An event, and what it says, if it is of a kind that this program knows.
pub(crate) struct Read {
    pub(crate) recorded: RecordedEvent,
    pub(crate) event: Result<Option<DomainEvent>, DecodeError>,
}

impl Page {
    pub(crate) fn new(events: Vec<RecordedEvent>) -> Self {
        let read = |recorded| Read {
            event: DomainEvent::decode(&recorded),
            recorded,
        };
        Self {
            events: events.into_iter().map(read).collect(),
        }
    }

    /// The position of its last event.
    pub(crate) fn last(&self) -> Option<Position> {
        self.events.last().map(|read| read.recorded.position)
    }
}

type Kept = (Position, Arc<OnceCell<Arc<Page>>>);

/// Where projections get their pages.
pub(crate) struct Feed {
    store: Arc<dyn EventStore>,
    kept: Mutex<VecDeque<Kept>>,
}

impl Feed {
    pub(crate) fn new(store: Arc<dyn EventStore>) -> Self {
        Self {
            store,
            kept: Mutex::default(),
        }
    }

    pub(crate) fn store(&self) -> &dyn EventStore {
        &*self.store
    }

    /// The head of the log, to wait for.
    pub(crate) fn head(&self) -> watch::Receiver<Position> {
        self.store.head()
    }

    /// What is behind a position. The head must be. While a whole page is taken in, the next one is read.
    pub(crate) async fn behind(self: &Arc<Self>, after: Position) -> Result<Arc<Page>, Error> {
        let page = self.read(after).await?;
        if let Some(last) = page.last()
            && page.events.len() == PAGE_EVENTS
            && *self.store.head().borrow() > last
        {
            let feed = Arc::clone(self);
            // It is asked for again by who needs it, and an error is found again then.
            tokio::spawn(async move { feed.read(last).await.map(drop) });
        }
        Ok(page)
    }

    async fn read(&self, after: Position) -> Result<Arc<Page>, Error> {
        let cell = self.cell(after);
        let page = cell.get_or_try_init(|| async {
            let events = self.store.read_all(after, PAGE_EVENTS).await;
            Ok(Arc::new(Page::new(events.map_err(Error::Log)?)))
        });
        page.await.cloned()
    }

    fn cell(&self, after: Position) -> Arc<OnceCell<Arc<Page>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, cell)) = kept.iter().find(|(position, _)| *position == after) {
            return Arc::clone(cell);
        }
        if kept.len() == PAGES_KEPT {
            kept.pop_front();
        }
        let cell = Arc::new(OnceCell::new());
        kept.push_back((after, Arc::clone(&cell)));
        cell
    }
}
