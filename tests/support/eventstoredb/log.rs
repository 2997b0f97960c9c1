//! The stand-in's events, in memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::messages::{
    AppendResult, Current, Empty, Expected, Position, Proposed, Recorded, StreamIdentifier,
    Structured, Success, Uuid, UuidValue, WrongExpected, WrongExpectedVersion,
};

/// Where the first event stands: behind what a new database writes for itself.
const FIRST_POSITION: u64 = 3_217;

/// An event of the server's own is written with every so many appends.
const STATISTICS_EVERY: u64 = 7;

/// An event as it is kept.
pub struct Event {
    id: (u64, u64),
    stream: Arc<str>,
    revision: u64,
    pub position: u64,
    event_type: String,
    custom_metadata: Vec<u8>,
    data: Vec<u8>,
    ticks: u128,
}

impl Event {
    /// Whether it is of the server's own.
    pub fn is_system(&self) -> bool {
        self.event_type.starts_with('$')
    }

    /// As the protocol has it.
    pub fn to_message(&self) -> Recorded {
        let text = |text: &str| text.to_owned();
        Recorded {
            id: Some(Uuid {
                value: Some(UuidValue::Structured(Structured {
                    most_significant_bits: self.id.0.cast_signed(),
                    least_significant_bits: self.id.1.cast_signed(),
                })),
            }),
            stream_identifier: Some(StreamIdentifier {
                stream_name: self.stream.as_bytes().to_vec(),
            }),
            stream_revision: self.revision,
            prepare_position: self.position,
            commit_position: self.position,
            metadata: HashMap::from([
                (text("type"), self.event_type.clone()),
                (text("content-type"), text("application/json")),
                (text("created"), self.ticks.to_string()),
            ]),
            custom_metadata: self.custom_metadata.clone(),
            data: self.data.clone(),
        }
    }
}

/// All events, in their order.
pub struct Log {
    events: Vec<Event>,
    /// The places of each stream's events among all.
    streams: HashMap<Arc<str>, Vec<usize>>,
    next_position: u64,
    appends: u64,
}

impl Log {
    pub fn new() -> Self {
        let mut log = Self {
            events: Vec::new(),
            streams: HashMap::new(),
            next_position: FIRST_POSITION,
            appends: 0,
        };
        log.write_own("$settings");
        log
    }

    /// Appends, or says why not.
    pub fn append(
        &mut self,
        stream: &str,
        expected: Expected,
        events: Vec<Proposed>,
    ) -> AppendResult {
        let length = self.streams.get(stream).map_or(0, Vec::len) as u64;
        let wanted = match expected {
            Expected::Revision(revision) => Some(revision + 1),
            Expected::NoStream(_) => Some(0),
            Expected::Any(_) | Expected::StreamExists(_) => None,
        };
        let missing = matches!(expected, Expected::StreamExists(_)) && length == 0;
        if missing || wanted.is_some_and(|wanted| wanted != length) {
            let first = wanted.unwrap_or(0);
            return match self.repeated(stream, first, &events) {
                Some(last) => self.success(last),
                None => wrong(expected, length),
            };
        }
        for event in events {
            self.push(
                stream,
                id(event.id.as_ref()),
                event.metadata,
                event.custom_metadata,
                event.data,
            );
        }
        self.appends += 1;
        let last = self.events.len() - 1;
        if self.appends.is_multiple_of(STATISTICS_EVERY) {
            self.write_own("$stats-127.0.0.1:2113");
        }
        self.success(last)
    }

    /// The place of the last of these events, if just they stand in the stream from there on.
    fn repeated(&self, stream: &str, first: u64, events: &[Proposed]) -> Option<usize> {
        let places = self
            .streams
            .get(stream)?
            .get(usize::try_from(first).ok()?..)?;
        let same = events.len() <= places.len()
            && places
                .iter()
                .zip(events)
                .all(|(place, event)| self.events[*place].id == id(event.id.as_ref()));
        same.then(|| places[events.len() - 1])
    }

    fn success(&self, last: usize) -> AppendResult {
        let event = &self.events[last];
        AppendResult::Success(Success {
            current_revision: Some(event.revision),
            position: Some(Position {
                commit_position: event.position,
                prepare_position: event.position,
            }),
        })
    }

