//! What Firefly's way out says where it lets nobody out: a sentence that names what helps.
//!
//! Its answers are marked, so none of a remote is taken for one. A plain request gets it in the remote's place. To one over TLS it
//! answers before there is a tunnel, and the HTTP client keeps that to itself, so it is asked once more.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use reqwest::Url;
use reqwest::blocking::Response;

/// The variable that names the way out, as it names every proxy.
const PROXY: &str = "HTTPS_PROXY";

/// The mark: the field that proxies tell of themselves in (RFC 9209), and the name in it.
const MARK: (&str, &str) = ("proxy-status", "firefly");

/// It answers at once, or after it has tried to connect.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// More than a head and a sentence.
const ANSWER_BYTES_MAX: u64 = 8 * 1_024;

/// Characters of what is repeated.
const SENTENCE_LENGTH_MAX: usize = 500;

/// Tells an answer of the remote from one of the way out; of the latter, what it says.
pub(super) fn pass(response: Response) -> Result<Response, String> {
    let mark = response.headers().get(MARK.0);
    if mark.is_none_or(|mark| mark != MARK.1) {
        return Ok(response);
    }
    let mut body = String::new();
    // What has come until the connection broke says enough.
    let _ = response.take(ANSWER_BYTES_MAX).read_to_string(&mut body);
    Err(sentence(&body))
}

/// What is said to whoever wants a tunnel there; nothing where there is one, or no way out.
pub(super) fn ask(target: &Url) -> Option<String> {
    let proxy = Url::parse(&std::env::var(PROXY).ok()?).ok()?;
    if target.scheme() != "https" || proxy.scheme() != "http" {
        return None;
    }
    let proxy = (proxy.host_str()?, proxy.port_or_known_default()?);
    let target = format!("{}:{}", target.host_str()?, target.port_or_known_default()?);
    let mut connection = TcpStream::connect(proxy).ok()?;
    connection.set_read_timeout(Some(ANSWER_TIMEOUT)).ok()?;
    let request =
        format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    let _ = connection.take(ANSWER_BYTES_MAX).read_to_end(&mut answer);
    read(&String::from_utf8_lossy(&answer))
}

/// The sentence in an answer, if it is one of the way out.
fn read(answer: &str) -> Option<String> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let is_marked = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .any(|(name, value)| name.eq_ignore_ascii_case(MARK.0) && value.trim() == MARK.1);
    is_marked.then(|| sentence(body))
}

fn sentence(body: &str) -> String {
    let line = body.lines().next().unwrap_or_default();
    line.chars().take(SENTENCE_LENGTH_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_marked_answers_are_taken_for_the_way_outs() {
        let answer = |field: &str| {
            format!(
                "HTTP/1.1 403 Forbidden\r\ncontent-length: 9\r\n{field}\r\n\r\nNot here.\nNor there.\n"
            )
        };
        for field in ["proxy-status: firefly", "Proxy-Status:firefly"] {
            assert_eq!(read(&answer(field)).as_deref(), Some("Not here."));
        }
        for field in ["proxy-status: squid", "server: firefly"] {
            assert_eq!(read(&answer(field)), None);
        }
        assert_eq!(read("HTTP/1.1 200 OK\r\n\r\n"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn what_is_repeated_is_bounded() {
        let long = "ä".repeat(SENTENCE_LENGTH_MAX + 1);
        assert_eq!(sentence(&long).chars().count(), SENTENCE_LENGTH_MAX);
    }
}
