//! The event log: the one truth of Firefly.
//!
//! [`store`] is the contract that every engine keeps; [`sqlite`] is the embedded one, [`postgres`] the one for a database
//! server, [`eventstoredb`] the one for EventStoreDB and KurrentDB, and [`open`](open::open) picks one by its URL. [`codec`]
//! turns domain events into what is stored and back. [`commands`] is the loop that every command goes through: load,
//! decide, append; [`handler`] remembers what it loaded. [`follow`](follow::follow) is how projections, the reactor and
//! live queries read on for ever. A [`Layer`] stands in front of a log. [`transfer`] takes whole logs out, in and apart.
//!
//! Two rules hold on every engine: an append is acknowledged only when it is durable, and every append names the
//! revision it expects. There is no way to append without one.

mod batch;
pub mod codec;
pub mod commands;
#[cfg(test)]
mod contract;
mod crash;
pub mod event;
pub mod eventstoredb;
pub mod follow;
mod gaps;
pub mod handler;
mod layer;
pub mod open;
pub mod postgres;
pub mod sqlite;
pub mod store;
mod stored;
pub mod transfer;
mod writer;

pub use codec::{DecodeError, DomainEvent, Wire};
pub use commands::{CommandError, Context, Handled, handle};
pub use event::{Idempotency, Metadata, NewEvent, Position, RecordedEvent, Revision, StreamId};
pub use follow::follow;
pub use handler::CommandHandler;
pub use layer::Layer;
pub use open::open;
pub use store::{Append, Appended, Error, EventStore, Expected};
