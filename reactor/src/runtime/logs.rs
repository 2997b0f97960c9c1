//! What a container printed, line by line, as both runtimes tell it.

use chrono::{DateTime, Utc};
use firefly_domain::output::{Tool, ToolLine, masked};

mod ring;

pub use ring::TooSlow;
pub(super) use ring::{Ring, Writer};

/// Bytes of a line that are kept; what comes behind them is cut.
pub const LINE_LENGTH_MAX: usize = 8 * 1024;

/// What a line ends with that was cut.
const CUT: char = '…';

/// Which lines of a container are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Whether to go on with those to come, until the container ends.
    pub follow: bool,
    /// Only so many of the last ones that there are.
    pub tail: Option<usize>,
    /// Only those behind this time.
    pub after: Option<DateTime<Utc>>,
}

/// Where a line comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogSource {
    /// The container's standard output.
    Stdout,
    /// Its standard error: the project-server's own words.
    Stderr,
    /// npm, and the scripts of packages.
    Npm,
    /// git.
    Git,
}

impl LogSource {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Npm => "npm",
            Self::Git => "git",
        }
    }
}

/// A line that a container printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When.
    pub time: DateTime<Utc>,
    /// By whom.
    pub source: LogSource,
    /// What, without the end of the line, at most [`LINE_LENGTH_MAX`] bytes and a mark where it was cut; passwords in it are masked.
    pub text: String,
}

impl LogLine {
    /// A line of standard output.
    pub(super) fn of_stdout(time: DateTime<Utc>, text: &str) -> Self {
        Self {
            time,
            source: LogSource::Stdout,
            text: masked(text).into_owned(),
        }
    }

    /// A line of standard error, which is a tool's if it says so.
    pub(super) fn of_stderr(time: DateTime<Utc>, text: &str) -> Self {
        let said = serde_json::from_str::<ToolLine>(text);
        let (source, text) = match &said {
            Ok(said) => (of_tool(said.tool), said.text.as_str()),
            Err(_) => (LogSource::Stderr, text),
        };
        Self {
            time,
            source,
            text: masked(text).into_owned(),
        }
    }
}

const fn of_tool(tool: Tool) -> LogSource {
    match tool {
        Tool::Npm => LogSource::Npm,
        Tool::Git => LogSource::Git,
    }
}

/// The text of a line that a program printed, without its end, and cut if it is too long.
pub(super) fn text(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut text = String::from_utf8_lossy(line).into_owned();
    if text.len() > LINE_LENGTH_MAX {
        text.truncate(text.floor_char_boundary(LINE_LENGTH_MAX));
        text.push(CUT);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tools_line_is_told_apart_by_what_it_says() {
        let of = |text: &str| {
            let line = LogLine::of_stderr(Utc::now(), text);
            (line.source, line.text)
        };
        let npm = r#"{"tool":"npm","text":"added 2 packages from http://u:p@r.test"}"#;
        let masked = "added 2 packages from http://***@r.test".to_owned();
        assert_eq!(of(npm), (LogSource::Npm, masked));
        for text in [
            "plain",
            "{}",
            r#"{"tool":"make","text":"x"}"#,
            r#"{"tool":"npm","text":"x","more":1}"#,
        ] {
            assert_eq!(of(text), (LogSource::Stderr, text.to_owned()));
        }
    }

    #[test]
    fn a_cut_is_never_in_the_middle_of_a_character() {
        let text = text("ж".repeat(LINE_LENGTH_MAX).as_bytes());
        assert_eq!(text.len(), LINE_LENGTH_MAX + CUT.len_utf8());
        assert!(text.ends_with("ж…"));
    }
}
