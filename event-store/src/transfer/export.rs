//! A log as lines.

use std::io::Write;

use super::lines::{Format, encode};
use super::{Error, Observer, PAGE_EVENTS, Phase, Progress, Which};
use crate::event::Position;
use crate::store::EventStore;

/// Writes every event behind a position, up to the end that the log has by then; how many they were.
///
/// # Errors
///
/// The log or the writer failed.
pub async fn export(
    store: &dyn EventStore,
    after: Position,
    format: Format,
    output: &mut (dyn Write + Send),
    observer: &mut Observer<'_>,
) -> Result<u64, Error> {
    let log = store.id();
    let mut line = Vec::new();
    let (mut position, mut events) = (after, 0);
    loop {
        let page = store
            .read_all(position, PAGE_EVENTS)
            .await
            .map_err(Which::Source.failed())?;
        let Some(last) = page.last() else {
            output.flush().map_err(Error::Write)?;
            return Ok(events);
        };
        for event in &page {
            line.clear();
            encode(event, &log, format, &mut line);
            output.write_all(&line).map_err(Error::Write)?;
        }
        position = last.position;
        events += page.len() as u64;
        observer(Progress {
            phase: Phase::Write,
            events,
            position,
        });
    }
}
