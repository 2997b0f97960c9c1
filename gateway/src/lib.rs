//! The one public port.
//!
//! Everything a browser or a program asks of Firefly comes in here: the app host answers with the console and the
//! API, the project host with previews out of the projects' containers. The gateway decides who is meant, refuses
//! what no one should be asked (foreign hosts, foreign origins, endless bodies), and passes the rest on. It keeps no
//! state of its own; where a project's container is, [`ProjectLookup`] tells it.
//!
//! Suggested reading order: [`Config`] and [`Parts`] go in, `host` and `origin` decide, `site` answers, `preview`
//! reaches the containers, and [`Gateway`] holds the listener and the connections.

mod activity;
mod config;
mod console;
mod gateway;
mod headers;
mod host;
pub mod measure;
mod origin;
mod page;
mod preview;
mod server;
mod site;
#[cfg(test)]
mod tests;

pub use activity::Activity;
pub use config::{Config, Limits};
pub use gateway::{Gateway, Parts, bare, build};
pub use preview::{Preview, ProjectLookup};
pub use server::Error;
