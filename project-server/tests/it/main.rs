//! The project-server over real HTTP, with real repositories, npm and child processes.

#![expect(
    clippy::unwrap_used,
    reason = "a test that meets the unexpected fails where it stands"
)]

mod control;
mod egress;
mod ending;
#[path = "../../../tests/support/git_server.rs"]
mod git_server;
mod npm;
mod opening;
mod pages;
mod previews;
mod sockets;
mod support;
mod trouble;
mod unsaved;
