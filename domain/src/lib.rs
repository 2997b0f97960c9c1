//! What Firefly decides, and nothing else.
//!
//! Every rule of the system lives here as a pure function over plain data: no IO, no clock, no randomness, no
//! `async`. What a decision needs from outside (the time, a new id, a looked-up fact) travels inside the command.
//! That is why replaying a log gives the same state for ever, and why these tests need nothing but the compiler.
//!
//! Suggested reading order: [`id`] and [`project_key`] name things, [`source`] says where a project comes from,
//! [`project`], [`session`], [`projection`] and [`lease`] are the aggregates, [`control`] is the contract with the program in a container.

pub mod aggregate;
pub mod control;
pub mod endpoint;
pub mod failure;
pub mod id;
pub mod lease;
pub mod project;
pub mod project_key;
pub mod projection;
pub mod session;
pub mod source;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod wire_names;

pub use aggregate::{Actor, Aggregate};
pub use endpoint::{Address, Endpoint};
pub use failure::{Failure, FailureCode, Step};
pub use id::{ContainerId, EventId, Generation, ProjectId, SessionId};
pub use lease::Lease;
pub use project::Project;
pub use project_key::{ProjectKey, Segment};
pub use projection::Projection;
pub use session::Session;
pub use source::{Branch, GitUrl, Source};
