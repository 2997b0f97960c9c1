//! Live state: every project as it stands, and every change as it comes.
//!
//! The hub folds the log from its first event. A subscriber is told where live state stands from under the same lock
//! under which it begins to get the changes behind that, so there is neither a gap nor a repeat between them. A change is
//! queued for those whom it concerns, and for nobody else.
//!
//! An event that cannot be read costs its own project its place here, and no other: the log holds it for whoever can. Who
//! follows that project alone is told that it failed; its owner, who follows others beside it, is told of its events from
//! then on, and not of what it has become.

mod delivery;
mod folded;
mod place;
pub(crate) mod queue;
mod registry;
mod state;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use firefly_domain::control::ProjectProgress;
use firefly_domain::project::Known;
use firefly_domain::{ProjectId, ProjectKey, Segment, SessionId, session};
use firefly_event_store::{
    DecodeError, DomainEvent, Error as LogError, EventStore, Position, RecordedEvent, follow,
};
use firefly_web::Authenticator;
use futures::StreamExt;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::task::yield_now;
use tokio_util::sync::CancellationToken;

use crate::message::{End, Message};
use crate::past::Failure;
use crate::past::session::SessionFold;
use delivery::Delivery;
use state::{Decoded, State, session_of};

pub(crate) use folded::Folded;
pub(crate) use place::Place;
pub use registry::Subscribers;
pub(crate) use registry::Topic;
pub(crate) use state::project_of;

/// How long a log that cannot be read is left alone.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Messages that are queued before the subscribers who share this thread get a turn: some milliseconds of work.
const MESSAGES_PER_TURN: usize = 1_024;

/// Bytes of texts after which they get one, too: a queue has room for several times as many, so that one whose client reads
/// is not full before its turn.
const BYTES_PER_TURN: usize = queue::BYTES_MAX / 4;

/// Why the hub stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log was closed while it was followed.
    #[error("live state lost the event log, which was closed under it; start again")]
    LogClosed,
}

/// Live state. Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    state: Arc<Mutex<State>>,
    /// The last event whose changes are queued for everybody whom they concern.
    delivered: watch::Sender<Position>,
    counters: Arc<Counters>,
    preview_url: Arc<str>,
    authenticator: Authenticator,
}

#[derive(Default)]
struct Counters {
    sent: AtomicU64,
    too_slow: AtomicU64,
}

impl Hub {
    /// An empty hub; it fills when it runs. `preview_url` as in [`Config`](crate::Config).
    pub fn new(preview_url: &str, authenticator: Authenticator) -> Self {
        Self {
            state: Arc::default(),
            delivered: watch::Sender::new(Position::START),
            counters: Arc::default(),
            preview_url: preview_url.into(),
            authenticator,
        }
    }

    /// Follows the log, and passes on what is said of steps at work, until the shutdown begins. Then all subscriptions end.
    ///
    /// # Errors
    ///
    /// The log was closed before the shutdown began.
    pub async fn run(
        self,
        store: Arc<dyn EventStore>,
        progress: broadcast::Receiver<ProjectProgress>,
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        let outcome = tokio::select! {
            ended = self.follow(store) => ended,
            () = self.pass_on(progress) => Ok(()),
            () = shutdown.cancelled() => Ok(()),
        };
        let mut state = self.lock();
        state.stopped = Some(End::Restarting);
        state.registry.end_all(End::Restarting);
        outcome
    }

