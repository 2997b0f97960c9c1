//! `firefly log`: works on an event log itself, also beside a Firefly that runs on it.
//!
//! The work is done by `firefly_event_store`; here are the files, the progress and the words.

mod backup;
mod copy;
mod export;
mod import;
mod info;
mod progress;
mod read;
mod show;
mod verify;

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, absolute};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use firefly_event_store::EventStore;
use firefly_event_store::open::OpenError;
use firefly_event_store::sqlite::SqliteEventStore;
use firefly_event_store::transfer::about::Engine;

use crate::args::log::{EventLog, Log};

pub use progress::Shown;
pub use verify::structure;

/// The log of a data directory.
const FILE: &str = "events.db";

/// Only the owner reads and writes.
const PRIVATE_MODE: u32 = 0o600;

pub fn main(log: Log) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start")?
        .block_on(run(log))
}

async fn run(log: Log) -> anyhow::Result<ExitCode> {
    match log {
        Log::Info(log) => info::run(log).await,
        Log::Read(read) => read::read(read).await,
        Log::Tail(tail) => read::tail(tail).await,
        Log::Export(export) => export::run(export).await,
        Log::Import(import) => import::run(import).await,
        Log::Copy(copy) => copy::run(copy).await,
        Log::Verify(log) => verify::run(log).await,
        Log::Backup(backup) => backup::backup(backup).await,
        Log::Restore(restore) => backup::restore(restore).await,
    }
}

/// The log's URL, as `firefly up` picks it.
pub fn url(log: &EventLog) -> anyhow::Result<String> {
    if let Some(url) = &log.event_log {
        return Ok(url.clone());
    }
    let path = absolute(log.data_dir.join(FILE)).context("cannot tell the working directory")?;
    Ok(format!("sqlite:{}", path.display()))
}

/// Opens a log that is there. Looking at one must not make one, and nothing is answered from a damaged one: a SQLite file is
/// looked through first, also where `firefly up` would begin meanwhile.
async fn open(url: &str) -> anyhow::Result<Arc<dyn EventStore>> {
    let Engine::Sqlite(path) = Engine::of(url) else {
        return Ok(firefly_event_store::open(url).await?);
    };
    must_be_there(&path)?;
    let store = SqliteEventStore::open_examined(&path).await;
    Ok(Arc::new(store.map_err(OpenError::Engine)?))
}

/// Opens a log to say what is wrong with it, though its file may be damaged.
pub async fn open_damaged(url: &str) -> anyhow::Result<Arc<dyn EventStore>> {
    let Engine::Sqlite(path) = Engine::of(url) else {
        return open(url).await;
    };
    must_be_there(&path)?;
    let store = SqliteEventStore::open_unexamined(&path).await;
    Ok(Arc::new(store.map_err(OpenError::Engine)?))
}

/// Opens a log, making one that its owner alone reads if there is none.
async fn open_or_make(url: &str) -> anyhow::Result<Arc<dyn EventStore>> {
    if let Engine::Sqlite(path) = Engine::of(url) {
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(PRIVATE_MODE)
            .open(&path);
        match made {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("cannot make {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(firefly_event_store::open(url).await?)
}

fn must_be_there(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    if path
        .try_exists()
        .with_context(|| format!("cannot look for {shown}"))?
    {
        return Ok(());
    }
    bail!("there is no event log at {shown}")
}

/// Makes a file, unless that is interrupted; then what there is of it is removed.
pub async fn unless_interrupted<T>(
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    tokio::select! {
        done = work => done,
        signal = tokio::signal::ctrl_c() => {
            signal.context("cannot listen for signals")?;
            bail!("interrupted; no file was made")
        }
    }
}
