//! The engine's frames put together to lines. Pure.
//!
//! A frame holds the time and a line with its end, or a piece of one of at most 16 KiB; pieces of the two streams may alternate.

use bollard::container::LogOutput;
use chrono::{DateTime, Utc};

use super::super::super::logs::{LINE_LENGTH_MAX, LogLine, text};

/// A line as a container printed it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Printed {
    /// When; of a line in pieces, the first of them.
    pub(super) time: DateTime<Utc>,
    /// Whether on standard error.
    pub(super) stderr: bool,
    bytes: Vec<u8>,
}

impl Printed {
    pub(super) fn line(&self) -> LogLine {
        let text = text(&self.bytes);
        if self.stderr {
            LogLine::of_stderr(self.time, &text)
        } else {
            LogLine::of_stdout(self.time, &text)
        }
    }
}

/// Puts frames together.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// What has come of a line of standard output, and of one of standard error.
    begun: [Option<Printed>; 2],
}

impl Frames {
    /// The line that a frame ends, if it does. One without a time is none of the log's.
    pub(super) fn take(&mut self, frame: &LogOutput) -> Option<Printed> {
        let stderr = matches!(frame, LogOutput::StdErr { .. });
        let bytes: &[u8] = frame.as_ref();
        let space = bytes.iter().position(|byte| *byte == b' ')?;
        let time = std::str::from_utf8(&bytes[..space]).ok()?;
        let time = DateTime::parse_from_rfc3339(time).ok()?.to_utc();
        let begun = &mut self.begun[usize::from(stderr)];
        let line = begun.get_or_insert_with(|| Printed {
            time,
            stderr,
            bytes: Vec::new(),
        });
        let piece = &bytes[space + 1..];
        // One byte more than is kept shows that it was cut.
        let room = (LINE_LENGTH_MAX + 1).saturating_sub(line.bytes.len());
        line.bytes
            .extend_from_slice(&piece[..piece.len().min(room)]);
        piece.ends_with(b"\n").then(|| begun.take()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::super::logs::LogSource;
    use super::*;

    const TIME: &str = "2026-01-02T03:04:05.000000006Z";

    fn frame(stderr: bool, text: &str) -> LogOutput {
        let message = format!("{TIME} {text}").into();
        if stderr {
            LogOutput::StdErr { message }
        } else {
            LogOutput::StdOut { message }
        }
    }

    #[test]
    fn a_frame_is_a_line_with_its_time() {
        let mut frames = Frames::default();
        let line = frames.take(&frame(false, "a b\n")).unwrap().line();
        assert_eq!(
            (line.text.as_str(), line.source),
            ("a b", LogSource::Stdout)
        );
        assert_eq!(line.time.timestamp_subsec_nanos(), 6);
        let line = frames.take(&frame(true, "\n")).unwrap().line();
        assert_eq!((line.text.as_str(), line.source), ("", LogSource::Stderr));
    }

    #[test]
    fn pieces_are_put_together_and_cut_each_stream_for_itself() {
        let mut frames = Frames::default();
        let piece = "x".repeat(LINE_LENGTH_MAX - 1);
        assert_eq!(frames.take(&frame(false, &piece)), None);
        assert!(frames.take(&frame(true, "other\n")).is_some());
        assert_eq!(frames.take(&frame(false, &piece)), None);
        let line = frames.take(&frame(false, "end\n")).unwrap().line();
        assert_eq!(line.text, format!("{piece}x…"));
        assert!(frames.take(&frame(false, "next\n")).is_some());
    }

    #[test]
    fn what_has_no_time_is_passed_over() {
        let message = "no time\n".into();
        let frame = LogOutput::StdOut { message };
        assert_eq!(Frames::default().take(&frame), None);
    }
}
