//! What a group of waiting appends comes to. Pure: engines bring the facts and write the rows.
//!
//! The requests of a group are decided one after the other, each on top of those before it, so a conflict or a reused
//! event id fails only its own request and the rest go into one transaction.

use std::collections::{HashMap, HashSet};

use firefly_domain::EventId;

use crate::event::{NewEvent, Position, Revision, StreamId};
use crate::store::{Append, Appended, Error, Expected};

/// Appends that are committed together.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) appends: Vec<Append>,
    /// Whether all of them fail with the first that does.
    pub(crate) whole: bool,
}

/// Where an event stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) stream: StreamId,
    pub(crate) revision: Revision,
    pub(crate) position: Position,
}

/// What the log says about the streams and the event ids of a group, looked up inside the transaction, or hoped and checked by
/// the database as it writes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// The position of the log's last event.
    pub(crate) head: Position,
    /// The last revision of each stream of the group that has one.
    pub(crate) revisions: HashMap<StreamId, Revision>,
    /// The places of those event ids of the group that are in the log already.
    pub(crate) places: HashMap<EventId, Place>,
}

/// The facts if every stream is as the first append to it expects, and the events that must be in the log then.
pub(crate) fn hoped(group: &Group, head: Position) -> (Facts, Vec<(&StreamId, Revision)>) {
    let mut facts = Facts {
        head,
        ..Facts::default()
    };
    let mut seen = HashSet::new();
    let mut before = Vec::new();
    for append in &group.appends {
        if seen.insert(&append.stream)
            && let Expected::Exact(revision) = append.expected
        {
            facts.revisions.insert(append.stream.clone(), revision);
            before.push((&append.stream, revision));
        }
    }
    (facts, before)
}

/// A row to be written.
#[derive(Clone, Debug)]
pub(crate) struct Row<'a> {
    pub(crate) position: Position,
    pub(crate) stream: &'a StreamId,
    pub(crate) revision: Revision,
    pub(crate) event: &'a NewEvent,
}

/// What to write, and what to tell each caller once it is durable.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) rows: Vec<Row<'a>>,
    pub(crate) outcomes: Vec<Result<Appended, Error>>,
    /// The position of the log's last event after it.
    pub(crate) head: Position,
}

/// The streams that facts are needed about.
pub(crate) fn streams(group: &Group) -> HashSet<&str> {
    group
        .appends
        .iter()
        .map(|append| append.stream.as_str())
        .collect()
}

/// The event ids that facts are needed about.
pub(crate) fn event_ids(group: &Group) -> impl Iterator<Item = EventId> {
    group
        .appends
        .iter()
        .flat_map(|append| &append.events)
        .map(|event| event.id)
}

/// Decides a group.
pub(crate) fn plan(group: &Group, facts: Facts) -> Plan<'_> {
    let head = facts.head;
    let mut planner = Planner {
        facts,
        rows: Vec::new(),
    };
    let decide = |append| planner.decide(append);
    let outcomes: Vec<_> = group.appends.iter().map(decide).collect();
    if group.whole && outcomes.iter().any(Result::is_err) {
        return Plan {
            rows: Vec::new(),
            outcomes,
            head,
        };
    }
    Plan {
        rows: planner.rows,
        outcomes,
        head: planner.facts.head,
    }
}

struct Planner<'a> {
    facts: Facts,
    rows: Vec<Row<'a>>,
}

impl<'a> Planner<'a> {
    fn decide(&mut self, append: &'a Append) -> Result<Appended, Error> {
        if let Some(first) = append
            .events
            .iter()
            .find(|event| self.facts.places.contains_key(&event.id))
        {
            return self
                .first_outcome(append)
                .ok_or(Error::EventIdTaken { id: first.id });
        }
        if let Some(twice) = repeated_id(&append.events) {
            return Err(Error::EventIdTaken { id: twice });
        }
        let current = self.facts.revisions.get(&append.stream).copied();
        if Expected::after(current) != append.expected {
            let (stream, expected) = (append.stream.clone(), append.expected);
            return Err(Error::Conflict {
                stream,
                expected,
                current,
            });
        }
        Ok(self.write(append, current))
    }

    fn write(&mut self, append: &'a Append, current: Option<Revision>) -> Appended {
        let mut revision = current;
        for event in &append.events {
            let next = revision.map_or(Revision::FIRST, Revision::next);
            let position = self.facts.head.next();
            let place = Place {
                stream: append.stream.clone(),
                revision: next,
                position,
            };
            self.facts.places.insert(event.id, place);
            self.rows.push(Row {
                position,
                stream: &append.stream,
                revision: next,
                event,
            });
            self.facts.head = position;
            revision = Some(next);
        }
        let revision = revision.expect("an append holds at least one event");
        self.facts.revisions.insert(append.stream.clone(), revision);
        Appended {
            revision,
            position: self.facts.head,
            repeated: false,
        }
    }

    /// Where the very same append ended up, if it happened before: all of its events, one behind the other, in its stream.
    fn first_outcome(&self, append: &Append) -> Option<Appended> {
        let mut places = append
            .events
            .iter()
            .map(|event| self.facts.places.get(&event.id));
        let mut last = places.next()??;
        if last.stream != append.stream {
            return None;
        }
        for place in places {
            let place = place?;
            if place.stream != append.stream || place.revision != last.revision.next() {
                return None;
            }
            last = place;
        }
        Some(Appended {
            revision: last.revision,
            position: last.position,
            repeated: true,
        })
    }
}

fn repeated_id(events: &[NewEvent]) -> Option<EventId> {
    let mut seen = HashSet::with_capacity(events.len());
    events
        .iter()
        .map(|event| event.id)
        .find(|id| !seen.insert(*id))
}
