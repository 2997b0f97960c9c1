//! Load, decide, append: the loop that every command goes through.

pub(crate) mod requests;

use firefly_domain::{Actor, EventId};
use uuid::Uuid;

use crate::codec::{DecodeError, Wire};
use crate::event::{Idempotency, Metadata, NewEvent, Position, RecordedEvent, Revision, StreamId};
use crate::store::{Error, EventStore, Expected, shown};

/// How often a command is decided anew after somebody else appended to its stream. Each conflict means that another
/// command got through, so a stream with this many writers at once is already far beyond what a project sees.
const CONFLICT_RETRIES_MAX: usize = 16;

/// Events of a stream read at a time.
const LOAD_PAGE_EVENTS: usize = 512;

/// Who asks, and in what connection.
#[derive(Clone, Debug)]
pub struct Context {
    /// Who asks.
    pub actor: Actor,
    /// Shared by everything that follows from one request.
    pub correlation_id: Uuid,
    /// The event that this is a reaction to, if it is one.
    pub causation_id: Option<EventId>,
    /// The W3C trace context of the request, if it had one.
    pub traceparent: Option<String>,
    /// The revision that the caller last saw, if it insists on it.
    pub expected: Option<Revision>,
    /// Says that the request must not be done twice, if its sender wants that.
    pub idempotency: Option<Idempotency>,
}

impl Context {
    /// A request of its own.
    pub fn new(actor: Actor, correlation_id: Uuid) -> Self {
        Self {
            actor,
            correlation_id,
            causation_id: None,
            traceparent: None,
            expected: None,
            idempotency: None,
        }
    }
}

/// What came of a command.
#[derive(Clone, Debug)]
pub struct Handled<A: Wire> {
    /// The state after it.
    pub state: A::State,
    /// The events it recorded; none if it was already so.
    pub events: Vec<A::Event>,
    /// The revision of the stream's last event, if it has one.
    pub revision: Option<Revision>,
    /// The position of the stream's last event; a reader that has seen it has seen the command's effect.
    pub position: Position,
}

