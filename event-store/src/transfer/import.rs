//! Lines into a log.
//!
//! Lines are taken in pages, and a page is judged as a whole before any of it is appended: a line that cannot be read, or
//! that does not fit where it would come to stand, is refused together with its page.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, SubsecRound, Utc};
use firefly_domain::EventId;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

use super::lines::{LINE_BYTES_MAX, Line, decode};
use super::{Error, Observer, PAGE_EVENTS, Phase, Progress, Refusal, Which, append};
use crate::event::{RecordedEvent, Revision, StreamId};
use crate::store::EventStore;

/// Digits of a second that a log keeps.
const TIME_DIGITS: u16 = 6;

/// What became of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Events that were appended.
    pub appended: u64,
    /// Events that were there.
    pub present: u64,
}

/// Appends the events of all lines, passing over those that the log has.
///
/// # Errors
///
/// A line was refused, or the log or the reader failed. What was appended before stays; the same lines go on behind it.
pub async fn import(
    store: &dyn EventStore,
    input: &mut (impl AsyncBufRead + Unpin + Send),
    observer: &mut Observer<'_>,
) -> Result<Imported, Error> {
    let mut number = 0;
    let mut imported = Imported::default();
    loop {
        let page = read_page(input, &mut number).await?;
        if page.is_empty() {
            return Ok(imported);
        }
        let all = page.len() as u64;
        let missing = missing(store, page).await?;
        let appended = missing.len() as u64;
        check_times(store, &missing).await?;
        check_revisions(store, &missing).await?;
        append(store, missing.into_iter().map(|(_, line)| line).collect()).await?;
        imported.appended += appended;
        imported.present += all - appended;
        observer(Progress {
            phase: Phase::Write,
            events: imported.appended + imported.present,
            position: *store.head().borrow(),
        });
    }
}

type Numbered = (u64, Line);

fn refused(number: u64, reason: Refusal) -> Error {
    Error::Line { number, reason }
}

/// The next lines, parsed; none at the end. Empty lines are no events.
async fn read_page(
    input: &mut (impl AsyncBufRead + Unpin + Send),
    number: &mut u64,
) -> Result<Vec<Numbered>, Error> {
    let mut page = Vec::new();
    let mut text = Vec::new();
    while page.len() < PAGE_EVENTS {
        text.clear();
        let read = (&mut *input)
            .take(LINE_BYTES_MAX as u64)
            .read_until(b'\n', &mut text)
            .await
            .map_err(Error::Read)?;
        if read == 0 {
            break;
        }
        *number += 1;
        if read == LINE_BYTES_MAX && text.last() != Some(&b'\n') {
            return Err(refused(*number, Refusal::TooLong));
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        let line = decode(&text).map_err(|error| refused(*number, Refusal::Unreadable(error)))?;
        page.push((*number, line));
    }
    Ok(page)
}

/// The lines whose events the log does not have.
async fn missing(store: &dyn EventStore, page: Vec<Numbered>) -> Result<Vec<Numbered>, Error> {
    let present = present(store, &page).await?;
    let mut seen = HashMap::new();
    let mut missing = Vec::new();
    for (number, line) in page {
        let place = (line.stream.clone(), line.revision);
        if present.get(&place) == Some(&line.event.id) {
            continue;
        }
        match seen.insert(line.event.id, place.clone()) {
            None => missing.push((number, line)),
            Some(before) if before == place => {}
            Some(_) => return Err(refused(number, Refusal::IdTaken)),
        }
    }
    let ids: Vec<EventId> = missing.iter().map(|(_, line)| line.event.id).collect();
    let taken = store.taken(&ids).await;
    let taken: HashSet<EventId> = taken.map_err(Which::Target.failed())?.into_iter().collect();
    match missing
        .iter()
        .find(|(_, line)| taken.contains(&line.event.id))
    {
        Some((number, _)) => Err(refused(*number, Refusal::IdTaken)),
        None => Ok(missing),
    }
}

/// The ids of the events that stand where lines of the page would.
async fn present(
    store: &dyn EventStore,
    page: &[Numbered],
) -> Result<HashMap<(StreamId, Revision), EventId>, Error> {
    let mut ranges: HashMap<&StreamId, (Revision, usize)> = HashMap::new();
    for (_, line) in page {
        let (first, lines) = ranges.entry(&line.stream).or_insert((line.revision, 0));
        *first = line.revision.min(*first);
        *lines += 1;
    }
    let mut present = HashMap::new();
    for (stream, (first, lines)) in ranges {
        let events = store.read_stream(stream, first, lines).await;
        let events = events.map_err(Which::Target.failed())?;
        present.extend(
            events
                .into_iter()
                .map(|event| ((event.stream, event.revision), event.id)),
        );
    }
    Ok(present)
}

/// A log would move a time that is earlier than the one before it; then it would not be kept.
async fn check_times(store: &dyn EventStore, lines: &[Numbered]) -> Result<(), Error> {
    let newest = store
        .read_all_back(None, 1)
        .await
        .map_err(Which::Target.failed())?;
    let mut last: Option<DateTime<Utc>> = newest.first().map(|event| event.recorded_at);
    for (number, line) in lines {
        let Some(at) = line.event.recorded_at else {
            continue;
        };
        let at = at.trunc_subsecs(TIME_DIGITS);
        if last.is_some_and(|last| at < last) {
            return Err(refused(*number, Refusal::OutOfTime));
        }
        last = Some(at);
    }
    Ok(())
}

/// Every stream must go on where it is.
async fn check_revisions(store: &dyn EventStore, lines: &[Numbered]) -> Result<(), Error> {
    let mut next: HashMap<&StreamId, u64> = HashMap::new();
    for (number, line) in lines {
        let stream = &line.stream;
        let next = match next.get_mut(stream) {
            Some(next) => next,
            None => next.entry(stream).or_insert(next_of(store, stream).await?),
        };
        let revision = line.revision.number();
        if revision != *next {
            let (stream, next) = (stream.clone(), *next);
            return Err(refused(
                *number,
                Refusal::Revision {
                    stream,
                    next,
                    revision,
                },
            ));
        }
        *next += 1;
    }
    Ok(())
}

async fn next_of(store: &dyn EventStore, stream: &StreamId) -> Result<u64, Error> {
    let last = store
        .read_stream_back(stream, None, 1)
        .await
        .map_err(Which::Target.failed())?;
    let next = |event: &RecordedEvent| event.revision.next();
    Ok(last.first().map_or(Revision::FIRST, next).number())
}
