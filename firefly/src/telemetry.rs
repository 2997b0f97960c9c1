//! Where log lines go: standard error, so that standard output stays with what was asked for.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::EnvFilter;

/// Sets logging up, for people or as JSON.
pub fn init(filter: &str, json: bool) -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_new(filter).with_context(|| format!("{filter:?} is no log filter"))?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        // It would be told on standard error, which is what failed, and end the task that logs.
        .log_internal_errors(false);
    if json {
        subscriber.json().init()
    } else {
        subscriber.init()
    }
    Ok(())
}
