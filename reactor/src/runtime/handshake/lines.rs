//! The lines of a program that may print anything.
//!
//! A line that is too long or no text must not end the reading: the program would stop at a full pipe, and its
//! readiness, which may come next, would not be seen.

use std::io;

use bytes::BytesMut;
use tokio::io::AsyncRead;
use tokio_util::codec::{Decoder, FramedRead};

use super::super::logs::{LINE_LENGTH_MAX, text};

/// The lines of a program's output, long ones cut.
pub(in super::super) type Lines<R> = FramedRead<R, CutLines>;

/// Reads lines until the output ends.
pub(in super::super) fn lines<R: AsyncRead>(reader: R) -> Lines<R> {
    FramedRead::new(reader, CutLines::default())
}

/// Takes the beginning of a line that is too long, and passes over the rest of it.
#[derive(Default)]
pub(in super::super) struct CutLines {
    /// Whether the line that is being read was cut already.
    passing_over: bool,
}

impl Decoder for CutLines {
    type Item = String;
    type Error = io::Error;

    fn decode(&mut self, read: &mut BytesMut) -> io::Result<Option<String>> {
        while let Some(end) = read.iter().position(|byte| *byte == b'\n') {
            let line = read.split_to(end + 1);
            if !std::mem::take(&mut self.passing_over) {
                return Ok(Some(text(&line)));
            }
        }
        if self.passing_over {
            read.clear();
        } else if read.len() > LINE_LENGTH_MAX {
            self.passing_over = true;
            return Ok(Some(text(&read.split())));
        }
        Ok(None)
    }

    fn decode_eof(&mut self, read: &mut BytesMut) -> io::Result<Option<String>> {
        let line = self.decode(read)?;
        if line.is_some() || read.is_empty() {
            return Ok(line);
        }
        Ok(Some(text(&read.split())))
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    async fn read(output: &[u8]) -> Vec<String> {
        lines(output).try_collect().await.unwrap()
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_cut_and_the_next_one_is_read() {
        let long = "x".repeat(LINE_LENGTH_MAX * 5);
        let cut = format!("{}…", "x".repeat(LINE_LENGTH_MAX));
        let output = format!("first\n{long}\nlast\n");
        assert_eq!(read(output.as_bytes()).await, ["first", &cut, "last"]);
        assert_eq!(read(long.as_bytes()).await, [cut]);
    }

    #[tokio::test]
    async fn bytes_that_are_no_text_are_replaced_and_the_next_line_is_read() {
        assert_eq!(
            read(b"first\n\xff\xfe\nlast").await,
            ["first", "\u{fffd}\u{fffd}", "last"]
        );
        assert_eq!(read(b"first\r\n\n\xff").await, ["first", "", "\u{fffd}"]);
    }
}
