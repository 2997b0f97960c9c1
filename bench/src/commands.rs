//! How long a command takes that changes nothing: HTTP, the token, loading the history and the decision.

use std::time::Instant;

use anyhow::Context;

use crate::project::{Project, millis};
use crate::samples::Table;

/// Requests of each command, one after the other on one connection.
const REQUESTS: usize = 500;

/// The commands of one project at one time.
pub struct Commands {
    /// The events that the project's history held.
    pub history: u32,
    /// The time of each command, in milliseconds.
    pub table: Table,
}

/// Opens an open project again and again, then closes it, and closes the closed one again and again.
pub async fn measure(project: &mut Project) -> anyhow::Result<Commands> {
    let mut table = Table::default();
    repeat(project, "open", &mut table).await?;
    project.close().await?;
    let history = repeat(project, "close", &mut table).await?;
    Ok(Commands { history, table })
}

/// Sends a command and returns how many events the project has.
async fn repeat(
    project: &Project,
    command: &'static str,
    table: &mut Table,
) -> anyhow::Result<u32> {
    let mut revision = None;
    for _ in 0..REQUESTS {
        let begun = Instant::now();
        let answer = project.send(command).await?;
        table.add(command, millis(begun.elapsed()));
        revision = answer["revision"].as_u64();
    }
    let revision = revision.context("the answer has no revision")?;
    // Revisions count from 0.
    u32::try_from(revision + 1).context("the history is longer than any run makes it")
}
