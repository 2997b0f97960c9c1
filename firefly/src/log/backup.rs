//! A SQLite log as a file, and back. Other engines have tools of their own.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use firefly_event_store::sqlite::backup;
use firefly_event_store::transfer::about::Engine;
use serde_json::json;

use crate::args::log::{Backup, EventLog, Restore};
use crate::client::count;
use crate::output;

pub async fn backup(args: Backup) -> anyhow::Result<ExitCode> {
    let path = sqlite(&args.log, "pg_dump backs it up", "`firefly log export`")?;
    super::must_be_there(&path)?;
    let making = async { Ok(backup::backup(&path, &args.file).await?) };
    let made = super::unless_interrupted(making).await?;
    told("backed-up", made, &args.file, args.log.json)
}

pub async fn restore(args: Restore) -> anyhow::Result<ExitCode> {
    let path = sqlite(&args.log, "pg_restore restores it", "`firefly log import`")?;
    super::must_be_there(&args.file)?;
    let making = async { Ok(backup::restore(&args.file, &path).await?) };
    let made = super::unless_interrupted(making).await?;
    told("restored", made, &path, args.log.json)
}

fn told(what: &str, made: backup::Copy, file: &Path, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        output::json(
            &json!({"type": what, "events": made.events, "position": made.head, "file": file}),
        )?;
    } else {
        output::line(&format!(
            "{} has {}, up to position {}; all of them were read",
            file.display(),
            count(made.events, "event"),
            made.head
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The file of the log, if it is one.
fn sqlite(log: &EventLog, postgres: &str, lines: &str) -> anyhow::Result<PathBuf> {
    match Engine::of(&super::url(log)?) {
        Engine::Sqlite(path) => Ok(path),
        Engine::Postgres => {
            bail!(
                "this is for SQLite logs; the log is in PostgreSQL, where {postgres}, or use {lines}"
            )
        }
        Engine::EventStoreDb | Engine::Other(_) => {
            bail!("this is for SQLite logs; use {lines} for others")
        }
    }
}
