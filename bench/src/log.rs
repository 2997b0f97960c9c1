//! `firefly-bench log`: what the event log does on this disk, next to the disk's and the engine's own limits.
//!
//! The log is opened in this process, as the roles of Firefly open it; commands go over HTTP to the real command API.

mod appends;
mod commands;
mod compare;
mod floor;
mod growth;
mod plot;
mod reads;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use firefly_domain::{Actor, EventId};
use firefly_event_store::{EventStore, Metadata, NewEvent, StreamId};
use serde_json::json;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::memory;
use crate::postgres::Postgres;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The engine to measure.
    #[arg(long, value_enum, default_value_t = Engine::Sqlite)]
    engine: Engine,
    /// The EventStoreDB server, as esdb://USER:PASSWORD@HOST; events are appended to what it has.
    #[arg(
        long,
        value_name = "URL",
        env = "FIREFLY_TEST_EVENTSTOREDB",
        hide_env_values = true,
        required_if_eq("engine", "eventstoredb")
    )]
    url: Option<String>,
    /// Shorter loads, done within 50 seconds.
    #[arg(long)]
    quick: bool,
    /// Print one JSON object for each figure instead of a table.
    #[arg(long)]
    json: bool,
    /// Load other event stores as well, beside both engines.
    #[arg(long, conflicts_with_all = ["engine", "growth"])]
    compare: bool,
    /// Measure what an append costs while the log grows.
    #[arg(long)]
    growth: bool,
    /// How long the log grows.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10_000_000,
        requires = "growth"
    )]
    events: usize,
    /// Draw the growth into a file.
    #[arg(long, value_name = "FILE", requires = "growth")]
    svg: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Engine {
    Sqlite,
    Postgres,
    #[value(name = "eventstoredb")]
    EventStoreDb,
}

impl Engine {
    const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
            Self::EventStoreDb => "EventStoreDB",
        }
    }

    /// Appends a second while a subscriber's delay is measured: one writer must keep up, and each of its appends to
    /// EventStoreDB is two calls that may take 40 ms.
    const fn subscribed_rate(self) -> u32 {
        match self {
            Self::Sqlite | Self::Postgres => 1_000,
            Self::EventStoreDb => 10,
        }
    }
}

/// Flushes of a page that are timed.
const FLUSHES: usize = 1_000;

/// How much of each load there is.
#[derive(Clone, Copy, Debug)]
struct Size {
    /// Seconds of each timed load.
    seconds: u64,
    /// Events that are read through.
    read_events: usize,
    /// Lengths of the streams that are folded.
    folds: &'static [usize],
}

const FULL: Size = Size {
    seconds: 5,
    read_events: 1_000_000,
    folds: &[10, 1_000, 100_000],
};

const QUICK: Size = Size {
    seconds: 1,
    read_events: 100_000,
    folds: &[10, 1_000, 10_000],
};

/// One call of a server's client may take 40 ms, whatever the server, and a page of events is several.
const QUICK_EVENTSTOREDB: Size = Size {
    seconds: 1,
    read_events: 10_000,
    folds: &[10, 1_000],
};

/// The figures in the order in which they were measured.
#[derive(Debug, Default)]
pub struct Figures(Vec<(String, f64, &'static str)>);

impl Figures {
    pub fn add(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.0.push((name.into(), value, unit));
    }

    /// The middle and the tail of latencies, given in milliseconds; the p99 is given back.
    pub fn latencies(&mut self, name: &str, mut values: Vec<f64>) -> f64 {
        values.sort_by(f64::total_cmp);
        let mut p99 = f64::NAN;
        for (percentile, share) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)] {
            let rank = ((values.len() as f64 * share).ceil() as usize).max(1);
            let value = values.get(rank - 1).copied().unwrap_or(f64::NAN);
            self.add(format!("{name} {percentile}"), value, "ms");
            if percentile == "p99" {
                p99 = value;
            }
        }
        p99
    }

    pub fn print(&self, json: bool) {
        if !json {
            println!("| figure | value | unit |\n|---|--:|---|");
        }
        for (name, value, unit) in &self.0 {
            let value = (value * 1_000.0).round() / 1_000.0;
            if json {
                println!("{}", json!({"name": name, "value": value, "unit": unit}));
            } else {
                println!("| {name} | {value} | {unit} |");
            }
        }
    }
}

/// Measures what was asked for and prints it.
pub async fn run(args: &Args) -> anyhow::Result<()> {
    if args.compare {
        return compare::run(args.quick, args.json).await;
    }
    let size = match (args.quick, args.engine) {
        (false, _) => FULL,
        (true, Engine::EventStoreDb) => QUICK_EVENTSTOREDB,
        (true, _) => QUICK,
    };
    let home = tempfile::tempdir().context("cannot make a directory for the log")?;
    let server = (args.engine == Engine::Postgres).then(Postgres::start);
    let url = |name: &str| match (&server, args.engine, &args.url) {
        (Some(server), ..) => server.url(),
        (None, Engine::EventStoreDb, Some(url)) => url.clone(),
        _ => format!("sqlite:{}", home.path().join(name).display()),
    };
    if args.growth {
        ensure!(
            args.engine != Engine::EventStoreDb,
            "how much a server of others holds is not known, so its growth is not measured"
        );
        let log = growth::Log {
            engine: args.engine,
            url: url("events.db"),
        };
        return growth::run(&log, args).await;
    }
    let mut figures = Figures::default();
    floor::disk(home.path(), FLUSHES, &mut figures)?;
    match (&server, args.engine) {
        (Some(server), _) => floor::postgres(&server.url(), size, &mut figures).await?,
        (None, Engine::EventStoreDb) => {}
        (None, _) => floor::sqlite(home.path(), size, &mut figures)?,
    }
    let store = firefly_event_store::open(&url("events.db")).await?;
    appends::single_events(&store, size.seconds, &mut figures).await?;
    appends::batches(&store, size.seconds, &mut figures).await?;
    commands::measure(&store, size, &mut figures).await?;
    let time = Duration::from_secs(size.seconds);
    appends::to_a_subscriber(&store, args.engine.subscribed_rate(), time, &mut figures).await?;
    if args.engine == Engine::EventStoreDb {
        // Its positions do not count events.
        reads::append(&store, size.read_events).await?;
    } else {
        reads::fill(&store, size.read_events).await?;
    }
    reads::everything(&store, size.read_events, &mut figures).await?;
    reads::folds(&store, size, &mut figures).await?;
    figures.add("memory at the peak", memory::peak_megabytes()?, "MB");
    figures.print(args.json);
    Ok(())
}

type Store = Arc<dyn EventStore>;

/// An event of 256 bytes.
fn event() -> NewEvent {
    let (head, tail) = (r#"{"amount":4711,"currency":"EUR","note":""#, r#""}"#);
    let data = format!("{head}{}{tail}", "x".repeat(256 - head.len() - tail.len()));
    NewEvent {
        id: EventId::from_uuid(Uuid::now_v7()),
        event_type: "SomethingMeasured".into(),
        schema_version: 1,
        data: RawValue::from_string(data).expect("the payload is JSON"),
        metadata: Metadata {
            actor: Actor::System("bench".into()),
            correlation_id: Uuid::new_v4(),
            causation_id: None,
            traceparent: None,
            idempotency: None,
        },
        recorded_at: None,
    }
}

fn a_stream() -> StreamId {
    StreamId::of("measured", &Uuid::new_v4())
}
