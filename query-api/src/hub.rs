//! Live state: every project as it stands, and every change as it comes.
//!
//! The hub folds the log from its first event. A subscriber gets the state at a position and all changes behind it
//! from under one lock, so there is neither a gap nor a repeat between them.
//!
//! An event that cannot be read costs its own project its place here, and no other: the log holds it for whoever can.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use firefly_domain::project::{self, Known, State};
use firefly_domain::{Aggregate, Project, ProjectId, ProjectKey, Session, SessionId, session};
use firefly_event_store::{DecodeError, DomainEvent, EventStore, Position, RecordedEvent, follow};
use firefly_web::Authenticator;
use futures::StreamExt;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::view::{EventView, ProjectView, Stamp};

/// Changes that a subscriber may be behind before it is told to come back.
const BEHIND_CHANGES_MAX: usize = 1_024;

/// Why the hub stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log was closed while it was followed.
    #[error("live state lost the event log, which was closed under it; start again")]
    LogClosed,
}

/// One change of one project.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) position: Position,
    pub(crate) project: ProjectView,
    pub(crate) event: EventView,
}

/// Live state. Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Mutex<Inner>>,
    changes: broadcast::Sender<Arc<Change>>,
    position: watch::Sender<Position>,
    preview_url: Arc<str>,
    authenticator: Authenticator,
}

#[derive(Default)]
struct Inner {
    position: Position,
    projects: HashMap<ProjectId, Folded>,
    /// Projects with an event that could not be read; what they are now is unknown.
    unreadable: HashSet<ProjectId>,
}

/// A project and what the log says about its state.
pub(crate) struct Folded {
    state: State,
    stamp: Stamp,
}

impl Hub {
    /// An empty hub; it fills when it runs. `preview_url` as in [`Config`](crate::Config).
    pub fn new(preview_url: &str, authenticator: Authenticator) -> Self {
        Self {
            inner: Arc::default(),
            changes: broadcast::Sender::new(BEHIND_CHANGES_MAX),
            position: watch::Sender::new(Position::START),
            preview_url: preview_url.into(),
            authenticator,
        }
    }

    /// Follows the log until the shutdown begins.
    ///
    /// # Errors
    ///
    /// The log was closed before the shutdown began.
    pub async fn run(
        self,
        store: Arc<dyn EventStore>,
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        shutdown
            .run_until_cancelled(self.follow(store))
            .await
            .unwrap_or(Ok(()))
    }

    async fn follow(&self, store: Arc<dyn EventStore>) -> Result<(), Error> {
        let mut pages = std::pin::pin!(follow(store, Position::START));
        while let Some(page) = pages.next().await {
            match page {
                Ok(page) => self.take(&page),
                Err(error) => {
                    tracing::warn!(%error, "live state cannot read the log; trying on");
                    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                }
            }
        }
        Err(Error::LogClosed)
    }

    fn take(&self, page: &[RecordedEvent]) {
        let mut inner = self.lock();
        for recorded in page {
            match DomainEvent::decode(recorded) {
                Ok(Some(decoded @ DomainEvent::Project(..))) => {
                    if let Some(change) = inner.change(recorded, &decoded, &self.preview_url) {
                        // Nobody may be looking.
                        let _ = self.changes.send(Arc::new(change));
                    }
                }
                Ok(Some(DomainEvent::Session(session, session::Event::Ended(_)))) => {
                    self.authenticator.end(session, recorded.recorded_at);
                }
                Ok(Some(DomainEvent::Session(..)) | None) => {}
                Err(error) => self.leave_out(&mut inner, recorded, &error),
            }
            inner.position = recorded.position;
        }
        self.position.send_replace(inner.position);
    }

