//! What projects may reach, and a read-through cache of npm's registry.
//!
//! Projects run strangers' code, so their containers have no network. The one way out is a socket that Firefly owns
//! ([`socket`]), and on it three things are served ([`Egress`]):
//!
//! - `CONNECT`, for TLS and everything else that a tunnel carries;
//! - requests with a whole `http://` URL, passed on;
//! - the packages of npm's registry, below `/npm/`, from a cache that all projects share.
//!
//! What may be reached is decided by [`Rules`], from the name before it is looked up and from the address that is then
//! connected to.

mod answer;
mod config;
mod dial;
mod egress;
mod forward;
pub mod measure;
mod npm;
mod policy;
mod server;
pub mod socket;
mod store;
mod target;
mod tunnel;

pub use config::{Config, Limits, NPM_REGISTRY, NotAProxy, NotARegistry, Registry, UpstreamProxy};
pub use dial::{Resolver, SystemResolver};
pub use egress::{Egress, Error};
pub use policy::{Allow, Kind, NotAPolicy, NotAllowable, Pattern, Policy, Refusal, Rules, kind};
pub use server::{AcceptError, Listener};
pub use target::{Host, NotAHost, Target};
