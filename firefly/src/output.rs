//! What the program says: everything for people passes through here, and everything for programs on standard output.
//!
//! Names, messages and details come from repositories and packages of strangers, so what people read is made
//! [`plain`]: no text steers their terminal. Standard output may be a pipe whose reader has seen enough.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::Value;

/// Standard output takes no more.
#[derive(Debug, thiserror::Error)]
#[error("standard output cannot be written to")]
pub struct OutputLost(#[from] io::Error);

impl OutputLost {
    /// Whether its reader went away, as `head` does, which is no failure.
    pub fn is_closed_pipe(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

/// Prints a line for people on standard output.
pub fn line(text: &str) -> Result<(), OutputLost> {
    write(&plain(text))
}

/// Prints one object for programs on standard output; JSON escapes by itself.
pub fn json(value: &Value) -> Result<(), OutputLost> {
    write(&value.to_string())
}

/// Prints a line for programs that has its end already.
pub fn raw(line: &[u8]) -> Result<(), OutputLost> {
    let mut output = io::stdout().lock();
    output.write_all(line)?;
    Ok(output.flush()?)
}

/// Says on standard error what went wrong. Where nobody can read that, there is nobody to tell.
pub fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{}", plain(text));
}

/// The text with its control characters replaced, all but newlines and tabs: a terminal obeys the others.
pub fn plain(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if text.contains(steers) {
        Cow::Owned(text.replace(steers, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

fn write(text: &str) -> Result<(), OutputLost> {
    let mut output = io::stdout().lock();
    writeln!(output, "{text}")?;
    Ok(output.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_steers_a_terminal() {
        assert_eq!(plain("a\tb\nпривет ✔"), "a\tb\nпривет ✔");
        assert_eq!(
            plain("\u{1b}]0;title\u{7}\u{9b}2J\r\u{8}\u{7f}"),
            "\u{fffd}]0;title\u{fffd}\u{fffd}2J\u{fffd}\u{fffd}\u{fffd}"
        );
    }
}
