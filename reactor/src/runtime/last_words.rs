//! The end of what a program printed, kept for the case that it fails: a person needs the program's own reason.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Lines that are kept.
const LINES_MAX: usize = 20;

/// Bytes that are kept of a line.
const LINE_LENGTH_MAX: usize = 500;

/// What is said of a program that printed nothing.
const NONE: &str = "(none)";

/// The last lines of one program; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct LastWords(Arc<Mutex<VecDeque<String>>>);

impl LastWords {
    /// Takes one line, or several.
    pub(super) fn push(&self, text: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            if lines.len() == LINES_MAX {
                lines.pop_front();
            }
            lines.push_back(cut(line).to_owned());
        }
    }
}

impl std::fmt::Display for LastWords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.is_empty() {
            return f.write_str(NONE);
        }
        for (index, line) in lines.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{line}")?;
        }
        Ok(())
    }
}

/// The beginning of a line, never in the middle of a character.
fn cut(line: &str) -> &str {
    &line[..line.floor_char_boundary(LINE_LENGTH_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_are_kept_and_long_ones_are_cut() {
        let words = LastWords::default();
        for number in 0..100 {
            words.push(&format!("line {number}\n\n"));
        }
        words.push(&"ж".repeat(LINE_LENGTH_MAX));
        let text = words.to_string();
        assert_eq!(text.lines().count(), LINES_MAX);
        assert!(text.starts_with("line 81\n"), "{text}");
        assert!(text.len() < LINES_MAX * LINE_LENGTH_MAX);
    }

    #[test]
    fn a_silent_program_is_said_to_be_silent() {
        assert_eq!(LastWords::default().to_string(), NONE);
    }
}
