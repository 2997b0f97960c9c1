//! Reads a log from its beginning to its end and says what is wrong with it.
//!
//! What is checked of an event is pure ([`Checker`]); around it is what finds the way past a row that cannot be read,
//! through the store's contract alone.

use std::collections::{BTreeMap, HashMap};
use std::error::Error as _;
use std::fmt;

use super::{Error, Observer, PAGE_EVENTS, Phase, Progress, Which};
use crate::codec::{DomainEvent, PayloadError};
use crate::commands::requests;
use crate::event::{Position, RecordedEvent, Revision, StreamId};
use crate::store::{self, EventStore};

/// Unknown types that are named; more are counted together.
const UNKNOWN_TYPES_MAX: usize = 1_000;

/// What those are counted under.
const OTHER_TYPES: &str = "others";

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where in the log, if that is known.
    pub position: Option<Position>,
    /// In which stream, if that is known.
    pub stream: Option<StreamId>,
    /// Where in the stream, if that is known.
    pub revision: Option<Revision>,
    /// What.
    pub kind: FaultKind,
}

/// What can be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The log cannot read it: it is damaged.
    Unreadable(String),
    /// Nothing is where the positions up to this one were.
    Missing(Position),
    /// Its position is not behind that of the event before it.
    Disorder,
    /// Its stream should go on at this revision.
    Revision(u64),
    /// The file is damaged in a way that may hide events.
    Structure(String),
    /// Its type is known, its payload is not what the type promises.
    Malformed(String),
}

impl FaultKind {
    /// Its name, for programs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::Missing(_) => "missing",
            Self::Disorder => "disorder",
            Self::Revision(_) => "revision",
            Self::Structure(_) => "structure",
            Self::Malformed(_) => "malformed",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(detail) => write!(f, "it cannot be read: {detail}"),
            Self::Missing(last) => write!(f, "nothing is here, up to position {last}"),
            Self::Disorder => f.write_str("it stands behind an event of a later position"),
            Self::Revision(expected) => write!(f, "revision {expected} should come next"),
            Self::Structure(detail) => write!(f, "the file's structure is damaged: {detail}"),
            Self::Malformed(detail) => write!(f, "its payload cannot be read: {detail}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = self.position {
            write!(f, "position {position}: ")?;
        }
        if let Some(stream) = &self.stream {
            write!(f, "stream {stream}: ")?;
        }
        if let Some(revision) = self.revision {
            write!(f, "revision {revision}: ")?;
        }
        self.kind.fmt(f)
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Events that could be read.
    pub events: u64,
    /// Their streams.
    pub streams: u64,
    /// Faults that were told.
    pub faults: u64,
    /// How many events are of types that this program does not know; they may be those of a newer one.
    pub unknown: BTreeMap<String, u64>,
}

/// Reads everything; `contiguous` says whether the engine counts positions without gaps. Each fault is told at once.
///
/// # Errors
///
/// The log cannot be read at all, so nothing is known about it.
pub async fn verify(
    store: &dyn EventStore,
    contiguous: bool,
    on_fault: &mut (dyn FnMut(Fault) + Send),
    observer: &mut Observer<'_>,
) -> Result<Verified, Error> {
    let head = *store.head().borrow();
    let mut checker = Checker::new(contiguous);
    loop {
        match store.read_all(checker.reached, PAGE_EVENTS).await {
            Ok(page) if page.is_empty() => {
                checker.at_end(head, on_fault);
                break;
            }
            Ok(page) => page.iter().for_each(|event| checker.event(event, on_fault)),
            Err(_) => {
                if !past_damage(store, &mut checker, on_fault).await? {
                    break;
                }
            }
        }
        observer(Progress {
            phase: Phase::Verify,
            events: checker.found.events,
            position: checker.reached,
        });
    }
    Ok(checker.into_found())
}

/// Goes on event by event until one cannot be read, and passes over it. Whether there is a way on.
async fn past_damage(
    store: &dyn EventStore,
    checker: &mut Checker,
    on_fault: &mut (dyn FnMut(Fault) + Send),
) -> Result<bool, Error> {
    loop {
        match store.read_all(checker.reached, 1).await {
            Ok(page) if page.is_empty() => return Ok(true),
            Ok(page) => page.iter().for_each(|event| checker.event(event, on_fault)),
            Err(store::Error::Missing { found, .. }) => {
                checker.missing_until(Position::new(found.saturating_sub(1)), on_fault);
                return Ok(true);
            }
            Err(error) => {
                let damaged = damaged_position(store, checker, &error).await;
                return match (damaged, &error) {
                    (Some(position), _) => {
                        checker.unreadable(Some(position), told(&error), on_fault);
                        Ok(true)
                    }
                    (None, store::Error::Corrupt { .. }) => {
                        checker.unreadable(None, told(&error), on_fault);
                        Ok(false)
                    }
                    // It is not the event that is at fault, or nobody can tell.
                    (None, _) => Err(Which::Source.failed()(error)),
                };
            }
        }
    }
}

