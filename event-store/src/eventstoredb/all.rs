//! Pages of `$all`, in both directions.

use eventstore::{Client, ReadAllOptions, StreamPosition, SubscriptionFilter};

use super::connection::{Connection, failed, is_no_position};
use super::record;
use crate::event::{Position, RecordedEvent};
use crate::store::{Error, READ_EVENTS_MAX};

/// The server counts revisions and positions with 63 bits; nothing is beyond.
pub(super) const NUMBER_MAX: u64 = i64::MAX as u64;

/// Events that are passed over at a time on the way to a position that nothing stands at.
const SEARCH_PAGE_EVENTS: usize = 512;

/// The log behind a position.
pub(super) async fn forward(
    connection: &Connection,
    after: Position,
    limit: usize,
) -> Result<Vec<RecordedEvent>, Error> {
    if after.number() > NUMBER_MAX {
        return Ok(Vec::new());
    }
    let pages = Pages::behind(connection, after).without_system_events();
    own(pages, limit).await
}

/// The log backward from before a position, or from its end.
pub(super) async fn backward(
    connection: &Connection,
    before: Option<Position>,
    limit: usize,
) -> Result<Vec<RecordedEvent>, Error> {
    if before == Some(Position::START) {
        return Ok(Vec::new());
    }
    let before = before.filter(|before| before.number() <= NUMBER_MAX);
    let pages = Pages::before(connection, before).without_system_events();
    own(pages, limit).await
}

/// Reads on over events that are not Firefly's until enough are found or there are no more.
async fn own(mut pages: Pages<'_>, limit: usize) -> Result<Vec<RecordedEvent>, Error> {
    let mut found = Vec::new();
    // One more than is wanted, since the first may be the one that is known.
    let mut asked = limit + 1;
    while found.len() < limit {
        let page = pages.next(asked).await?;
        for event in &page.events {
            if found.len() == limit {
                break;
            }
            found.extend(record::read(event)?.map(|recorded| recorded.event));
        }
        if page.is_last {
            break;
        }
        // What lies in between may be long.
        asked = (2 * asked).min(READ_EVENTS_MAX);
    }
    Ok(found)
}

/// The end of `$all`.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// Where the newest event of Firefly's stands.
    pub(super) own: Position,
    /// Where the newest event stands that was looked at; no event of Firefly's comes between.
    pub(super) any: Position,
}

