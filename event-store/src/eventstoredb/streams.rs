//! Pages of streams, in both directions.

use eventstore::{Client, ReadStreamOptions, StreamPosition};

use super::all::NUMBER_MAX;
use super::connection::{Connection, failed};
use super::record::{self, Recorded};
use crate::event::{Position, RecordedEvent, Revision, StreamId};
use crate::store::Error;

/// A stream from a revision on.
pub(super) async fn forward(
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
pub(super) async fn backward(
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
    let events = raw(connection, stream.as_str(), options.max_count(limit)).await;
    let own = |event: eventstore::RecordedEvent| {
        record::read(&event)?.ok_or_else(|| Error::Corrupt {
            what: format!("stream {stream}"),
            detail: format!("another program wrote its event {}", event.revision),
            position: Some(Position::new(event.position.commit)),
        })
    };
    let events = events.map_err(failed("read a stream"))?;
    events.into_iter().map(own).collect()
}

/// What the server has of a stream, whoever wrote it; nothing if there is no such stream.
pub(super) async fn raw(
    connection: &Connection,
    stream: &str,
    options: ReadStreamOptions,
) -> Result<Vec<eventstore::RecordedEvent>, eventstore::Error> {
    // Other nodes may not have yet what was acknowledged.
    let options = options.requires_leader(true);
    let read = connection.read(|client: Client| {
        let (stream, options) = (stream.to_owned(), options.clone());
        async move { client.read_stream(stream, &options).await }
    });
    match read.await {
        Err(eventstore::Error::ResourceNotFound) => Ok(Vec::new()),
        read => read,
    }
}
