//! Pages of streams and of `$all`, in both directions.

use eventstore::{Client, ReadAllOptions, ReadStream, ReadStreamOptions, StreamPosition};

use super::connection::{Connection, failed};
use super::record::{self, Recorded};
use crate::event::{Position, RecordedEvent, Revision, StreamId};
use crate::store::{Error, READ_EVENTS_MAX};

/// The server counts revisions and positions with 63 bits; nothing is beyond.
const NUMBER_MAX: u64 = i64::MAX as u64;

/// A stream from a revision on.
pub(super) async fn stream(
    connection: &Connection,
    stream: &StreamId,
    from: Revision,
    limit: usize,
) -> Result<Vec<RecordedEvent>, Error> {
    if from.number() > NUMBER_MAX {
        return Ok(Vec::new());
    }
    let options = ReadStreamOptions::default()
        .forwards()
        .position(StreamPosition::Position(from.number()));
    read_stream(connection, stream, options, limit).await
}

/// A stream backward from before a revision, or from its end.
pub(super) async fn stream_back(
    connection: &Connection,
    stream: &StreamId,
    before: Option<Revision>,
    limit: usize,
) -> Result<Vec<RecordedEvent>, Error> {
    let position = match before.map(|before| before.number().checked_sub(1)) {
        None => StreamPosition::End,
        Some(None) => return Ok(Vec::new()),
        Some(Some(last)) if last > NUMBER_MAX => StreamPosition::End,
        Some(Some(last)) => StreamPosition::Position(last),
    };
    let options = ReadStreamOptions::default().position(position).backwards();
    read_stream(connection, stream, options, limit).await
}

async fn read_stream(
    connection: &Connection,
    stream: &StreamId,
    options: ReadStreamOptions,
    limit: usize,
) -> Result<Vec<RecordedEvent>, Error> {
    let recorded = recorded(connection, stream, options, limit).await?;
    Ok(recorded
        .into_iter()
        .map(|recorded| recorded.event)
        .collect())
}

/// The event at a revision of a stream, if there is one.
pub(super) async fn at(
    connection: &Connection,
    stream: &StreamId,
    revision: Revision,
) -> Result<Option<Recorded>, Error> {
    let options = ReadStreamOptions::default()
        .forwards()
        .position(StreamPosition::Position(revision.number()));
    let recorded = recorded(connection, stream, options, 1).await?;
    Ok(recorded.into_iter().next())
}

async fn recorded(
    connection: &Connection,
    stream: &StreamId,
    options: ReadStreamOptions,
    limit: usize,
) -> Result<Vec<Recorded>, Error> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let options = options.max_count(limit);
    let read = connection.call(|client: Client| {
        let (stream, options) = (stream.as_str().to_owned(), options.clone());
        async move { collect(client.read_stream(stream, &options).await?).await }
    });
    let events = match read.await {
        Ok(events) => events,
        Err(eventstore::Error::ResourceNotFound) => return Ok(Vec::new()),
        Err(error) => return Err(failed("read a stream")(error)),
    };
    let own = |event: eventstore::RecordedEvent| {
        let revision = event.revision;
        record::read(event)?.ok_or_else(|| Error::Corrupt {
            what: format!("stream {stream}"),
            detail: format!("another program wrote its event {revision}"),
        })
    };
    events.into_iter().map(own).collect()
}

/// The log behind a position.
pub(super) async fn all(
    connection: &Connection,
    after: Position,
    limit: usize,
) -> Result<Vec<RecordedEvent>, Error> {
    read_all(connection, Direction::Forward, Some(after), limit).await
}

/// The log backward from before a position, or from its end.
pub(super) async fn all_back(
    connection: &Connection,
    before: Option<Position>,
    limit: usize,
) -> Result<Vec<RecordedEvent>, Error> {
    let before = before.filter(|before| before.number() <= NUMBER_MAX);
    read_all(connection, Direction::Backward, before, limit).await
}

#[derive(Clone, Copy)]
enum Direction {
    Forward,
    Backward,
}

impl Direction {
    /// What to ask for to go on behind a position, or to begin.
    fn options(self, from: Option<Position>) -> ReadAllOptions {
        let options = match (self, from) {
            (Self::Forward, None) => ReadAllOptions::default(),
            (Self::Backward, None) => ReadAllOptions::default().position(StreamPosition::End),
            (_, Some(from)) => ReadAllOptions::default().position(at_position(from)),
        };
        match self {
            Self::Forward => options.forwards(),
            Self::Backward => options.backwards(),
        }
    }

    /// Whether a position is behind another. Forward, the server begins with the event at the position itself.
    fn is_behind(self, position: Position, from: Option<Position>) -> bool {
        from.is_none_or(|from| match self {
            Self::Forward => position > from,
            Self::Backward => position < from,
        })
    }
}

/// Reads on over events that are not Firefly's until enough are found or there are no more.
async fn read_all(
    connection: &Connection,
    direction: Direction,
    mut from: Option<Position>,
    limit: usize,
) -> Result<Vec<RecordedEvent>, Error> {
    let mut found = Vec::new();
    if from.is_some_and(|from| from.number() > NUMBER_MAX) {
        return Ok(found);
    }
    // One more than is wanted, since the first may be the one that is known.
    let mut asked = limit + 1;
    while found.len() < limit {
        let options = direction.options(from).max_count(asked);
        let read = connection.call(|client: Client| {
            let options = options.clone();
            async move { collect(client.read_all(&options).await?).await }
        });
        let page = read.await.map_err(failed("read the log"))?;
        let complete = page.len() < asked;
        for event in page {
            let position = Position::new(event.position.commit);
            if found.len() == limit || !direction.is_behind(position, from) {
                continue;
            }
            from = Some(position);
            found.extend(record::read(event)?.map(|recorded| recorded.event));
        }
        if complete {
            break;
        }
        // What lies in between may be long.
        asked = (2 * asked).min(READ_EVENTS_MAX);
    }
    Ok(found)
}

/// The place of an event of Firefly's in `$all`; both of its positions are the same, since no append is a transaction of
/// several requests.
pub(super) const fn at_position(position: Position) -> StreamPosition<eventstore::Position> {
    let number = position.number();
    StreamPosition::Position(eventstore::Position {
        commit: number,
        prepare: number,
    })
}

async fn collect(
    mut events: ReadStream,
) -> Result<Vec<eventstore::RecordedEvent>, eventstore::Error> {
    let mut collected = Vec::new();
    while let Some(resolved) = events.next().await? {
        collected.extend(resolved.event);
    }
    Ok(collected)
}
