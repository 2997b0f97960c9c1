//! Reading on for ever: what every subscriber of the log is built on.

use std::sync::Arc;

use futures::stream::{self, Stream};
use tokio::sync::watch;

use crate::event::{Position, RecordedEvent};
use crate::store::{Error, EventStore};

/// Events read at a time; enough to keep an engine busy, few enough to be held by every subscriber.
pub const PAGE_EVENTS: usize = 512;

/// All events behind a position, each once and in order: first those there are, then new ones as they come.
///
/// It holds one page at a time, so a slow reader costs no memory and loses nothing. The stream ends when the log is
/// closed; an error does not end it, the next poll tries again from the same place.
pub fn follow(
    store: Arc<dyn EventStore>,
    after: Position,
) -> impl Stream<Item = Result<Vec<RecordedEvent>, Error>> + Send + 'static {
    let head = store.head();
    stream::unfold(
        (store, head, after),
        |(store, mut head, after)| async move {
            if wait_past(&mut head, after).await.is_err() {
                return None;
            }
            match store.read_all(after, PAGE_EVENTS).await {
                Ok(page) => {
                    let reached = page.last().map_or(after, |event| event.position);
                    Some((Ok(page), (store, head, reached)))
                }
                Err(Error::Closed) => None,
                Err(error) => Some((Err(error), (store, head, after))),
            }
        },
    )
}

async fn wait_past(
    head: &mut watch::Receiver<Position>,
    after: Position,
) -> Result<(), watch::error::RecvError> {
    head.wait_for(|head| *head > after).await.map(|_| ())
}
