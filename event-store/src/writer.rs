//! The one writer of an engine: takes what is waiting, commits it at once, answers each caller by itself.

use std::thread;

use async_trait::async_trait;
use futures::executor::block_on;
use tokio::sync::{mpsc, oneshot, watch};

use crate::batch::Append;
use crate::crash;
use crate::event::Position;
use crate::store::{self, Appended, Error};

/// Appends that may wait for the writer; more wait in their callers.
const QUEUE_APPENDS: usize = 1_024;

/// Appends that share one commit at the most: it bounds how long the first of them waits for the last.
const GROUP_APPENDS_MAX: usize = 256;

/// What an engine does with a group.
#[async_trait]
pub(crate) trait Commit: Send + 'static {
    /// Commits a group durably; the outcome of each append in its order, and the log's head after it.
    ///
    /// # Errors
    ///
    /// Nothing of the group was written, or it is unknown whether it was.
    async fn commit(
        &mut self,
        group: &[Append],
    ) -> Result<(Vec<Result<Appended, Error>>, Position), Error>;

    /// Nobody can append any more.
    async fn close(self);
}

/// Hands appends to a writer. The writer ends when the last queue is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Queue(mpsc::Sender<Waiting>);

#[derive(Debug)]
struct Waiting {
    append: Append,
    answer: oneshot::Sender<Result<Appended, Error>>,
}

impl Queue {
    /// Starts a writer; it announces the head after each commit.
    pub(crate) fn start(engine: impl Commit, head: watch::Sender<Position>) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE_APPENDS);
        tokio::spawn(run(engine, receiver, head));
        Self(sender)
    }

    /// Starts a writer whose commits block, on a thread of its own.
    pub(crate) fn on_a_thread(
        engine: impl Commit,
        head: watch::Sender<Position>,
    ) -> Result<Self, Error> {
        let (sender, receiver) = mpsc::channel(QUEUE_APPENDS);
        thread::Builder::new()
            .name("event-log-writer".to_owned())
            .spawn(move || block_on(run(engine, receiver, head)))
            .map_err(store::engine("start a thread"))?;
        Ok(Self(sender))
    }

    /// Waits for the outcome of an append.
    pub(crate) async fn append(&self, append: Append) -> Result<Appended, Error> {
        let (answer, outcome) = oneshot::channel();
        self.0
            .send(Waiting { append, answer })
            .await
            .map_err(|_| Error::Closed)?;
        outcome.await.map_err(|_| Error::Closed)?
    }
}

async fn run(
    mut engine: impl Commit,
    mut queue: mpsc::Receiver<Waiting>,
    head: watch::Sender<Position>,
) {
    let mut waiting = Vec::with_capacity(GROUP_APPENDS_MAX);
    while queue.recv_many(&mut waiting, GROUP_APPENDS_MAX).await > 0 {
        let (group, answers): (Vec<Append>, Vec<_>) = waiting
            .drain(..)
            .map(|waiting| (waiting.append, waiting.answer))
            .unzip();
        crash::point("before-append");
        let outcomes = match engine.commit(&group).await {
            Ok((outcomes, reached)) => {
                crash::point("after-commit");
                announce(&head, reached);
                outcomes
            }
            Err(error) => {
                tracing::error!(error = ?error, appends = group.len(), "a group of appends failed");
                let reason = format!("{error:?}");
                let failed = |_: &Append| {
                    Err(Error::Engine {
                        action: "commit",
                        source: reason.clone().into(),
                    })
                };
                group.iter().map(failed).collect()
            }
        };
        for (answer, outcome) in answers.into_iter().zip(outcomes) {
            // A caller that gave up waiting learns its outcome by repeating the append.
            let _ = answer.send(outcome);
        }
    }
    engine.close().await;
}

/// Moves the head forward, never back, and wakes followers only when it moved.
pub(crate) fn announce(head: &watch::Sender<Position>, reached: Position) {
    head.send_if_modified(|head| {
        let moved = *head < reached;
        *head = (*head).max(reached);
        moved
    });
}