    async fn follow(&self, store: Arc<dyn EventStore>) -> Result<(), Error> {
        let mut pages = std::pin::pin!(follow(Arc::clone(&store), Position::START));
        while let Some(page) = pages.next().await {
            match page {
                Ok(page) => self.take(&*store, &page).await?,
                Err(error) => {
                    tracing::warn!(%error, "live state cannot read the log; trying on");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
        Err(Error::LogClosed)
    }

    async fn take(&self, store: &dyn EventStore, page: &[RecordedEvent]) -> Result<(), Error> {
        let Some(last) = page.last() else {
            return Ok(());
        };
        let deliveries = loop {
            let unfolded = {
                let mut state = self.lock();
                let unfolded = state.unfolded(page);
                if unfolded.is_empty() {
                    break self.take_all(&mut state, page);
                }
                unfolded
            };
            for (session, first) in unfolded {
                self.fold_session(store, session, first).await?;
            }
        };
        let (mut messages, mut bytes) = (0, 0);
        for delivery in deliveries {
            let delivered = delivery.push();
            self.counters
                .too_slow
                .fetch_add(delivered.too_slow as u64, Ordering::Relaxed);
            messages += delivered.messages;
            bytes += delivered.bytes;
            if messages >= MESSAGES_PER_TURN || bytes >= BYTES_PER_TURN {
                (messages, bytes) = (0, 0);
                yield_now().await;
            }
        }
        self.delivered.send_replace(last.position);
        Ok(())
    }

    fn take_all(&self, state: &mut State, page: &[RecordedEvent]) -> Vec<Delivery> {
        let deliveries = page.iter().filter_map(|recorded| {
            let decoded = DomainEvent::decode(recorded);
            if let Some(session) = session_that_is_over(recorded, &decoded) {
                // Whoever subscribes from now on is refused; whoever has is told.
                self.authenticator.end(session, recorded.recorded_at);
                state.registry.end_sign_in(session, End::SignedOut);
            }
            if let Err(error) = &decoded {
                leave_out(state, recorded, error);
            }
            state.take(recorded, &decoded, &self.preview_url)
        });
        deliveries.collect()
    }

    /// Folds a session that somebody follows, up to the first of its events that is not taken in yet.
    async fn fold_session(
        &self,
        store: &dyn EventStore,
        session: SessionId,
        first: &RecordedEvent,
    ) -> Result<(), Error> {
        loop {
            match SessionFold::before(store, first).await {
                Ok(folded) => {
                    self.lock().put_session(session, folded);
                    return Ok(());
                }
                Err(Failure::Log(LogError::Closed)) => return Err(Error::LogClosed),
                Err(Failure::Log(error)) => {
                    tracing::warn!(%error, "live state cannot read a session; trying on");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(Failure::Unreadable(_)) => {
                    let topic = Topic::Session(session);
                    self.lock().registry.end_topic(&topic, End::Failed);
                    return Ok(());
                }
            }
        }
    }

    async fn pass_on(&self, mut progress: broadcast::Receiver<ProjectProgress>) {
        loop {
            match progress.recv().await {
                Ok(step) => self.offer(&step),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    fn offer(&self, step: &ProjectProgress) {
        let topics = [
            Topic::User(step.project.user.clone()),
            Topic::Project(step.project.id()),
        ];
        let members: Vec<_> = {
            let state = self.lock();
            let members = topics
                .iter()
                .filter_map(|topic| state.registry.members(topic));
            members.collect()
        };
        if members.is_empty() {
            return;
        }
        let message = Message::Progress {
            project: step.project.to_string(),
            generation: step.generation.number(),
            step: step.progress.step.as_str(),
            done: step.progress.done,
            total: step.progress.total,
            text: step.progress.text.clone(),
        };
        let text = message.text();
        members.iter().for_each(|members| members.offer(&text));
    }

    /// Waits until the hub has taken in the event at a position.
    pub async fn reached(&self, position: Position) {
        // The sender lives in this very hub.
        let _ = self
            .delivered
            .subscribe()
            .wait_for(|reached| *reached >= position)
            .await;
    }

    /// The last event whose changes are queued for all whom they concern.
    pub(crate) fn delivered(&self) -> Position {
        *self.delivered.borrow()
    }

    /// How many projects are left out, since an event of theirs cannot be read.
    pub(crate) fn unreadable_count(&self) -> usize {
        self.lock().unreadable_count()
    }

    /// Looks at a project, if it was ever opened and can be read.
    pub fn look<T>(&self, key: &ProjectKey, look: impl FnOnce(&Known) -> T) -> Option<T> {
        let state = self.lock();
        state.project(key.id())?.known().map(look)
    }

    /// Whether a project is a user's, whether or not all of it can be read.
    pub(crate) fn is_of(&self, project: ProjectId, user: &Segment) -> bool {
        self.lock().owner(project) == Some(user)
    }

    /// The project that an event of a session speaks of, if there was one by then.
    pub(crate) fn joined(&self, event: &DomainEvent, position: Position) -> Option<ProjectKey> {
        self.lock().joined(event, position).cloned()
    }

    /// Adds a subscriber who signed in with a session. It ends with that, and gets nothing else yet.
    pub(crate) fn enter(&self, sign_in: SessionId, topic: Topic) -> Place {
        let mut state = self.lock();
        let (id, queue) = state.registry.enter(sign_in, topic.clone());
        if let Some(end) = state.stopped {
            queue.end(end);
        }
        drop(state);
        Place::new(self.clone(), id, topic, queue)
    }

    pub(crate) fn preview_url(&self) -> &str {
        &self.preview_url
    }

    /// How many subscribers there are.
    pub fn subscribers(&self) -> Subscribers {
        self.lock().registry.counts()
    }

    /// How many subscriptions were ended since their client read too slowly.
    pub fn closed_as_too_slow(&self) -> u64 {
        self.counters.too_slow.load(Ordering::Relaxed)
    }

    /// How many messages were handed to connections.
    pub fn messages_sent(&self) -> u64 {
        self.counters.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn count_sent(&self) {
        self.counters.sent.fetch_add(1, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The session whose tokens an event puts out of use.
fn session_that_is_over(recorded: &RecordedEvent, decoded: &Decoded) -> Option<SessionId> {
    match decoded {
        Ok(Some(DomainEvent::Session(session, session::Event::Ended(_)))) => Some(*session),
        Ok(_) => None,
        // What cannot be read may have been its end.
        Err(_) => session_of(recorded),
    }
}

/// Goes on without what an unreadable event is about.
fn leave_out(state: &mut State, recorded: &RecordedEvent, error: &DecodeError) {
    if let Some(project) = project_of(recorded) {
        if !state.leave_out(project) {
            return;
        }
        state
            .registry
            .end_topic(&Topic::Project(project), End::Failed);
    } else if let Some(session) = session_of(recorded) {
        state
            .registry
            .end_topic(&Topic::Session(session), End::Failed);
    }
    tracing::error!(
        event.stream = %recorded.stream,
        event.position = recorded.position.number(),
        "event.type" = recorded.event_type,
        event.version = recorded.schema_version,
        error = error as &dyn std::error::Error,
        "live state goes on without a project or session whose event it cannot read"
    );
}
