//! Which lines were told already. Pure.
//!
//! The engine repeats lines where it is asked again from a second on, and by itself where it changes files over: it then reads the
//! older file from its beginning. It writes the lines of each stream down in the order of their times, and no two with the same.
//! So a line that is not later than the last one of its stream was told before. If the clock of the engine's host is set back, lines of
//! the time that it has twice are passed over.

use chrono::{DateTime, Utc};

/// The times of the last lines.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Of standard output, and of standard error.
    newest: [Option<DateTime<Utc>>; 2],
}

impl Seen {
    /// From where on there may be lines that were not told: none of a stream is told twice if that one is ahead.
    pub(super) fn reached(&self) -> Option<DateTime<Utc>> {
        self.newest.iter().flatten().min().copied()
    }

    /// Whether a line is none that came before; remembers it if so.
    pub(super) fn is_new(&mut self, time: DateTime<Utc>, stderr: bool) -> bool {
        let newest = &mut self.newest[usize::from(stderr)];
        let is_new = newest.is_none_or(|newest| time > newest);
        if is_new {
            *newest = Some(time);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64, nanosecond: u32) -> DateTime<Utc> {
        DateTime::from_timestamp(second, nanosecond).unwrap()
    }

    #[test]
    fn what_is_repeated_is_known_each_stream_for_itself() {
        let mut seen = Seen::default();
        assert_eq!(seen.reached(), None);
        let lines = [
            (at(1, 9), false),
            (at(2, 0), false),
            (at(1, 5), true),
            (at(2, 1), true),
        ];
        for (time, stderr) in lines {
            assert!(seen.is_new(time, stderr));
        }
        assert_eq!(seen.reached(), Some(at(2, 0)));
        for (time, stderr) in lines {
            assert!(!seen.is_new(time, stderr), "{time} {stderr}");
        }
        assert!(seen.is_new(at(2, 1), false));
        assert!(seen.is_new(at(2, 2), true));
    }
}
