//! Talking to a container through its standard streams: the hello, and the answer of a tool.

use std::io;
use std::time::Duration;

use bollard::Docker;
use bollard::container::{AttachContainerResults, LogOutput};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, InspectContainerOptions, StartContainerOptions,
    WaitContainerOptions,
};
use bytes::Bytes;
use firefly_domain::control::{Hello, Unsaved};
use firefly_domain::{ContainerId, ProjectId};
use futures::{Stream, StreamExt};
use tokio::io::AsyncReadExt;
use tokio_util::io::StreamReader;

use super::super::handshake;
use super::super::last_words::LastWords;
use super::super::{Exit, INSPECTION_DEADLINE, INSPECTION_LENGTH_MAX};
use super::call::{Attempt, CallExt, Error};
use super::observe;

/// Starts a container, hands over the hello and waits until it listens.
pub(super) async fn hand_over(
    docker: &Docker,
    id: &ContainerId,
    hello: &super::Hello<'_>,
    deadline: Duration,
) -> Result<(), super::super::Error> {
    let AttachContainerResults { output, mut input } = attach(docker, id.as_str(), true).await?;
    hello.fence.check().await?;
    start(docker, id.as_str()).await?;
    let last_words = LastWords::default();
    let stdout = StreamReader::new(standard_output(output, last_words.clone()));
    let mut lines = handshake::lines(Box::pin(stdout));
    let serves = hello.serves;
    let hello = Hello {
        control_key: hello.control_key.to_owned(),
    };
    let answer = handshake::hand_over(&mut input, &mut lines, &hello, &last_words);
    match tokio::time::timeout(deadline, answer).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(super::super::Error::Died {
            serves,
            exit: wait(docker, id.as_str()).await?,
            last_words: last_words.to_string(),
        }),
        Err(_) => Err(super::super::Error::NoAnswer {
            serves,
            deadline,
            last_words: last_words.to_string(),
        }),
    }
}

/// Starts the container of an inspection and reads what it answers.
pub(super) async fn inspect(
    docker: &Docker,
    id: &str,
    project: ProjectId,
) -> Result<Unsaved, super::super::Error> {
    let AttachContainerResults { output, .. } = attach(docker, id, false).await?;
    start(docker, id).await?;
    let last_words = LastWords::default();
    let stdout = StreamReader::new(standard_output(output, last_words.clone()));
    let mut answer = Vec::new();
    let mut stdout = Box::pin(stdout).take(INSPECTION_LENGTH_MAX);
    let read = stdout.read_to_end(&mut answer);
    let exit = match tokio::time::timeout(INSPECTION_DEADLINE, read).await {
        Ok(_) => wait(docker, id).await?,
        Err(_) => {
            last_words.push("it took too long");
            Exit {
                exit_code: None,
                oom: false,
                finished_at: None,
            }
        }
    };
    match serde_json::from_slice(&answer) {
        Ok(unsaved) if exit.exit_code == Some(0) => Ok(unsaved),
        _ => Err(super::super::Error::Inspection {
            project,
            exit,
            last_words: last_words.to_string(),
        }),
    }
}

/// Attaches to a container that does not run yet, so that not a word is missed.
async fn attach(docker: &Docker, id: &str, stdin: bool) -> Result<AttachContainerResults, Error> {
    let options = AttachContainerOptionsBuilder::default()
        .stdin(stdin)
        .stdout(true)
        .stderr(true)
        .stream(true)
        .build();
    docker
        .attach_container(id, Some(options))
        .await
        .or_failed("attach to the container", id)
}

async fn start(docker: &Docker, id: &str) -> Result<(), Error> {
    let options = None::<StartContainerOptions>;
    match Attempt::of(docker.start_container(id, options).await) {
        // One that starts late still says so on its output, which has a deadline of its own.
        Attempt::Done(()) | Attempt::TimedOut => Ok(()),
        other => Err(other.into_error("start the container", id)),
    }
}

/// Waits for the end of a container whose output has ended.
async fn wait(docker: &Docker, id: &str) -> Result<Exit, Error> {
    let ended = async {
        // The exit code is read below; here only the end matters.
        let _ = docker
            .wait_container(id, None::<WaitContainerOptions>)
            .next()
            .await;
    };
    if tokio::time::timeout(docker.timeout(), ended).await.is_err() {
        tracing::debug!(
            container.id = id,
            "a container closed its output and runs on"
        );
    }
    let found = docker
        .inspect_container(id, None::<InspectContainerOptions>)
        .await
        .or_failed("inspect the container", id)?;
    Ok(observe::exit(&found.state.unwrap_or_default()))
}

/// The standard output among what a container prints; the rest goes to its last words.
fn standard_output<S>(output: S, last_words: LastWords) -> impl Stream<Item = io::Result<Bytes>>
where
    S: Stream<Item = Result<LogOutput, bollard::errors::Error>>,
{
    output.filter_map(move |frame| {
        let kept = match frame {
            Ok(LogOutput::StdErr { message }) => {
                last_words.push(&String::from_utf8_lossy(&message));
                None
            }
            Ok(frame) => Some(Ok(frame.into_bytes())),
            Err(error) => Some(Err(io::Error::other(error))),
        };
        std::future::ready(kept)
    })
}
