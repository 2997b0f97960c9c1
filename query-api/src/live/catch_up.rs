//! What a client missed, read from the log in the form in which it would have come live.
//!
//! One page of the log is held at a time, and one message is made at a time. A project or session is shown as it was at
//! that very event. Behind an event that cannot be read nobody knows what its project was: a user is told of the events
//! alone, and who follows that project or session and nothing else is told that it failed.

use std::collections::VecDeque;
use std::num::NonZeroUsize;

use firefly_domain::{ProjectId, Segment};
use firefly_event_store::store::EVENT_DATA_BYTES_MAX;
use firefly_event_store::{DomainEvent, Position, RecordedEvent, Revision, StreamId};
use lru::LruCache;

use super::scope::Scope;
use crate::App;
use crate::hub::{Folded, project_of};
use crate::message::{Message, Text};
use crate::past::session::SessionFold;
use crate::past::{Failure, fold_before};
use crate::view::EventView;

/// Events read at a time: few, since each may have a megabyte.
const PAGE_EVENTS: usize = 32;

/// Bytes of a page that are held until they are sent, or one event; what is beyond them is read again.
const PAGE_BYTES: usize = EVENT_DATA_BYTES_MAX;

/// Projects of one user that are remembered as they were; one that is not is folded from its first event again.
const REMEMBERED_MAX: NonZeroUsize = NonZeroUsize::new(1_000).expect("it is more than none");

/// Reads on behind a position.
pub struct CatchUp {
    app: App,
    /// What is read.
    source: Source,
    /// Nothing up to here is sent.
    after: Position,
    /// Everything up to here was looked at.
    reached: Position,
    page: VecDeque<RecordedEvent>,
    /// How many events are read next: as many as were held of the last page, then more again.
    limit: usize,
}

enum Source {
    /// The projects of one user, out of the whole log.
    OfUser {
        user: Segment,
        /// None where an event could not be read.
        projects: LruCache<ProjectId, Option<Folded>>,
    },
    Project {
        stream: StreamId,
        next: Revision,
        folded: Option<Folded>,
    },
    Session {
        stream: StreamId,
        next: Revision,
        folded: SessionFold,
    },
    Log,
}

/// One step of reading on.
pub enum Step {
    Message(Text),
    /// Something was looked at that does not concern the client.
    PassedOver,
    /// A page is read.
    Page,
    /// All up to the end was looked at.
    Over,
}

impl CatchUp {
    pub fn new(app: App, scope: &Scope, user: &Segment, after: Position) -> Self {
        let source = match (scope, scope.stream()) {
            (Scope::Project(_), Some(stream)) => Source::Project {
                stream,
                next: Revision::FIRST,
                folded: None,
            },
            (Scope::Session { .. }, Some(stream)) => Source::Session {
                stream,
                next: Revision::FIRST,
                folded: SessionFold::default(),
            },
            (Scope::Log, _) => Source::Log,
            _ => Source::OfUser {
                user: user.clone(),
                projects: LruCache::new(REMEMBERED_MAX),
            },
        };
        Self {
            app,
            source,
            after,
            reached: after,
            page: VecDeque::new(),
            limit: PAGE_EVENTS,
        }
    }

    /// Everything up to here was looked at.
    pub const fn reached(&self) -> Position {
        self.reached
    }

    /// The session that was caught up with, as it is there.
    pub fn take_session(&mut self) -> Option<SessionFold> {
        match &mut self.source {
            Source::Session { folded, .. } => Some(std::mem::take(folded)),
            Source::OfUser { .. } | Source::Project { .. } | Source::Log => None,
        }
    }

    /// Whether the next step reads the log.
    pub fn reads(&self, until: Position) -> bool {
        let Some(next) = self.page.front() else {
            return self.reached < until;
        };
        let Source::OfUser { user, projects } = &self.source else {
            return false;
        };
        let unknown = project_of(next).filter(|id| !projects.contains(id));
        next.position <= until && unknown.is_some_and(|id| self.app.hub.is_of(id, user))
    }

    /// Takes one step towards a position that the log has.
    pub async fn step(&mut self, until: Position) -> Result<Step, Failure> {
        let Some(next) = self.page.front() else {
            return self.read(until).await;
        };
        if next.position > until {
            self.reached = until;
            return Ok(Step::Over);
        }
        let Some(recorded) = self.page.pop_front() else {
            return Ok(Step::Over);
        };
        let text = self.take(&recorded).await?;
        self.reached = self.reached.max(recorded.position);
        let text = text.filter(|_| recorded.position > self.after);
        Ok(text.map_or(Step::PassedOver, Step::Message))
    }

