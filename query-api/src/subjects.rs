//! Whom an event is about: the first event of a stream names the user, and the project if it is one.

use std::collections::HashMap;
use std::sync::Arc;

use firefly_domain::{Aggregate, Project, ProjectKey, Segment, project, session};
use firefly_event_store::{DomainEvent, Error, EventStore, RecordedEvent, Revision, StreamId};

/// Streams that are remembered while a log is read through.
const REMEMBERED_MAX: usize = 10_000;

/// Whose a stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    pub user: Segment,
    /// The project, if it is one's stream.
    pub project: Option<ProjectKey>,
}

/// The subjects of the streams that were met so far.
#[derive(Default)]
pub struct Subjects {
    known: HashMap<StreamId, Option<Arc<Subject>>>,
}

impl Subjects {
    /// Whom an event is about; nobody if its stream is of no user, or begins with something that cannot be read.
    pub async fn of(
        &mut self,
        store: &dyn EventStore,
        event: &RecordedEvent,
    ) -> Result<Option<Arc<Subject>>, Error> {
        if event.revision == Revision::FIRST {
            return Ok(self.remember(&event.stream, read(event)));
        }
        self.of_stream(store, &event.stream).await
    }

    /// The project that an event of a session speaks of.
    pub async fn joined(
        &mut self,
        store: &dyn EventStore,
        event: &RecordedEvent,
    ) -> Result<Option<Arc<Subject>>, Error> {
        let project = match DomainEvent::decode(event) {
            Ok(Some(DomainEvent::Session(_, session::Event::Joined(joined)))) => joined.project,
            Ok(Some(DomainEvent::Session(_, session::Event::Left(left)))) => left.project,
            Ok(_) | Err(_) => return Ok(None),
        };
        let stream = StreamId::of(Project::CATEGORY, project.as_uuid());
        self.of_stream(store, &stream).await
    }

    async fn of_stream(
        &mut self,
        store: &dyn EventStore,
        stream: &StreamId,
    ) -> Result<Option<Arc<Subject>>, Error> {
        if let Some(known) = self.known.get(stream) {
            return Ok(known.clone());
        }
        let subject = of_stream(store, stream).await?;
        Ok(self.remember(stream, subject))
    }

    fn remember(&mut self, stream: &StreamId, subject: Option<Subject>) -> Option<Arc<Subject>> {
        let subject = subject.map(Arc::new);
        if self.known.len() >= REMEMBERED_MAX {
            self.known.clear();
        }
        self.known.insert(stream.clone(), subject.clone());
        subject
    }
}

/// Whom a stream is about, if it has begun.
pub async fn of_stream(
    store: &dyn EventStore,
    stream: &StreamId,
) -> Result<Option<Subject>, Error> {
    let first = store.read_stream(stream, Revision::FIRST, 1).await?;
    Ok(first.first().and_then(read))
}

fn read(first: &RecordedEvent) -> Option<Subject> {
    match DomainEvent::decode(first).ok()?? {
        DomainEvent::Project(_, project::Event::Opened(opened)) => Some(Subject {
            user: opened.key.user.clone(),
            project: Some(opened.key),
        }),
        DomainEvent::Session(_, session::Event::Started(started)) => Some(Subject {
            user: started.user,
            project: None,
        }),
        DomainEvent::Project(..) | DomainEvent::Session(..) => None,
    }
}
