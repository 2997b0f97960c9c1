//! The lines of a program that may print anything.
//!
//! A line that is too long or no text must not end the reading: the program would stop at a full pipe, and its
//! readiness, which may come next, would not be seen.

use std::io;

use bytes::BytesMut;
use tokio::io::AsyncRead;
use tokio_util::codec::{Decoder, FramedRead, LinesCodec};

/// Bytes of a line of output that are read; a longer line is dropped.
pub(in super::super) const LINE_LENGTH_MAX: usize = 8 * 1024;

/// The readable lines of a program's output.
pub(in super::super) type Lines<R> = FramedRead<R, ReadableLines>;

/// Reads lines until the output ends.
pub(in super::super) fn lines<R: AsyncRead>(reader: R) -> Lines<R> {
    let codec = LinesCodec::new_with_max_length(LINE_LENGTH_MAX);
    FramedRead::new(reader, ReadableLines(codec))
}

/// Passes over what is no readable line.
pub(in super::super) struct ReadableLines(LinesCodec);

impl Decoder for ReadableLines {
    type Item = String;
    type Error = io::Error;

    fn decode(&mut self, read: &mut BytesMut) -> io::Result<Option<String>> {
        loop {
            // After an error the line in question is behind us, so this comes to an end.
            if let Ok(line) = self.0.decode(read) {
                return Ok(line);
            }
        }
    }

    fn decode_eof(&mut self, read: &mut BytesMut) -> io::Result<Option<String>> {
        loop {
            if let Ok(line) = self.0.decode_eof(read) {
                return Ok(line);
            }
        }
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
    async fn a_line_that_is_too_long_is_passed_over_and_the_next_one_is_read() {
        let long = "x".repeat(LINE_LENGTH_MAX + 1_000);
        let output = format!("first\n{long}\nlast\n");
        assert_eq!(read(output.as_bytes()).await, ["first", "last"]);
        assert_eq!(read(long.as_bytes()).await, [""; 0]);
    }

    #[tokio::test]
    async fn bytes_that_are_no_text_are_passed_over_and_the_next_line_is_read() {
        assert_eq!(read(b"first\n\xff\xfe\nlast").await, ["first", "last"]);
        assert_eq!(read(b"first\n\xff\xfe").await, ["first"]);
    }
}
