//! The real binary from outside: over HTTP, on the live socket, on the command line and in a browser.
//!
//! Each test has a Firefly of its own on a free port and a temporary data directory. What runs projects must not
//! matter, so nearly all of them run on Docker and on child processes. Without a Docker engine half of them fail.

#![expect(
    clippy::unwrap_used,
    reason = "a test that meets the unexpected fails where it stands"
)]

/// Makes two tests of each function: one on Docker containers, one on child processes.
macro_rules! on_both_runtimes {
    ($($name:ident,)+) => {
        mod docker {
            $(#[tokio::test]
            async fn $name() {
                super::$name(firefly_tests::Runtime::Docker).await;
            })+
        }

        mod process {
            $(#[tokio::test]
            async fn $name() {
                super::$name(firefly_tests::Runtime::Process).await;
            })+
        }
    };
}

mod samples;
mod transcript;

mod bad_input;
mod client_package;
mod command_line;
mod console;
mod crashes;
mod disks;
mod documentation;
mod failures;
mod following;
mod history;
mod interruptions;
mod live;
mod opening;
mod preview_host;
mod projections;
mod replaying;
mod stopped;
mod takeover;
mod tidy;
mod workspaces;
