//! `firefly-bench`: measures the real program from outside, as its users meet it.
//!
//! Every number is of the release build that lies beside this one, with a data directory of its own. PERFORMANCE.md
//! holds the tables of a full run.

mod backend;
mod bare;
mod client;
mod commands;
mod engine;
mod live;
mod memory;
mod open;
mod project;
mod report;
mod samples;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "firefly-bench", version, about, disable_help_subcommand = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Open the starter template again and again, on Docker and on local processes.
    Open(open::Args),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::Open(args) => open::run(&args).await,
    }
}
