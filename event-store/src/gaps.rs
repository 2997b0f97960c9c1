//! On the SQL engines positions and revisions count without gaps, so a missing row shows in every read that passes it.

use crate::event::{Position, RecordedEvent, Revision};
use crate::store::{Error, READ_EVENTS_MAX};

/// What counts the events of a read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Count {
    /// The positions of the whole log, from 1.
    Positions,
    /// The revisions of a stream, from 0.
    Revisions,
}

impl Count {
    const fn of(self, event: &RecordedEvent) -> u64 {
        match self {
            Self::Positions => event.position.number(),
            Self::Revisions => event.revision.number(),
        }
    }

    const fn first(self) -> u64 {
        match self {
            Self::Positions => Position::START.next().number(),
            Self::Revisions => Revision::FIRST.number(),
        }
    }
}

/// Passes a page on that begins at a number and goes up.
pub(crate) fn ascending(
    page: Vec<RecordedEvent>,
    count: Count,
    first: u64,
) -> Result<Vec<RecordedEvent>, Error> {
    let mut expected = first;
    for event in &page {
        check(count, expected, event)?;
        expected = expected.saturating_add(1);
    }
    Ok(page)
}

/// Passes a page on that goes down, and to the very first if it could have held more.
pub(crate) fn descending(
    page: Vec<RecordedEvent>,
    count: Count,
    limit: usize,
) -> Result<Vec<RecordedEvent>, Error> {
    for pair in page.windows(2) {
        check(count, count.of(&pair[0]).saturating_sub(1), &pair[1])?;
    }
    match page.last() {
        Some(last) if page.len() < limit.min(READ_EVENTS_MAX) => check(count, count.first(), last)?,
        _ => {}
    }
    Ok(page)
}

fn check(count: Count, expected: u64, event: &RecordedEvent) -> Result<(), Error> {
    let found = count.of(event);
    if found == expected {
        return Ok(());
    }
    let what = match count {
        Count::Positions => "the log".to_owned(),
        Count::Revisions => format!("stream {}", event.stream),
    };
    Err(Error::Missing {
        what,
        expected,
        found,
    })
}
