//! `firefly-bench-peers`: the load of `firefly-bench log --compare`, on event stores other than Firefly's.
//!
//! A workspace of its own, so that what these stores depend on stays out of Firefly's tree. It prints one figure a line.

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
    /// How many writers append at the same time, one load after the other.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 32, 128])]
    writers: Vec<usize>,
    /// Connections at the most; further writers share them, as they would in a service.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Seconds of each timed load.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Events that are read through, at the least.
    #[arg(long, default_value_t = 200_000)]
    read_events: usize,
    /// Appends a second while a subscriber's delay is measured.
    #[arg(long, default_value_t = 200)]
    subscribed_rate: u32,
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
    let most = args.writers.iter().copied().max().unwrap_or(1);
    let opening = open(args.peer, &args.url, most.min(args.connections).max(1));
    let peer = tokio::time::timeout(PREPARE_TIMEOUT, opening)
        .await
        .context("the peer's server does not answer")??;
    let mut figures = Figures::default();
    for writers in &args.writers {
        load::appends(&peer, *writers, args.seconds, &mut figures).await?;
    }
    load::to_a_subscriber(&peer, args.subscribed_rate, args.seconds, &mut figures).await?;
    load::everything(&peer, args.read_events, &mut figures).await?;
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
