//! HTTP without a client that means well: paths and headers go out as they are written.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an answer may take.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct RawAnswer {
    /// The status.
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    /// The body, without any decoding.
    pub body: String,
}

/// Sends one request, written out in full but for `Connection: close` at its end, and reads all there is.
///
/// # Panics
///
/// The server cannot be reached or answers no HTTP.
pub async fn send(port: u16, request_line: &str, headers: &[&str]) -> RawAnswer {
    let mut text = format!("{request_line}\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str("Connection: close\r\n\r\n");
    let exchange = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(text.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = tokio::time::timeout(ANSWER_DEADLINE, exchange)
        .await
        .expect("an answer comes in time")
        .expect("the server answers");
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    RawAnswer {
        status: status.unwrap_or_else(|| panic!("{request_line:?} got no HTTP answer: {head:?}")),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}
