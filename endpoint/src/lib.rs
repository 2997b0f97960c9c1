//! Connections to project-servers.
//!
//! The gateway and the reactor both connect to them, over TCP on loopback or over a Unix socket in a directory that a
//! container writes to. What runs there is strangers' code, which may put anything in the socket's place, so this is
//! done in one room, once: [`connect`] goes through no link and opens nothing but a socket, and [`Connector`] lets
//! hyper's client do so, with a pool of connections for each endpoint.

mod connect;
mod connector;
mod stream;
mod unix;

pub use connect::{Error, connect};
pub use connector::{Connector, direct};
pub use stream::Stream;
