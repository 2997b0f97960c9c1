//! `firefly-bench-peers`: the load of `firefly-bench log --compare`, on event stores other than Firefly's.
//!
//! A workspace of its own, so that what these stores depend on stays out of Firefly's tree. `log --compare` alone builds it,
//! with the compiler of interfaces that UmaDB's client asks for; the tests of what it counts with (`figures.rs`,
//! `payload.rs`) run with those of `firefly-bench`, which takes these two files in. It prints one figure a line.

mod disintegrate;
mod figures;
mod load;
mod message_db;
mod payload;
mod postgres_es;
mod umadb;

use std::time::Duration;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use figures::Figures;
use load::Peer;

/// How long making the schema may take.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, Parser)]
#[command(name = "firefly-bench-peers", version, about)]
struct Args {
    /// The store to load.
    #[arg(long, value_enum)]
    peer: Name,
    /// Where its server is.
    #[arg(long)]
    url: String,
    /// What to do with it.
    #[arg(long, value_enum)]
    load: Load,
    /// How many writers append at the same time.
    #[arg(long, default_value_t = 1)]
    writers: usize,
    /// Connections at the most; further writers share them, as they would in a service.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Length of a timed load.
    #[arg(long, default_value_t = 5_000)]
    milliseconds: u64,
    /// Events that are added for reading, or read at the least.
    #[arg(long, default_value_t = 200_000)]
    events: usize,
    /// Appends a second while a subscriber's delay is measured.
    #[arg(long, default_value_t = 200)]
    rate: u32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Load {
    /// Append one event at a time.
    Append,
    /// Append, and see when a subscriber has it.
    Subscribe,
    /// Make the store long, for reading.
    Fill,
    /// Read everything.
    Read,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Name {
    Umadb,
    MessageDb,
    PostgresEs,
    Disintegrate,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let connections = match args.load {
        Load::Append => args.writers.min(args.connections).max(1),
        Load::Subscribe | Load::Fill | Load::Read => args.connections,
    };
    let opening = open(args.peer, &args.url, connections);
    let peer = tokio::time::timeout(PREPARE_TIMEOUT, opening)
        .await
        .context("the peer's server does not answer")??;
    let time = Duration::from_millis(args.milliseconds);
    let mut figures = Figures::default();
    match args.load {
        Load::Append => load::appends(&peer, args.writers, time, &mut figures).await?,
        Load::Subscribe => load::to_a_subscriber(&peer, args.rate, time, &mut figures).await?,
        Load::Fill => load::fill(&peer, args.events).await?,
        Load::Read => load::everything(&peer, args.events, &mut figures).await?,
    }
    figures.print();
    Ok(())
}

async fn open(name: Name, url: &str, connections: usize) -> anyhow::Result<Peer> {
    Ok(match name {
        Name::Umadb => umadb::open(url, connections).await?,
        Name::MessageDb => message_db::open(url, connections).await?,
        Name::PostgresEs => postgres_es::open(url, connections).await?,
        Name::Disintegrate => disintegrate::open(url, connections).await?,
    })
}

/// A pool as a service would have it, without the question before each use whether the connection still lives.
async fn pool(
    options: sqlx::postgres::PgConnectOptions,
    connections: usize,
) -> Result<sqlx::PgPool, sqlx::Error> {
    sqlx::postgres::PgPoolOptions::new()
        .max_connections(u32::try_from(connections).unwrap_or(u32::MAX))
        .test_before_acquire(false)
        .connect_with(options)
        .await
}
