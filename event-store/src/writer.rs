//! The one writer of an engine: takes what is waiting, commits it at once, answers each caller by itself.

use std::{mem, thread};

use async_trait::async_trait;
use futures::executor::block_on;
use tokio::sync::{mpsc, oneshot, watch};

use crate::batch::Group;
use crate::crash;
use crate::event::Position;
use crate::store::{self, Append, Appended, Error};

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
        group: &Group,
    ) -> Result<(Vec<Result<Appended, Error>>, Position), Error>;

    /// Nobody can append any more.
    async fn close(self);
}

/// Hands appends to a writer. The writer ends when the last queue is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Queue(mpsc::Sender<Waiting>);

#[derive(Debug)]
enum Waiting {
    One(Append, oneshot::Sender<Result<Appended, Error>>),
    InOrder(Vec<Append>, oneshot::Sender<Result<(), Error>>),
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
        self.ask(|answer| Waiting::One(append, answer)).await
    }

    /// Waits for the outcome of appends that all fail with the first that does.
    pub(crate) async fn append_in_order(&self, appends: Vec<Append>) -> Result<(), Error> {
        if appends.is_empty() {
            return Ok(());
        }
        self.ask(|answer| Waiting::InOrder(appends, answer)).await
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Waiting,
    ) -> Result<T, Error> {
        let (answer, outcome) = oneshot::channel();
        let sent = self.0.send(request(answer)).await;
        sent.map_err(|_| Error::Closed)?;
        outcome.await.map_err(|_| Error::Closed)?
    }
}

async fn run(
    engine: impl Commit,
    mut queue: mpsc::Receiver<Waiting>,
    head: watch::Sender<Position>,
) {
    let mut writer = Writer { engine, head };
    let mut waiting = Vec::with_capacity(GROUP_APPENDS_MAX);
    while queue.recv_many(&mut waiting, GROUP_APPENDS_MAX).await > 0 {
        let (mut appends, mut answers) = (Vec::new(), Vec::new());
        for request in waiting.drain(..) {
            match request {
                Waiting::One(append, answer) => {
                    appends.push(append);
                    answers.push(answer);
                }
                Waiting::InOrder(whole, answer) => {
                    writer
                        .each(mem::take(&mut appends), mem::take(&mut answers))
                        .await;
                    writer.whole(whole, answer).await;
                }
            }
        }
        writer.each(appends, answers).await;
        // Whoever was answered and has more to append joins those that wait already, so that one commit serves them all. A
        // writer with a thread of its own need not give way: they run beside it.
        tokio::task::yield_now().await;
    }
    writer.engine.close().await;
}

// A caller that gave up waiting learns its outcome by repeating the append, so nobody minds an answer that is not taken.
struct Writer<E> {
    engine: E,
    head: watch::Sender<Position>,
}

impl<E: Commit> Writer<E> {
    /// Commits appends together, each with its own outcome.
    async fn each(
        &mut self,
        appends: Vec<Append>,
        answers: Vec<oneshot::Sender<Result<Appended, Error>>>,
    ) {
        if appends.is_empty() {
            return;
        }
        let whole = false;
        let outcomes = self.commit(&Group { appends, whole }).await;
        for (answer, outcome) in answers.into_iter().zip(outcomes) {
            let _ = answer.send(outcome);
        }
    }

    /// Commits all of the appends or none.
    async fn whole(&mut self, appends: Vec<Append>, answer: oneshot::Sender<Result<(), Error>>) {
        let whole = true;
        let outcomes = self.commit(&Group { appends, whole }).await;
        let _ = answer.send(
            outcomes
                .into_iter()
                .try_for_each(|outcome| outcome.map(|_| ())),
        );
    }

    async fn commit(&mut self, group: &Group) -> Vec<Result<Appended, Error>> {
        crash::point("before-append");
        match self.engine.commit(group).await {
            Ok((outcomes, reached)) => {
                crash::point("after-commit");
                announce(&self.head, reached);
                outcomes
            }
            Err(error) => {
                let appends = group.appends.len();
                tracing::error!(error = ?error, appends, "a group of appends failed");
                let reason = format!("{error:?}");
                let failed = |_: &Append| {
                    Err(Error::Engine {
                        action: "commit",
                        source: reason.clone().into(),
                    })
                };
                group.appends.iter().map(failed).collect()
            }
        }
    }
}

/// Moves the head forward, never back, and wakes followers only when it moved.
pub(crate) fn announce(head: &watch::Sender<Position>, reached: Position) {
    head.send_if_modified(|head| {
        let moved = *head < reached;
        *head = (*head).max(reached);
        moved
    });
}
