//! What the end-to-end tests stand on: a real Firefly on a free port, clients of its surfaces, a git remote, a browser.
//!
//! Everything here cleans up after itself when dropped, also when a test fails: no process, container or network
//! outlives its test. Nothing waits for a fixed time; everything that waits has a deadline and says what for.
//!
//! Suggested reading order: [`Firefly`], [`Api`], [`Live`], [`Browser`], then the rest.

pub mod api;
pub mod browser;
pub mod client;
pub mod disk;
pub mod docker;
pub mod eventstoredb;
pub mod firefly;
pub mod follower;
pub mod git_server;
pub mod live;
pub mod messages;
pub mod npm;
pub mod packages;
pub mod postgres;
pub mod processes;
pub mod raw;
pub mod schemathesis;
pub mod waiting;

pub mod cached;
mod output;

pub use api::{Answer, Api};
pub use browser::Browser;
pub use firefly::{Firefly, Runtime, Settings};
pub use follower::{Follower, Transport};
pub use git_server::GitServer;
pub use live::Live;
pub use waiting::wait_for;
