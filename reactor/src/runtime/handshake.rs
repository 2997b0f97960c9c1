//! Handing over the hello and waiting for the first line: what a container learns, and how it says that it is ready.
//!
//! Readiness is pushed by the program and never polled for. Both runtimes share this: they only differ in where
//! the two streams come from.

use std::io;

use firefly_domain::control::{Hello, Listening};
use futures::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::last_words::LastWords;

mod lines;

pub(super) use lines::{Lines, lines};

/// Says hello and reads on until the program says that it listens; `None` if its output ended first.
///
/// Whatever else it prints before goes to its last words.
pub(super) async fn hand_over<I, L>(
    stdin: &mut I,
    lines: &mut L,
    hello: &Hello,
    last_words: &LastWords,
) -> Option<Listening>
where
    I: AsyncWrite + Unpin,
    L: Stream<Item = io::Result<String>> + Unpin,
{
    if let Err(error) = say(stdin, hello).await {
        // A program that died at once has closed its end. Its output says more than this error.
        tracing::debug!(%error, "the hello could not be handed over");
    }
    while let Some(line) = lines.next().await {
        match line {
            Ok(line) => match serde_json::from_str(&line) {
                Ok(listening) => return Some(listening),
                Err(_) => last_words.push(&line),
            },
            Err(error) => {
                tracing::debug!(%error, "a project-server's output could not be read");
                return None;
            }
        }
    }
    None
}

async fn say<I: AsyncWrite + Unpin>(stdin: &mut I, hello: &Hello) -> io::Result<()> {
    let mut line = serde_json::to_vec(hello)?;
    line.push(b'\n');
    stdin.write_all(&line).await?;
    stdin.flush().await
}

#[cfg(test)]
mod tests {
    use firefly_domain::Endpoint;
    use futures::stream;

    use super::*;

    async fn listen(lines: Vec<&str>) -> (Option<String>, String, String) {
        let (mut stdin, words) = (Vec::new(), LastWords::default());
        let mut lines = stream::iter(lines.into_iter().map(|line| Ok(line.to_owned())));
        let hello = Hello {
            control_key: "k".to_owned(),
        };
        let listening = hand_over(&mut stdin, &mut lines, &hello, &words).await;
        let said = String::from_utf8(stdin).unwrap();
        let endpoint = listening.map(|it| it.endpoint.to_string());
        (endpoint, said, words.to_string())
    }

    #[tokio::test]
    async fn the_hello_is_one_line_and_the_answer_names_the_endpoint() {
        let (endpoint, said, _) = listen(vec![r#"{"endpoint":"unix:/s"}"#]).await;
        assert_eq!(endpoint.as_deref(), Some("unix:/s"));
        assert_eq!(said, "{\"control_key\":\"k\"}\n");
    }

    #[tokio::test]
    async fn what_is_printed_before_the_answer_is_kept_as_last_words() {
        let answer = r#"{"endpoint":"h:1"}"#;
        let (endpoint, _, words) = listen(vec!["warning: old", answer, "later"]).await;
        assert_eq!(endpoint.as_deref(), Some("h:1"));
        assert_eq!(words, "warning: old");
    }

    #[tokio::test]
    async fn a_line_of_any_length_before_the_answer_is_no_obstacle() {
        let output = format!("{}\n{{\"endpoint\":\"h:1\"}}\n", "x".repeat(9 * 1024));
        let (hello, words) = (
            Hello {
                control_key: "k".to_owned(),
            },
            LastWords::default(),
        );
        let mut lines = lines(output.as_bytes());
        let listening = hand_over(&mut Vec::new(), &mut lines, &hello, &words).await;
        assert_eq!(listening.unwrap().endpoint, Endpoint::new("h:1"));
    }

    #[tokio::test]
    async fn the_end_of_the_output_is_no_answer() {
        let (endpoint, _, words) = listen(vec!["no such file"]).await;
        assert_eq!(endpoint, None);
        assert_eq!(words, "no such file");
    }
}