/// The position of the event that cannot be read, behind what was reached.
async fn damaged_position(
    store: &dyn EventStore,
    checker: &Checker,
    error: &store::Error,
) -> Option<Position> {
    if checker.contiguous {
        return bisected(store, checker.reached, error).await;
    }
    // Between its positions such an engine has nothing to begin a read at; but it reads whole events, and names them.
    match error {
        store::Error::Corrupt { position, .. } => {
            position.filter(|position| *position > checker.reached)
        }
        _ => None,
    }
}

/// Where an engine that counts without gaps has it: reading from in front of it fails as it did, reading from behind it
/// does not. What the row itself says of its position may be damaged, too.
async fn bisected(
    store: &dyn EventStore,
    after: Position,
    error: &store::Error,
) -> Option<Position> {
    let error = told(error);
    let fails = async |after: u64| match store.read_all(Position::new(after), 1).await {
        Ok(_) => false,
        Err(other) => told(&other) == error,
    };
    let head = store.head().borrow().number();
    let mut front = after.number();
    let mut step = 1;
    let mut behind = loop {
        let next = front.saturating_add(step).min(head);
        if next <= front {
            return None;
        }
        if !fails(next).await {
            break next;
        }
        front = next;
        step *= 2;
    };
    while behind - front > 1 {
        let middle = front + (behind - front) / 2;
        if fails(middle).await {
            front = middle;
        } else {
            behind = middle;
        }
    }
    Some(Position::new(behind))
}

/// An error with everything that led to it.
fn told(error: &store::Error) -> String {
    match error {
        store::Error::Corrupt { what, detail, .. } => format!("{what}: {detail}"),
        _ => {
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            text
        }
    }
}

/// What is known about the log so far. It remembers the last revision of every stream, nothing of events.
struct Checker {
    contiguous: bool,
    reached: Position,
    streams: HashMap<StreamId, Revision>,
    found: Verified,
}

impl Checker {
    fn new(contiguous: bool) -> Self {
        Self {
            contiguous,
            reached: Position::START,
            streams: HashMap::new(),
            found: Verified::default(),
        }
    }

    fn event(&mut self, event: &RecordedEvent, on_fault: &mut (dyn FnMut(Fault) + Send)) {
        let mut fault = |kind| {
            self.found.faults += 1;
            on_fault(Fault {
                position: Some(event.position),
                stream: Some(event.stream.clone()),
                revision: Some(event.revision),
                kind,
            });
        };
        let last = self.streams.insert(event.stream.clone(), event.revision);
        let next = last.map_or(Revision::FIRST, Revision::next);
        if event.revision != next {
            fault(FaultKind::Revision(next.number()));
        }
        if event.position <= self.reached {
            fault(FaultKind::Disorder);
        }
        match DomainEvent::decode(event) {
            Ok(Some(_)) => {}
            Ok(None) if requests::satisfied(event).is_some() => {}
            Ok(None) => self.found.count_unknown(event),
            Err(error) => match error.source {
                PayloadError::Unknown => self.found.count_unknown(event),
                PayloadError::Malformed(error) => fault(FaultKind::Malformed(error.to_string())),
            },
        }
        self.found.events += 1;
        self.pass(event.position, on_fault);
    }

    fn unreadable(
        &mut self,
        position: Option<Position>,
        detail: String,
        on_fault: &mut (dyn FnMut(Fault) + Send),
    ) {
        if let Some(position) = position {
            self.pass(position, on_fault);
        }
        self.found.faults += 1;
        on_fault(Fault {
            position,
            stream: None,
            revision: None,
            kind: FaultKind::Unreadable(detail),
        });
    }

    /// Moves to a position; what it skips is missing.
    fn pass(&mut self, position: Position, on_fault: &mut (dyn FnMut(Fault) + Send)) {
        if self.contiguous && position > self.reached.next() {
            self.missing_until(Position::new(position.number() - 1), on_fault);
        }
        self.reached = self.reached.max(position);
    }

    /// Nothing is there up to a position.
    fn missing_until(&mut self, last: Position, on_fault: &mut (dyn FnMut(Fault) + Send)) {
        let next = self.reached.next();
        self.found.faults += 1;
        on_fault(Fault {
            position: Some(next),
            stream: None,
            revision: None,
            kind: FaultKind::Missing(last),
        });
        self.reached = last;
    }

    /// Nothing comes behind what was reached, though the head may say so.
    fn at_end(&mut self, head: Position, on_fault: &mut (dyn FnMut(Fault) + Send)) {
        if self.reached < head {
            self.pass(head.next(), on_fault);
        }
    }

    fn into_found(mut self) -> Verified {
        self.found.streams = self.streams.len() as u64;
        self.found
    }
}

impl Verified {
    fn count_unknown(&mut self, event: &RecordedEvent) {
        let name = format!("{} v{}", event.event_type, event.schema_version);
        let is_full = self.unknown.len() >= UNKNOWN_TYPES_MAX && !self.unknown.contains_key(&name);
        let name = if is_full {
            OTHER_TYPES.to_owned()
        } else {
            name
        };
        *self.unknown.entry(name).or_default() += 1;
    }
}