/// Looks from the end for the newest event of Firefly's. What other programs wrote behind it is passed over, however much
/// that is, but the server's own events are not even sent.
pub(super) async fn end(connection: &Connection) -> Result<End, Error> {
    let mut pages = Pages::before(connection, None).without_system_events();
    let mut any = Position::START;
    let mut asked = 1;
    loop {
        let page = pages.next(asked).await?;
        any = page.events.first().map(place).unwrap_or(any).max(any);
        if let Some(event) = page.events.iter().find(|event| record::is_own(event)) {
            let own = place(event);
            return Ok(End { own, any });
        }
        if page.is_last {
            let own = Position::START;
            return Ok(End { own, any });
        }
        asked = (2 * asked).min(READ_EVENTS_MAX);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

/// Reads `$all` page by page, whoever wrote it.
pub(super) struct Pages<'a> {
    connection: &'a Connection,
    direction: Direction,
    filter: Option<SubscriptionFilter>,
    /// Where the server is told to begin: at an end, if nowhere.
    begin: Option<Position>,
    /// What was read up to here.
    known: Option<Position>,
}

/// Some events of `$all`.
pub(super) struct Page {
    pub(super) events: Vec<eventstore::RecordedEvent>,
    /// Whether nothing came behind them.
    pub(super) is_last: bool,
}

impl<'a> Pages<'a> {
    /// Goes forward.
    pub(super) fn behind(connection: &'a Connection, after: Position) -> Self {
        let after = Some(after).filter(|after| *after > Position::START);
        Self::new(connection, Direction::Forward, after)
    }

    fn before(connection: &'a Connection, before: Option<Position>) -> Self {
        Self::new(connection, Direction::Backward, before)
    }

    const fn new(
        connection: &'a Connection,
        direction: Direction,
        begin: Option<Position>,
    ) -> Self {
        Self {
            connection,
            direction,
            filter: None,
            begin,
            known: begin,
        }
    }

    fn without_system_events(mut self) -> Self {
        self.filter = Some(no_system_events());
        self
    }

    /// The next page, of at most so many events.
    pub(super) async fn next(&mut self, asked: usize) -> Result<Page, Error> {
        let page = match self.request(self.direction, self.begin, asked).await {
            Err(error) if is_no_position(&error) => {
                let begin = self.nearest().await.map_err(failed("read the log"))?;
                self.begin = begin;
                self.request(self.direction, begin, asked).await
            }
            page => page,
        };
        let page = page.map_err(failed("read the log"))?;
        let is_last = page.len() < asked;
        let mut events = Vec::with_capacity(page.len());
        for event in page {
            let position = place(&event);
            self.begin = Some(position);
            if self.is_unknown(position) {
                self.known = Some(position);
                events.push(event);
            }
        }
        Ok(Page { events, is_last })
    }

    /// Forward, the server begins with the event at the position itself.
    fn is_unknown(&self, position: Position) -> bool {
        self.known.is_none_or(|known| match self.direction {
            Direction::Forward => position > known,
            Direction::Backward => position < known,
        })
    }

    /// Where to begin if nothing stands at the position; such a number is a client's, or another log's. Backward that is the
    /// end, forward the last event up to there, looked for from the end: whoever reads on has that way to go anyhow.
    async fn nearest(&self) -> Result<Option<Position>, eventstore::Error> {
        let (Direction::Forward, Some(wanted)) = (self.direction, self.begin) else {
            return Ok(None);
        };
        let mut before = None;
        loop {
            let page = self
                .request(Direction::Backward, before, SEARCH_PAGE_EVENTS)
                .await?;
            if let Some(found) = page.iter().map(place).find(|found| *found <= wanted) {
                return Ok(Some(found));
            }
            match page.last() {
                Some(last) => before = Some(place(last)),
                None => return Ok(None),
            }
        }
    }

    async fn request(
        &self,
        direction: Direction,
        begin: Option<Position>,
        asked: usize,
    ) -> Result<Vec<eventstore::RecordedEvent>, eventstore::Error> {
        // Other nodes may not have yet what was acknowledged.
        let mut options = ReadAllOptions::default()
            .requires_leader(true)
            .max_count(asked);
        if let Some(filter) = &self.filter {
            options = options.filter(filter.clone());
        }
        // An end brings its direction along.
        let options = match (direction, begin) {
            (Direction::Forward, None) => options.position(StreamPosition::Start),
            (Direction::Forward, Some(begin)) => options.position(at(begin)).forwards(),
            (Direction::Backward, None) => options.position(StreamPosition::End),
            (Direction::Backward, Some(begin)) => options.position(at(begin)).backwards(),
        };
        let page = self.connection.read(|client: Client| {
            let options = options.clone();
            async move { client.read_all(&options).await }
        });
        page.await
    }
}

/// Leaves out what the server writes for itself, which may be more than all else.
pub(super) fn no_system_events() -> SubscriptionFilter {
    SubscriptionFilter::on_event_type().exclude_system_events()
}

fn place(event: &eventstore::RecordedEvent) -> Position {
    Position::new(event.position.commit)
}

/// The place of an event of Firefly's in `$all`; both of its positions are the same, since no append is a transaction of
/// several requests.
pub(super) const fn at(position: Position) -> StreamPosition<eventstore::Position> {
    let number = position.number();
    StreamPosition::Position(eventstore::Position {
        commit: number,
        prepare: number,
    })
}
