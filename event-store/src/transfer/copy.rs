//! A log from one engine to another.
//!
//! The target must be the beginning of the source, which an empty log is; this is found out event by event before anything
//! is written, and it says where to go on. At the end both logs are compared in the same way.

use super::lines::Line;
use super::{Error, Observer, PAGE_EVENTS, Phase, Progress, Which, append};
use crate::crash;
use crate::event::{Position, RecordedEvent};
use crate::store::EventStore;

/// What a copy came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Events that the target had.
    pub present: u64,
    /// Events that were written.
    pub written: u64,
    /// The last position of the source that is in the target.
    pub position: Position,
}

/// Brings everything that the source has into the target, and compares both.
///
/// # Errors
///
/// A log failed, the target is no beginning of the source, or the logs differ at the end. What was written stays; the same
/// copy goes on behind it.
pub async fn copy(
    source: &dyn EventStore,
    target: &dyn EventStore,
    observer: &mut Observer<'_>,
) -> Result<Copied, Error> {
    let (mut position, present) = agreed(source, target, Phase::Compare, observer).await?;
    let mut written = 0;
    let mut page = read(source, position).await?;
    while let Some(last) = page.last() {
        position = last.position;
        let count = page.len() as u64;
        let lines = page.into_iter().map(Line::from).collect();
        let (appended, next) = tokio::join!(append(target, lines), read(source, position));
        appended?;
        crash::point("mid-copy");
        page = next?;
        written += count;
        observer(Progress {
            phase: Phase::Write,
            events: present + written,
            position,
        });
    }
    let (agreed, events) = agreed(source, target, Phase::Verify, observer).await?;
    if agreed != position || events != present + written {
        return Err(Error::Incomplete {
            agreed,
            copied: position,
        });
    }
    Ok(Copied {
        present,
        written,
        position,
    })
}

async fn read(source: &dyn EventStore, after: Position) -> Result<Vec<RecordedEvent>, Error> {
    source
        .read_all(after, PAGE_EVENTS)
        .await
        .map_err(Which::Source.failed())
}

/// The position of the source's event that is the target's last, and how many there are up to it.
async fn agreed(
    source: &dyn EventStore,
    target: &dyn EventStore,
    phase: Phase,
    observer: &mut Observer<'_>,
) -> Result<(Position, u64), Error> {
    let (mut here, mut there, mut events) = (Position::START, Position::START, 0);
    loop {
        let copies = target.read_all(there, PAGE_EVENTS).await;
        let copies = copies.map_err(Which::Target.failed())?;
        let Some(last) = copies.last() else {
            return Ok((here, events));
        };
        let originals = source.read_all(here, copies.len()).await;
        let originals = originals.map_err(Which::Source.failed())?;
        let mut pairs = copies.iter().zip(&originals);
        let differs = pairs
            .find(|(copy, original)| !is_copy(copy, original))
            .map(|(copy, _)| copy)
            .or_else(|| copies.get(originals.len()));
        if let Some(copy) = differs {
            let position = copy.position;
            return Err(Error::NotAPrefix { position });
        }
        there = last.position;
        here = originals.last().map_or(here, |original| original.position);
        events += copies.len() as u64;
        observer(Progress {
            phase,
            events,
            position: here,
        });
    }
}

/// Whether it is the same in all but its position, which engines give out as they will.
fn is_copy(copy: &RecordedEvent, original: &RecordedEvent) -> bool {
    copy.stream == original.stream
        && copy.revision == original.revision
        && copy.id == original.id
        && copy.event_type == original.event_type
        && copy.schema_version == original.schema_version
        && copy.data.get() == original.data.get()
        && copy.metadata == original.metadata
        && copy.recorded_at == original.recorded_at
}
