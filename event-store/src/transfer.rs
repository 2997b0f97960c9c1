//! Whole logs: out to a file, in again, from one engine to another, and looked at event by event.
//!
//! [`lines`] has the two formats, pure; [`export`](export::export), [`import`](import::import), [`copy`](copy::copy) and
//! [`verify`](verify::verify) read and append through the store's contract alone, so they work on every engine. [`file`]
//! keeps what is written from ever being half a file, and [`about`] tells what a log is without making one.
//!
//! An event keeps its id, its place in its stream, its time and its metadata wherever it goes, and events keep their
//! order. At most two pages are held at a time. Everything may be interrupted and begun again: what is there already is
//! recognised by its id.

pub mod about;
pub mod copy;
pub mod export;
pub mod file;
pub mod import;
pub mod lines;
#[cfg(test)]
mod tests;
pub mod verify;

use std::io;

use crate::event::{Position, Revision, StreamId};
use crate::store::{self, Append, EventStore, Expected};

/// Events that are read, and then appended, at a time.
pub const PAGE_EVENTS: usize = store::EVENTS_PER_APPEND_MAX;

/// Bytes that the payloads of events may have together to become one append. Half of what a server is told to take, so that
/// the rest of the events has room as well.
const APPEND_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Appends a page of another log; what is durable when it fails is a beginning of it.
async fn append(store: &dyn EventStore, page: Vec<lines::Line>) -> Result<(), Error> {
    let appended = store.append_in_order(appends(page)).await;
    appended.map_err(Which::Target.failed())
}

/// Events that follow each other in a stream, together as far as their size allows.
fn appends(page: Vec<lines::Line>) -> Vec<Append> {
    let mut appends: Vec<Append> = Vec::new();
    let mut bytes = 0;
    for line in page {
        let more = line.event.data.get().len();
        match appends.last_mut() {
            Some(append) if append.stream == line.stream && bytes + more <= APPEND_BYTES_MAX => {
                append.events.push(line.event);
                bytes += more;
            }
            _ => {
                bytes = more;
                let before = line.revision.number().checked_sub(1);
                appends.push(Append {
                    stream: line.stream,
                    expected: Expected::after(before.map(Revision::new)),
                    events: vec![line.event],
                });
            }
        }
    }
    appends
}

/// Why a log was not transferred as a whole.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A log failed.
    #[error("the {which} log failed")]
    Log {
        /// Which of two.
        which: Which,
        /// How.
        #[source]
        source: store::Error,
    },
    /// What is exported has no place to go.
    #[error("the lines cannot be written")]
    Write(#[source] io::Error),
    /// What is to be imported cannot be read.
    #[error("the lines cannot be read")]
    Read(#[source] io::Error),
    /// A line was refused, and with it all behind it.
    #[error("line {number} is refused")]
    Line {
        /// Counted from 1.
        number: u64,
        /// Why.
        #[source]
        reason: Refusal,
    },
    /// The target holds something else than the beginning of the source.
    #[error(
        "the target is not the beginning of the source: its event at position {position} is another; \
         copy into an empty log"
    )]
    NotAPrefix {
        /// Where the target differs first.
        position: Position,
    },
    /// Both logs were compared after a copy.
    #[error(
        "the logs differ after the copy: they agree up to the source's position {agreed}, and {copied} was copied"
    )]
    Incomplete {
        /// The last position of the source that the target has.
        agreed: Position,
        /// The last position of the source that was copied.
        copied: Position,
    },
}

/// One of the logs of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one that is read.
    Source,
    /// The one that is appended to.
    Target,
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Target => "target",
        })
    }
}

impl Which {
    pub(crate) const fn failed(self) -> impl Fn(store::Error) -> Error {
        move |source| Error::Log {
            which: self,
            source,
        }
    }
}

/// Why a line is not imported.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It is no event.
    #[error("it is no event of the format")]
    Unreadable(#[source] lines::LineError),
    /// It has no end.
    #[error("it has more than {} bytes", lines::LINE_BYTES_MAX)]
    TooLong,
    /// Its id is in the log, at another place.
    #[error("its id is in the log already, as that of an event elsewhere")]
    IdTaken,
    /// Its stream is elsewhere.
    #[error("stream {stream} goes on at revision {next}, not at {revision}")]
    Revision {
        /// The stream.
        stream: StreamId,
        /// The revision that its next event has.
        next: u64,
        /// The revision that the line has.
        revision: u64,
    },
    /// It would stand behind an event that was recorded after it.
    #[error(
        "it was recorded before the event that it would come behind; a log is in the order of its times"
    )]
    OutOfTime,
}

/// How far a transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// Events dealt with in this phase.
    pub events: u64,
    /// The last position of the source that was dealt with.
    pub position: Position,
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// What the target has is compared with the source.
    Compare,
    /// Events are written.
    Write,
    /// Everything is compared at the end.
    Verify,
}

impl Phase {
    /// Its name, for people and programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Compare => "compare",
            Self::Write => "write",
            Self::Verify => "verify",
        }
    }
}

/// Whoever wants to know how far it is.
pub type Observer<'a> = dyn FnMut(Progress) + Send + 'a;
