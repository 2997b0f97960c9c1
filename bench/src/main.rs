//! `firefly-bench`: measures the real program from outside, as its users meet it.
//!
//! Every number is of the release build that lies beside this one, with a data directory of its own. PERFORMANCE.md
//! holds the tables of a full run.

mod backend;
mod bare;
mod client;
mod commands;
mod containers;
mod descriptors;
mod engine;
mod live;
mod log;
mod memory;
mod open;
#[path = "../../tests/support/postgres.rs"]
mod postgres;
mod project;
mod projections;
mod report;
mod samples;
mod soak;
mod subscribers;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "firefly-bench", version, about, disable_help_subcommand = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Get, wake, stop and lose containers, next to the bare engine.
    Containers(containers::Args),
    /// Open the starter template again and again, on Docker and on local processes.
    Open(open::Args),
    /// Project a log, follow it live, and rebuild beside that.
    Projections(projections::Args),
    /// Send changes to thousands of subscribers.
    Live(subscribers::Args),
    /// The bare server that `live` is compared with.
    #[command(hide = true)]
    LiveFloor,
    /// Append to the event log and read it, on one engine.
    Log(log::Args),
    /// Kill what works on a log, again and again, and check that nothing acknowledged is lost.
    Soak(soak::Args),
    /// The process that `soak` kills.
    #[command(hide = true)]
    SoakWriter(soak::WriterArgs),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::Containers(args) => containers::run(&args).await,
        Command::Open(args) => open::run(&args).await,
        Command::Live(args) => subscribers::run(&args).await,
        Command::LiveFloor => subscribers::floor::serve().await,
        Command::Log(args) => log::run(&args).await,
        Command::Projections(args) => projections::run(&args).await,
        Command::Soak(args) => soak::run(&args).await,
        Command::SoakWriter(args) => soak::write(&args).await,
    }
}