    fn push(
        &mut self,
        stream: &str,
        id: (u64, u64),
        mut metadata: HashMap<String, String>,
        custom_metadata: Vec<u8>,
        data: Vec<u8>,
    ) {
        let name = match self.streams.get_key_value(stream) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(stream),
        };
        let places = self.streams.entry(Arc::clone(&name)).or_default();
        let revision = places.len() as u64;
        places.push(self.events.len());
        let position = self.next_position;
        // About what a record takes in the server's files.
        self.next_position += (data.len() + custom_metadata.len() + stream.len() + 120) as u64;
        let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        self.events.push(Event {
            id,
            stream: name,
            revision,
            position,
            event_type: metadata.remove("type").unwrap_or_default(),
            custom_metadata,
            data,
            ticks: since_1970.as_nanos() / 100,
        });
    }

    fn write_own(&mut self, stream: &str) {
        let metadata = HashMap::from([("type".to_owned(), "$statsCollected".to_owned())]);
        let id = (0, self.next_position);
        self.push(stream, id, metadata, Vec::new(), b"{}".to_vec());
    }

    pub fn write_foreign(
        &mut self,
        stream: &str,
        event_type: &str,
        custom_metadata: &str,
        data: &str,
    ) {
        let metadata = HashMap::from([("type".to_owned(), event_type.to_owned())]);
        let id = (1, self.next_position);
        let custom = custom_metadata.as_bytes().to_vec();
        self.push(stream, id, metadata, custom, data.as_bytes().to_vec());
    }

    /// Whether a stream has any event.
    pub fn has(&self, stream: &str) -> bool {
        self.streams.contains_key(stream)
    }

    /// A stream's events from a revision on.
    pub fn stream(&self, stream: &str, from: u64, count: u64) -> Vec<&Event> {
        let places = self.streams.get(stream).map_or(&[][..], Vec::as_slice);
        let from = usize::try_from(from)
            .unwrap_or(usize::MAX)
            .min(places.len());
        let events = places[from..].iter().map(|place| &self.events[*place]);
        events
            .take(usize::try_from(count).unwrap_or(usize::MAX))
            .collect()
    }

    /// A stream's events from a revision, or its last, down.
    pub fn stream_back(&self, stream: &str, from: Option<u64>, count: u64) -> Vec<&Event> {
        let places = self.streams.get(stream).map_or(&[][..], Vec::as_slice);
        let end = from.map_or(places.len(), |from| {
            usize::try_from(from)
                .unwrap_or(usize::MAX)
                .saturating_add(1)
                .min(places.len())
        });
        let events = places[..end].iter().rev().map(|place| &self.events[*place]);
        events
            .take(usize::try_from(count).unwrap_or(usize::MAX))
            .collect()
    }

    /// Whether a read can begin at a position: a record does, or the next one will.
    pub fn is_place(&self, position: u64) -> bool {
        let at = |event: &Event| event.position.cmp(&position);
        position == 0 || position == self.next_position || self.events.binary_search_by(at).is_ok()
    }

    /// All events from a position on, which itself is the first.
    pub fn all(&self, from: u64) -> impl Iterator<Item = &Event> {
        let from = self.events.partition_point(|event| event.position < from);
        self.events[from..].iter()
    }

    /// All events before a position, or before the end, newest first.
    pub fn all_back(&self, before: Option<u64>) -> impl Iterator<Item = &Event> {
        let before = before.unwrap_or(u64::MAX);
        let end = self.events.partition_point(|event| event.position < before);
        self.events[..end].iter().rev()
    }
}

fn wrong(expected: Expected, length: u64) -> AppendResult {
    AppendResult::WrongExpectedVersion(WrongExpectedVersion {
        current: Some(match length.checked_sub(1) {
            Some(revision) => Current::Revision(revision),
            None => Current::NoStream(Empty {}),
        }),
        expected: Some(match expected {
            Expected::Revision(revision) => WrongExpected::Revision(revision),
            Expected::NoStream(empty) => WrongExpected::NoStream(empty),
            Expected::Any(empty) => WrongExpected::Any(empty),
            Expected::StreamExists(empty) => WrongExpected::StreamExists(empty),
        }),
    })
}

fn id(id: Option<&Uuid>) -> (u64, u64) {
    match id.and_then(|id| id.value.as_ref()) {
        Some(UuidValue::Structured(bits)) => (
            bits.most_significant_bits.cast_unsigned(),
            bits.least_significant_bits.cast_unsigned(),
        ),
        Some(UuidValue::Text(text)) => text.parse::<uuid::Uuid>().unwrap_or_default().as_u64_pair(),
        None => (0, 0),
    }
}
