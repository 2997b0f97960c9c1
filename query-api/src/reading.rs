//! Pages of the log or of one stream, in either direction and within bounds. One page is held at a time.

use std::sync::Arc;

use firefly_event_store::{Error, EventStore, Position, RecordedEvent, Revision, StreamId};

use crate::moment::Search;

/// Events read at a time: few, since each may have a megabyte.
const PAGE_EVENTS: usize = 256;

/// What is read.
#[derive(Clone, Debug)]
pub enum Source {
    /// Everything.
    Log,
    /// One project or session.
    Stream(StreamId),
}

/// In which direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    Oldest,
    /// Newest first.
    Newest,
}

/// Behind one position, up to another and including it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub after: Position,
    pub until: Position,
}

/// Where a stream or the log is read on.
#[derive(Clone, Copy, Debug)]
enum Cursor {
    Position(Position),
    Revision(Revision),
    End,
}

/// Pages that were not read yet.
pub struct Pages {
    store: Arc<dyn EventStore>,
    source: Source,
    order: Order,
    bounds: Bounds,
    /// None until the first page, when it has to be looked for.
    cursor: Option<Cursor>,
    over: bool,
}

impl Pages {
    pub fn new(store: Arc<dyn EventStore>, source: Source, order: Order, bounds: Bounds) -> Self {
        let over = bounds.after >= bounds.until;
        Self {
            store,
            source,
            order,
            bounds,
            cursor: None,
            over,
        }
    }

    /// The events up to a position of one stream, oldest first.
    pub fn of_stream(store: Arc<dyn EventStore>, stream: StreamId, until: Position) -> Self {
        let bounds = Bounds {
            after: Position::START,
            until,
        };
        Self::new(store, Source::Stream(stream), Order::Oldest, bounds)
    }

    /// The next page, which may be empty; none at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<RecordedEvent>>, Error> {
        if self.over {
            return Ok(None);
        }
        let cursor = match self.cursor {
            Some(cursor) => cursor,
            None => self.begin().await?,
        };
        let mut page = self.read(cursor).await?;
        self.over = page.len() < PAGE_EVENTS;
        if let Some(last) = page.last() {
            self.cursor = Some(self.behind(last));
            self.over |= match self.order {
                Order::Oldest => last.position >= self.bounds.until,
                Order::Newest => last.position <= self.bounds.after,
            };
        }
        let Bounds { after, until } = self.bounds;
        page.retain(|event| event.position > after && event.position <= until);
        Ok(Some(page))
    }

    async fn read(&self, cursor: Cursor) -> Result<Vec<RecordedEvent>, Error> {
        let store = &self.store;
        match (&self.source, self.order, cursor) {
            (Source::Log, Order::Oldest, cursor) => {
                store
                    .read_all(cursor.position().unwrap_or_default(), PAGE_EVENTS)
                    .await
            }
            (Source::Log, Order::Newest, cursor) => {
                store.read_all_back(cursor.position(), PAGE_EVENTS).await
            }
            (Source::Stream(stream), Order::Oldest, cursor) => {
                let from = cursor.revision().unwrap_or(Revision::FIRST);
                store.read_stream(stream, from, PAGE_EVENTS).await
            }
            (Source::Stream(stream), Order::Newest, cursor) => {
                store
                    .read_stream_back(stream, cursor.revision(), PAGE_EVENTS)
                    .await
            }
        }
    }

    fn behind(&self, last: &RecordedEvent) -> Cursor {
        match (&self.source, self.order) {
            (Source::Log, _) => Cursor::Position(last.position),
            (Source::Stream(_), Order::Oldest) => Cursor::Revision(last.revision.next()),
            (Source::Stream(_), Order::Newest) => Cursor::Revision(last.revision),
        }
    }

    /// Where the first event within the bounds is.
    async fn begin(&self) -> Result<Cursor, Error> {
        let Bounds { after, until } = self.bounds;
        let to_end = until >= *self.store.head().borrow();
        Ok(match (&self.source, self.order) {
            (_, Order::Newest) if to_end => Cursor::End,
            (Source::Log, Order::Oldest) => Cursor::Position(after),
            (Source::Log, Order::Newest) => {
                Cursor::Position(Position::new(until.number().saturating_add(1)))
            }
            (Source::Stream(_), Order::Oldest) if after == Position::START => {
                Cursor::Revision(Revision::FIRST)
            }
            (Source::Stream(stream), Order::Oldest) => {
                Cursor::Revision(first_behind(&*self.store, stream, after).await?)
            }
            (Source::Stream(stream), Order::Newest) => {
                Cursor::Revision(first_behind(&*self.store, stream, until).await?)
            }
        })
    }
}

impl Cursor {
    const fn position(self) -> Option<Position> {
        match self {
            Self::Position(position) => Some(position),
            Self::Revision(_) | Self::End => None,
        }
    }

    const fn revision(self) -> Option<Revision> {
        match self {
            Self::Revision(revision) => Some(revision),
            Self::Position(_) | Self::End => None,
        }
    }
}

/// The revision of a stream's first event behind a position of the log, whether or not it has happened yet.
async fn first_behind(
    store: &dyn EventStore,
    stream: &StreamId,
    position: Position,
) -> Result<Revision, Error> {
    let last = store.read_stream_back(stream, None, 1).await?;
    // What is searched for is how many events there are up to the position.
    let count = last.first().map_or(0, |last| last.revision.next().number());
    let mut search = Search::up_to(count);
    while let Some(asked) = search.question() {
        let next = store.read_stream(stream, Revision::new(asked), 1).await?;
        let next = next.first();
        search.learn(
            asked,
            next.map(|event| (asked + 1, event.position <= position)),
        );
    }
    Ok(Revision::new(search.found()))
}
