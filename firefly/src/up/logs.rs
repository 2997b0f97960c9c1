//! Lets the query API read what containers print: live state knows which container a project has, the runtime its output.
//!
//! Whoever follows a project follows its containers, one after the other. The log tells when there is another one, so nobody looks
//! for it in between.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use firefly_domain::project::Phase;
use firefly_domain::{ContainerId, ProjectKey};
use firefly_event_store::{EventStore, Position};
use firefly_query_api::Hub;
use firefly_query_api::logs::{Line, Lines, Logs, Unreadable, Wanted};
use firefly_reactor::runtime::{ContainerRuntime, Error, LogLine, LogOptions, Serves};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Where the output of this Firefly's containers is.
pub struct Output {
    pub runtime: Arc<dyn ContainerRuntime>,
    pub hub: Hub,
    pub store: Arc<dyn EventStore>,
    /// Ends all that is followed.
    pub shutdown: CancellationToken,
}

impl Logs for Output {
    fn read(
        &self,
        key: ProjectKey,
        wanted: Wanted,
    ) -> BoxFuture<'static, Result<Lines, Unreadable>> {
        let mut head = self.store.head();
        let seen = *head.borrow_and_update();
        let reader = Reader {
            runtime: Arc::clone(&self.runtime),
            hub: self.hub.clone(),
            head,
            seen,
            key,
            wanted,
            at: None,
            read: None,
            last: None,
        };
        let stopped = self.shutdown.clone().cancelled_owned();
        Box::pin(async move {
            let mut reader = reader;
            reader.begin().await?;
            let lines = stream::unfold(reader, |mut reader| async move {
                let line = reader.next().await?;
                Some((line, reader))
            });
            Ok(lines.take_until(stopped).boxed())
        })
    }
}

/// A container whose output is read.
struct Reading {
    id: ContainerId,
    generation: u64,
    lines: BoxStream<'static, Result<LogLine, Error>>,
}

struct Reader {
    runtime: Arc<dyn ContainerRuntime>,
    hub: Hub,
    head: watch::Receiver<Position>,
    /// Up to where the log was looked at.
    seen: Position,
    key: ProjectKey,
    wanted: Wanted,
    at: Option<Reading>,
    /// The container that was read to its end, and in which opening.
    read: Option<(ContainerId, u64)>,
    /// When the last line was printed. A container may have printed it that goes on in the next opening.
    last: Option<DateTime<Utc>>,
}

impl Reader {
    /// The container that there is at the beginning: the one that live state knows, else one that the runtime has left, such as one
    /// that is about to be removed.
    async fn begin(&mut self) -> Result<(), Unreadable> {
        let Wanted { tail, after, .. } = self.wanted;
        if let Some((id, generation)) = self.known() {
            self.at = Some(self.reading(id, generation, tail, after));
            return Ok(());
        }
        let project = self.key.id();
        let listed = self.runtime.list().await;
        let listed = listed.map_err(|error| Unreadable(Box::new(error)))?;
        let last = listed
            .into_iter()
            .find(|container| container.serves == Serves::Project(project));
        let generation = self
            .hub
            .look(&self.key, |project| project.generation.number());
        self.at = last.map(|it| self.reading(it.id, generation.unwrap_or_default(), tail, after));
        Ok(())
    }

    fn known(&self) -> Option<(ContainerId, u64)> {
        let container = self.hub.look(&self.key, |project| {
            let container = match &project.phase {
                Phase::Opening { container, .. } => container.clone(),
                Phase::Ready { container, .. }
                | Phase::Paused { container, .. }
                | Phase::Waking { container } => Some(container.clone()),
                _ => None,
            };
            Some((container?, project.generation.number()))
        });
        container.flatten()
    }

    fn reading(
        &self,
        id: ContainerId,
        generation: u64,
        tail: Option<usize>,
        after: Option<DateTime<Utc>>,
    ) -> Reading {
        let options = LogOptions {
            follow: self.wanted.follow,
            tail,
            after,
        };
        Reading {
            lines: self.runtime.logs(&id, options),
            id,
            generation,
        }
    }

    async fn next(&mut self) -> Option<Result<Line, Unreadable>> {
        loop {
            let Some(at) = &mut self.at else {
                if !self.wanted.follow {
                    return None;
                }
                self.at = Some(self.another().await?);
                continue;
            };
            match at.lines.next().await {
                Some(Ok(line)) => {
                    self.last = Some(line.time);
                    return Some(Ok(Line {
                        time: line.time,
                        generation: at.generation,
                        stream: line.source.as_str(),
                        text: line.text,
                    }));
                }
                Some(Err(error)) => {
                    self.wanted.follow = false;
                    self.at = None;
                    return Some(Err(Unreadable(Box::new(error))));
                }
                None => self.read = self.at.take().map(|at| (at.id, at.generation)),
            }
        }
    }

    /// Waits for another container; there is none any more once the log is closed.
    async fn another(&mut self) -> Option<Reading> {
        loop {
            self.hub.reached(self.seen).await;
            match self.known() {
                Some(known) if self.read.as_ref() != Some(&known) => {
                    let (id, generation) = known;
                    let is_kept = self.read.as_ref().is_some_and(|(read, _)| *read == id);
                    let after = self.last.filter(|_| is_kept).max(self.wanted.after);
                    return Some(self.reading(id, generation, None, after));
                }
                _ => self.head.changed().await.ok()?,
            }
            self.seen = *self.head.borrow_and_update();
        }
    }
}