    /// Goes on without what an unreadable event is about.
    fn leave_out(&self, inner: &mut Inner, recorded: &RecordedEvent, error: &DecodeError) {
        if let Some(project) = project_of(recorded) {
            inner.projects.remove(&project);
            if !inner.unreadable.insert(project) {
                return;
            }
        } else if let Some(session) = session_of(recorded) {
            // What cannot be read may have been its end.
            self.authenticator.end(session, recorded.recorded_at);
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

    /// Waits until the hub has taken in the event at a position.
    pub async fn reached(&self, position: Position) {
        // The sender lives in this very hub.
        let _ = self
            .position
            .subscribe()
            .wait_for(|reached| *reached >= position)
            .await;
    }

    /// Whether a project is left out, since an event of it cannot be read.
    pub(crate) fn is_unreadable(&self, project: ProjectId) -> bool {
        self.lock().unreadable.contains(&project)
    }

    /// How many projects are left out.
    pub(crate) fn unreadable_count(&self) -> usize {
        self.lock().unreadable.len()
    }

    /// Looks at a project, if it was ever opened and can be read.
    pub fn look<T>(&self, key: &ProjectKey, look: impl FnOnce(&Known) -> T) -> Option<T> {
        self.lock()
            .projects
            .get(&key.id())
            .and_then(|folded| folded.state.known())
            .map(look)
    }

    /// The projects that a caller may see at a position, and the changes of all projects behind it.
    pub(crate) fn subscribe(
        &self,
        sees: impl Fn(&ProjectView) -> bool,
    ) -> (Position, Vec<ProjectView>, broadcast::Receiver<Arc<Change>>) {
        let inner = self.lock();
        let changes = self.changes.subscribe();
        let mut views: Vec<ProjectView> = inner
            .projects
            .values()
            .filter(|folded| {
                !matches!(
                    folded.state.known().map(|known| &known.phase),
                    Some(project::Phase::Deleted)
                )
            })
            .filter_map(|folded| folded.view(&self.preview_url))
            .filter(sees)
            .collect();
        views.sort_by(|one, other| one.key.cmp(&other.key));
        (inner.position, views, changes)
    }

    pub(crate) fn preview_url(&self) -> &str {
        &self.preview_url
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The project that an event is of, if it is of one.
pub(crate) fn project_of(recorded: &RecordedEvent) -> Option<ProjectId> {
    let of_project = recorded.stream.category() == Project::CATEGORY;
    let id = recorded.stream.uuid().filter(|_| of_project);
    id.map(ProjectId::from_uuid)
}

fn session_of(recorded: &RecordedEvent) -> Option<SessionId> {
    let of_session = recorded.stream.category() == Session::CATEGORY;
    let id = recorded.stream.uuid().filter(|_| of_session);
    id.map(SessionId::from_uuid)
}

impl Inner {
    fn change(
        &mut self,
        recorded: &RecordedEvent,
        decoded: &DomainEvent,
        preview_url: &str,
    ) -> Option<Change> {
        let DomainEvent::Project(id, event) = decoded else {
            return None;
        };
        if self.unreadable.contains(id) {
            return None;
        }
        let folded = self
            .projects
            .entry(*id)
            .or_insert_with(|| Folded::before(recorded));
        folded.take(recorded, event);
        Some(Change {
            position: recorded.position,
            project: folded.view(preview_url)?,
            event: EventView::new(recorded, decoded),
        })
    }
}

impl Folded {
    /// Nothing yet; `first` is the first event that will be taken in.
    pub(crate) fn before(first: &RecordedEvent) -> Self {
        Self {
            state: State::default(),
            stamp: Stamp {
                opened_at: first.recorded_at,
                updated_at: first.recorded_at,
                revision: first.revision,
                position: first.position,
            },
        }
    }

    pub(crate) fn take(&mut self, recorded: &RecordedEvent, event: &project::Event) {
        if matches!(event, project::Event::Opened(_)) {
            self.stamp.opened_at = recorded.recorded_at;
        }
        self.stamp.updated_at = recorded.recorded_at;
        self.stamp.revision = recorded.revision;
        self.stamp.position = recorded.position;
        self.state = Project::evolve(std::mem::take(&mut self.state), event);
    }

    pub(crate) fn view(&self, preview_url: &str) -> Option<ProjectView> {
        self.state
            .known()
            .map(|known| ProjectView::new(known, self.stamp, preview_url))
    }
}