    async fn read(&mut self, until: Position) -> Result<Step, Failure> {
        if self.reached >= until {
            return Ok(Step::Over);
        }
        let (store, limit) = (&self.app.store, self.limit);
        let page = match &self.source {
            Source::OfUser { .. } | Source::Log => store.read_all(self.reached, limit).await,
            Source::Project { stream, next, .. } | Source::Session { stream, next, .. } => {
                store.read_stream(stream, *next, limit).await
            }
        };
        let mut page = page.map_err(Failure::Log)?;
        let held = held(&page);
        self.limit = if held < page.len() {
            held
        } else {
            (2 * limit).min(PAGE_EVENTS)
        };
        page.truncate(held);
        self.page = page.into();
        let Some(last) = self.page.back() else {
            self.reached = until;
            return Ok(Step::Over);
        };
        if let Source::Project { next, .. } | Source::Session { next, .. } = &mut self.source {
            *next = last.revision.next();
        }
        Ok(Step::Page)
    }

    async fn take(&mut self, recorded: &RecordedEvent) -> Result<Option<Text>, Failure> {
        let hub = &self.app.hub;
        match &mut self.source {
            Source::OfUser { user, projects } => {
                // An owner whom live state does not know is told nothing there either.
                let Some(id) = project_of(recorded).filter(|id| hub.is_of(*id, user)) else {
                    return Ok(None);
                };
                if !projects.contains(&id) {
                    projects.put(id, project_before(&self.app, recorded).await?);
                }
                let Some(project) = projects.get_mut(&id) else {
                    return Ok(None);
                };
                let Some(folded) = project else {
                    return Ok(Some(alone(&self.app, recorded)));
                };
                match of_project(&self.app, folded, recorded) {
                    Err(Failure::Unreadable(_)) => {
                        *project = None;
                        Ok(Some(alone(&self.app, recorded)))
                    }
                    told => told,
                }
            }
            Source::Project { folded, .. } => {
                let folded = folded.get_or_insert_with(|| Folded::before(recorded));
                of_project(&self.app, folded, recorded)
            }
            Source::Session { folded, .. } => of_session(&self.app, folded, recorded),
            Source::Log => Ok(Some(alone(&self.app, recorded))),
        }
    }
}

/// How many events of a page are held.
fn held(page: &[RecordedEvent]) -> usize {
    let mut bytes = 0;
    let fits = |event: &&RecordedEvent| {
        bytes += event.data.get().len();
        bytes <= PAGE_BYTES
    };
    let held = page.iter().take_while(fits).count();
    held.max(page.len().min(1))
}

/// A project as it was before one of its events; none if that cannot be read.
async fn project_before(app: &App, event: &RecordedEvent) -> Result<Option<Folded>, Failure> {
    let mut folded = Folded::before(event);
    let read = fold_before(&*app.store, event, |recorded, event| {
        if let DomainEvent::Project(_, event) = event {
            folded.take(recorded, event);
        }
    })
    .await;
    match read {
        Ok(()) => Ok(Some(folded)),
        Err(Failure::Unreadable(_)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn of_project(
    app: &App,
    folded: &mut Folded,
    recorded: &RecordedEvent,
) -> Result<Option<Text>, Failure> {
    let decoded = DomainEvent::decode(recorded).map_err(Failure::Unreadable)?;
    let Some(decoded @ DomainEvent::Project(_, event)) = &decoded else {
        return Ok(None);
    };
    folded.take(recorded, event);
    let project = folded.view(app.hub.preview_url());
    Ok(project.map(|project| {
        let message = Message::Change {
            position: recorded.position,
            event: &EventView::new(recorded, decoded),
            project: Some(&project),
            session: None,
        };
        message.text()
    }))
}

fn of_session(
    app: &App,
    folded: &mut SessionFold,
    recorded: &RecordedEvent,
) -> Result<Option<Text>, Failure> {
    let decoded = DomainEvent::decode(recorded).map_err(Failure::Unreadable)?;
    let Some(decoded @ DomainEvent::Session(_, event)) = &decoded else {
        return Ok(None);
    };
    folded.take(recorded, event);
    let joined = app.hub.joined(decoded, recorded.position);
    Ok(folded.view().map(|session| {
        let message = Message::Change {
            position: recorded.position,
            event: &EventView::read(recorded, joined.as_ref()),
            project: None,
            session: Some(&session),
        };
        message.text()
    }))
}

/// An event without what anything became by it.
fn alone(app: &App, recorded: &RecordedEvent) -> Text {
    let decoded = DomainEvent::decode(recorded).ok().flatten();
    let joined = decoded.and_then(|decoded| app.hub.joined(&decoded, recorded.position));
    let message = Message::Change {
        position: recorded.position,
        event: &EventView::read(recorded, joined.as_ref()),
        project: None,
        session: None,
    };
    message.text()
}
