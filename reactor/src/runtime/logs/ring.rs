//! The last lines of a program that nobody else keeps: bounded, with any number of readers.
//!
//! A reader holds nothing but the number of its next line. One that is slower than the program by more than is kept is told
//! that it missed lines, and reads no more.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::watch;

use super::{LogLine, LogOptions};

/// Bytes of text that are kept: some thousand lines.
const BYTES_MAX: usize = 256 * 1024;

/// Lines that are kept; an empty one costs memory, too.
const LINES_MAX: usize = 4_096;

/// The reader was too slow: what it would read next is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the output came faster than it was read, and lines were lost; read it again")]
pub struct TooSlow;

/// The last lines of one program; clones share them.
#[derive(Clone, Debug)]
pub(in super::super) struct Ring(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    kept: Mutex<Kept>,
    /// Tells readers that there is something new.
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<LogLine>,
    bytes: usize,
    /// The number of the first line that is kept, counted from 0.
    first: u64,
    /// Those who may still write.
    writers: usize,
}

/// Writes into a [`Ring`]. When all are gone, nothing comes any more.
#[derive(Debug)]
pub(in super::super) struct Writer(Ring);

impl Ring {
    pub(in super::super) fn new() -> Self {
        Self(Arc::new(Shared {
            kept: Mutex::default(),
            changed: watch::Sender::new(()),
        }))
    }

    pub(in super::super) fn writer(&self) -> Writer {
        self.lock().writers += 1;
        Writer(self.clone())
    }

    /// The lines that are wanted, oldest first.
    pub(in super::super) fn read(
        &self,
        options: LogOptions,
    ) -> BoxStream<'static, Result<LogLine, TooSlow>> {
        let mut changes = self.0.changed.subscribe();
        changes.mark_unchanged();
        let next = self.lock().from(options.tail);
        let state = (self.clone(), changes, Some(next));
        let lines = stream::unfold(state, move |(ring, mut changes, next)| async move {
            let mut next = next?;
            loop {
                let (found, ended) = ring.lock().at(next);
                match found {
                    Ok(Some(line)) => {
                        next += 1;
                        return Some((Ok(line), (ring, changes, Some(next))));
                    }
                    Ok(None) if ended || !options.follow => return None,
                    // The sender lives in this very ring.
                    Ok(None) => changes.changed().await.ok()?,
                    Err(slow) => return Some((Err(slow), (ring, changes, None))),
                }
            }
        });
        let is_wanted = move |line: &Result<LogLine, TooSlow>| match (line, options.after) {
            (Ok(line), Some(after)) => line.time > after,
            _ => true,
        };
        lines
            .filter(move |line| std::future::ready(is_wanted(line)))
            .boxed()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    pub(in super::super) fn push(&self, line: LogLine) {
        self.0.lock().push(line);
        self.0.0.changed.send_replace(());
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.lock().writers -= 1;
        self.0.0.changed.send_replace(());
    }
}

impl Kept {
    fn push(&mut self, line: LogLine) {
        self.bytes += line.text.len();
        self.lines.push_back(line);
        while self.bytes > BYTES_MAX || self.lines.len() > LINES_MAX {
            let Some(oldest) = self.lines.pop_front() else {
                return;
            };
            self.bytes -= oldest.text.len();
            self.first += 1;
        }
    }

    /// Where a reader begins who wants so many of the last lines.
    fn from(&self, tail: Option<usize>) -> u64 {
        let skipped = tail.map_or(0, |tail| self.lines.len().saturating_sub(tail));
        self.first + skipped as u64
    }

    /// The line of a number, if there is one yet; and whether nothing comes any more.
    fn at(&self, number: u64) -> (Result<Option<LogLine>, TooSlow>, bool) {
        let ended = self.writers == 0;
        let found = number.checked_sub(self.first).ok_or(TooSlow).map(|index| {
            let index = usize::try_from(index).ok()?;
            self.lines.get(index).cloned()
        });
        (found, ended)
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use futures::FutureExt;

    use super::super::LogSource;
    use super::*;

    fn line(second: u32) -> LogLine {
        LogLine {
            time: DateTime::<Utc>::from_timestamp(i64::from(second), 0).unwrap(),
            source: LogSource::Stdout,
            text: second.to_string(),
        }
    }

    async fn all(ring: &Ring, options: LogOptions) -> Vec<String> {
        let lines = ring.read(options).map(|line| line.unwrap().text);
        lines.collect().await
    }

    #[tokio::test]
    async fn a_reader_gets_what_there_is_by_number_or_by_time() {
        let ring = Ring::new();
        let writer = ring.writer();
        (1..=4).for_each(|second| writer.push(line(second)));
        assert_eq!(
            all(&ring, LogOptions::default()).await,
            ["1", "2", "3", "4"]
        );
        let tail = LogOptions {
            tail: Some(2),
            ..LogOptions::default()
        };
        assert_eq!(all(&ring, tail).await, ["3", "4"]);
        let after = LogOptions {
            after: Some(line(3).time),
            ..LogOptions::default()
        };
        assert_eq!(all(&ring, after).await, ["4"]);
    }

    #[tokio::test]
    async fn a_follower_waits_for_more_until_nobody_writes() {
        let ring = Ring::new();
        let writer = ring.writer();
        let options = LogOptions {
            follow: true,
            ..LogOptions::default()
        };
        let mut lines = ring.read(options);
        assert!(lines.next().now_or_never().is_none(), "nothing was written");
        writer.push(line(1));
        assert_eq!(lines.next().await, Some(Ok(line(1))));
        assert!(lines.next().now_or_never().is_none(), "more may come");
        drop(writer);
        assert_eq!(lines.next().await, None);
    }

    #[tokio::test]
    async fn no_more_is_kept_than_may_be_and_a_slow_reader_is_told() {
        let ring = Ring::new();
        let writer = ring.writer();
        writer.push(line(0));
        let mut slow = ring.read(LogOptions::default());
        let long = LogLine {
            text: "x".repeat(BYTES_MAX / 8),
            ..line(1)
        };
        (0..20).for_each(|_| writer.push(long.clone()));
        assert_eq!(ring.lock().lines.len(), 8);
        (0..2 * LINES_MAX).for_each(|_| writer.push(line(2)));
        assert_eq!(ring.lock().lines.len(), LINES_MAX);
        assert_eq!(slow.next().await, Some(Err(TooSlow)));
        assert_eq!(slow.next().await, None);
    }
}
