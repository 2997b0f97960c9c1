//! Passes on what npm and git print, a line at a time, so that it stands in the container's log.

use std::io::{BufRead, BufReader, Read, Write};

use firefly_domain::output::{Tool, ToolLine, masked};

/// Bytes of a line as it is passed on. The engine and the reactor take a longer one apart or cut it.
const LINE_BYTES_MAX: usize = 8 * 1024;

/// Bytes that are read of a line; npm prints whole documents at times. So many more than are passed on that no password is cut
/// before it is masked.
const LINE_BYTES_READ: u64 = 64 * 1024;

/// What a text ends with that was cut.
const CUT: char = '…';

/// Passes a line on, on standard error. Where nobody reads that, there is nobody to tell.
pub(super) fn say(tool: Tool, text: &str) {
    let text = text.trim_end();
    if !text.is_empty() {
        let _ = std::io::stderr().write_all(line(tool, text).as_bytes());
    }
}

/// Passes all lines of a text on.
pub(super) fn say_all(tool: Tool, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    text.lines().for_each(|line| say(tool, line));
}

/// Passes on what a program prints, until it prints no more. `seen` is told each line, too.
pub(super) fn follow(tool: Tool, output: impl Read, mut seen: impl FnMut(&str)) {
    let mut reader = BufReader::new(output);
    while let Some(text) = next_line(&mut reader) {
        say(tool, &text);
        seen(&text);
    }
}

/// The next line, or the beginning of one that is too long; nothing at the end.
fn next_line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    let read = reader.take(LINE_BYTES_READ).read_until(b'\n', &mut line);
    if !read.is_ok_and(|bytes| bytes > 0) {
        return None;
    }
    if line.len() as u64 == LINE_BYTES_READ && line.last() != Some(&b'\n') {
        reader.skip_until(b'\n').ok()?;
    }
    Some(String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// A line with its end, masked before it is cut, so that no half of a secret is left.
fn line(tool: Tool, text: &str) -> String {
    let text = masked(text);
    let mut bytes = LINE_BYTES_MAX;
    loop {
        let kept = &text[..text.floor_char_boundary(bytes)];
        let mut said = ToolLine {
            tool,
            text: kept.to_owned(),
        };
        if kept.len() < text.len() {
            said.text.push(CUT);
        }
        let mut line = serde_json::to_string(&said).unwrap_or_default();
        line.push('\n');
        // JSON may write one byte as six.
        if line.len() <= LINE_BYTES_MAX || bytes == 0 {
            return line;
        }
        bytes /= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_object_without_secrets() {
        assert_eq!(
            line(Tool::Npm, "GET https://u:p@r.test/\u{1b}[1m"),
            "{\"tool\":\"npm\",\"text\":\"GET https://***@r.test/\\u001b[1m\"}\n"
        );
    }

    #[test]
    fn a_long_line_is_cut_however_much_json_makes_of_it() {
        for text in ["x", "ж", "\u{1}"] {
            let line = line(Tool::Git, &text.repeat(LINE_BYTES_MAX));
            assert!(line.len() <= LINE_BYTES_MAX, "{}", line.len());
            let said: ToolLine = serde_json::from_str(&line).unwrap();
            assert!(said.text.ends_with(CUT), "{}", said.text);
            assert!(said.text.len() > LINE_BYTES_MAX / 16);
        }
    }

    #[test]
    fn whoever_follows_a_program_sees_every_line() {
        let mut seen = Vec::new();
        let long = "x".repeat(100_000);
        let output = format!("one\n\n{long}\ntwo");
        follow(Tool::Npm, output.as_bytes(), |line| seen.push(line.len()));
        assert_eq!(seen, [3, 0, LINE_BYTES_READ as usize, 3]);
    }
}