/// Why a command came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CommandError<R: std::error::Error + 'static> {
    /// A rule forbids it.
    #[error("the command is refused by a rule")]
    Rejected(#[source] R),
    /// The stream moved on since the caller looked.
    #[error("the stream is at {}, and the command was meant for revision {expected}; look again", shown(*.current))]
    Stale {
        /// The revision the caller insists on.
        expected: Revision,
        /// The revision of the stream's last event.
        current: Option<Revision>,
    },
    /// The sender used its key before, for another request.
    #[error("this idempotency key was used for another request; choose a new one")]
    KeyReused,
    /// Others appended faster than this command could be decided.
    #[error(
        "the stream changed {CONFLICT_RETRIES_MAX} times while the command was decided; try again"
    )]
    Contended,
    /// An event of the stream could not be read.
    #[error("the stream's history cannot be read")]
    Unreadable(#[source] DecodeError),
    /// The log failed.
    #[error("the event log failed")]
    Log(#[source] Error),
}

/// Loads an aggregate, decides the command, and appends what it decided.
///
/// # Errors
///
/// See [`CommandError`]; a refused command has recorded nothing.
pub async fn handle<A: Wire>(
    store: &dyn EventStore,
    id: &Uuid,
    command: A::Command,
    context: &Context,
) -> Result<Handled<A>, CommandError<A::Rejection>> {
    let stream = StreamId::of(A::CATEGORY, id);
    if let Some(handled) = first_outcome(store, &stream, context).await? {
        return Ok(handled);
    }
    match run(store, &stream, None, command, context).await? {
        Outcome::Repeated(handled) => Ok(handled),
        Outcome::Decided(loaded, events) => {
            requests::remember(store, &stream, loaded.handled(events), context).await
        }
    }
}

/// What came of a run of the loop.
pub(crate) enum Outcome<A: Wire> {
    /// The state that the decision led to, and what it recorded.
    Decided(Loaded<A>, Vec<A::Event>),
    /// The request had been made before, in between: what came of it then.
    Repeated(Handled<A>),
}

/// Decides a command on what is remembered of its stream, if anything, and appends what it decided. What is remembered
/// may be out of date, since others append too: then the append conflicts, and what would change nothing or be refused is
/// decided only after the rest of the stream has been read.
pub(crate) async fn run<A: Wire>(
    store: &dyn EventStore,
    stream: &StreamId,
    remembered: Option<Loaded<A>>,
    command: A::Command,
    context: &Context,
) -> Result<Outcome<A>, CommandError<A::Rejection>> {
    let mut up_to_date = false;
    let mut loaded = remembered.unwrap_or_default();
    let mut conflicts = 0;
    while conflicts <= CONFLICT_RETRIES_MAX {
        if loaded.revision.is_none()
            || context
                .expected
                .is_some_and(|at| loaded.revision != Some(at))
        {
            loaded.catch_up(store, stream).await?;
            up_to_date = true;
        }
        if let Some(expected) = context.expected
            && loaded.revision != Some(expected)
        {
            return Err(CommandError::Stale {
                expected,
                current: loaded.revision,
            });
        }
        let decided = A::decide(&loaded.state, command.clone());
        if !up_to_date && decided.as_ref().map_or(true, Vec::is_empty) {
            loaded.catch_up(store, stream).await?;
            up_to_date = true;
            continue;
        }
        let events = decided.map_err(CommandError::Rejected)?;
        if events.is_empty() {
            return Ok(Outcome::Decided(loaded, events));
        }
        let new = events.iter().enumerate();
        let new = new
            .map(|(index, event)| new_event::<A>(event, index, context))
            .collect();
        match store
            .append(stream, Expected::after(loaded.revision), new)
            .await
        {
            Ok(appended) if !appended.repeated => {
                loaded.state = events.iter().fold(loaded.state, A::evolve);
                loaded.revision = Some(appended.revision);
                loaded.position = appended.position;
                return Ok(Outcome::Decided(loaded, events));
            }
            // The first try of this request got through meanwhile; what was decided here never happened.
            Ok(_) | Err(Error::EventIdTaken { .. }) => {
                let first = first_outcome(store, stream, context).await?;
                return first.map(Outcome::Repeated).ok_or(CommandError::KeyReused);
            }
            Err(Error::Conflict { .. }) => {
                conflicts += 1;
                loaded.catch_up(store, stream).await?;
                up_to_date = true;
            }
            Err(error) => return Err(CommandError::Log(error)),
        }
    }
    Err(CommandError::Contended)
}

/// What came of the request when it was made before, under the same key.
pub(crate) async fn first_outcome<A: Wire>(
    store: &dyn EventStore,
    stream: &StreamId,
    context: &Context,
) -> Result<Option<Handled<A>>, CommandError<A::Rejection>> {
    let Some(idempotency) = &context.idempotency else {
        return Ok(None);
    };
    let Some(first) = store
        .find_request(&idempotency.key)
        .await
        .map_err(CommandError::Log)?
    else {
        return Ok(None);
    };
    let satisfied = requests::satisfied(&first);
    let of = satisfied
        .as_ref()
        .map_or(&first.stream, |satisfied| &satisfied.stream);
    if of != stream || first.metadata.idempotency.as_ref() != Some(idempotency) {
        return Err(CommandError::KeyReused);
    }
    // Everything before the request's own events, or as much as it found when it found nothing to do.
    let before = match satisfied {
        Some(satisfied) => satisfied.revision.map_or(Revision::FIRST, Revision::next),
        None => first.revision,
    };
    let mut loaded = Loaded::<A>::default();
    let mut events = Vec::new();
    loaded
        .catch_up_while(store, stream, |recorded, event| {
            let of_request = recorded.metadata.idempotency.as_ref() == Some(idempotency);
            if of_request {
                events.push(event.clone());
            }
            of_request || recorded.revision < before
        })
        .await?;
    Ok(Some(loaded.handled(events)))
}

fn new_event<A: Wire>(event: &A::Event, index: usize, context: &Context) -> NewEvent {
    let encoded = A::encode(event);
    let id = match &context.idempotency {
        Some(idempotency) => idempotency.event_id(index),
        None => EventId::from_uuid(Uuid::now_v7()),
    };
    NewEvent {
        id,
        event_type: encoded.event_type.to_owned(),
        schema_version: encoded.schema_version,
        data: encoded.data,
        metadata: Metadata {
            actor: context.actor.clone(),
            correlation_id: context.correlation_id,
            causation_id: context.causation_id,
            traceparent: context.traceparent.clone(),
            idempotency: context.idempotency.clone(),
        },
        recorded_at: None,
    }
}

/// An aggregate as far as its stream has been read.
pub(crate) struct Loaded<A: Wire> {
    state: A::State,
    revision: Option<Revision>,
    position: Position,
}

impl<A: Wire> Clone for Loaded<A> {
    fn clone(&self) -> Self {
        Self {
            state: self.state.clone(),
            revision: self.revision,
            position: self.position,
        }
    }
}

impl<A: Wire> Default for Loaded<A> {
    fn default() -> Self {
        Self {
            state: A::State::default(),
            revision: None,
            position: Position::START,
        }
    }
}

impl<A: Wire> Loaded<A> {
    pub(crate) const fn new(state: A::State, revision: Revision, position: Position) -> Self {
        Self {
            state,
            revision: Some(revision),
            position,
        }
    }

    async fn catch_up(
        &mut self,
        store: &dyn EventStore,
        stream: &StreamId,
    ) -> Result<(), CommandError<A::Rejection>> {
        self.catch_up_while(store, stream, |_, _| true).await
    }

    /// Takes events in, up to the first one that is not wanted.
    async fn catch_up_while(
        &mut self,
        store: &dyn EventStore,
        stream: &StreamId,
        mut wanted: impl FnMut(&RecordedEvent, &A::Event) -> bool,
    ) -> Result<(), CommandError<A::Rejection>> {
        loop {
            let from = self.revision.map_or(Revision::FIRST, Revision::next);
            let page = store
                .read_stream(stream, from, LOAD_PAGE_EVENTS)
                .await
                .map_err(CommandError::Log)?;
            let complete = page.len() < LOAD_PAGE_EVENTS;
            for recorded in page {
                let event = A::decode(&recorded).map_err(CommandError::Unreadable)?;
                if !wanted(&recorded, &event) {
                    return Ok(());
                }
                self.state = A::evolve(std::mem::take(&mut self.state), &event);
                self.revision = Some(recorded.revision);
                self.position = recorded.position;
            }
            if complete {
                return Ok(());
            }
        }
    }

    /// The revision of the last event that was read.
    pub(crate) const fn revision(&self) -> Option<Revision> {
        self.revision
    }

    pub(crate) fn handled(self, events: Vec<A::Event>) -> Handled<A> {
        Handled {
            state: self.state,
            events,
            revision: self.revision,
            position: self.position,
        }
    }
}
