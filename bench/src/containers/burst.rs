//! Many projects that are opened at once, and what that does to everybody else.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::json;
use tokio::time::sleep;

use super::{say, stop};
use crate::backend::{Backend, Runtime};
use crate::client::Client;
use crate::live::Live;
use crate::project::millis;
use crate::samples::{Samples, Table};

/// How often somebody else asks for something.
const COMMAND_INTERVAL: Duration = Duration::from_millis(20);

const COMMAND: &str = "command";

pub struct Burst {
    pub projects: usize,
    /// Milliseconds from the first command until the last project was ready.
    pub all_ready: f64,
    /// What others waited for answers to their commands meanwhile.
    pub commands: Samples,
}

/// Opens so many small projects at once.
pub async fn open(program: &Path, data: &Path, projects: usize) -> anyhow::Result<Burst> {
    let sources = tempfile::tempdir()?;
    let backend = Backend::start_with(program, Runtime::Docker, data, &["--pool", "0"]).await?;
    let measured = async {
        say(&format!("a burst of {projects}"));
        let client = Client::connect(&backend.url).await?;
        let mut live = client.live().await?;
        let mut commands = Table::default();
        let begun = Instant::now();
        for number in 0..projects {
            let source = repository(&sources.path().join(format!("app{number}")))?;
            client.post("projects/open", &json!({"source": source})).await?;
        }
        let ready = tokio::select! {
            ready = all_ready(&mut live, projects) => ready,
            failed = ask_meanwhile(&client, &mut commands) => failed,
        };
        ready?;
        let all_ready = millis(begun.elapsed());
        let commands = commands.take(COMMAND).context("nobody asked for anything")?;
        Ok(Burst {
            projects,
            all_ready,
            commands,
        })
    }
    .await;
    stop(backend, measured).await
}

async fn all_ready(live: &mut Live, projects: usize) -> anyhow::Result<()> {
    let mut ready = std::collections::BTreeSet::new();
    while ready.len() < projects {
        let project = live.change().await?;
        match project["state"].as_str() {
            Some("ready") => drop(ready.insert(project["key"].to_string())),
            Some("failed") => bail!("a project of the burst failed: {}", project["failure"]),
            _ => {}
        }
    }
    Ok(())
}

/// Commands that change nothing, one after the other, for as long as this is polled.
async fn ask_meanwhile(client: &Client, commands: &mut Table) -> anyhow::Result<()> {
    loop {
        let begun = Instant::now();
        client
            .post("projects/open", &json!({"source": "template:starter"}))
            .await?;
        commands.add(COMMAND, millis(begun.elapsed()));
        sleep(COMMAND_INTERVAL).await;
    }
}

/// A repository with one page and no packages.
fn repository(path: &Path) -> anyhow::Result<String> {
    std::fs::create_dir_all(path)?;
    std::fs::write(path.join("index.html"), "<!doctype html><title>burst</title>")?;
    for arguments in [
        &["init", "--quiet", "--initial-branch=main"][..],
        &["add", "."],
        &[
            "-c",
            "user.name=bench",
            "-c",
            "user.email=bench@localhost",
            "commit",
            "--quiet",
            "--message=one page",
        ],
    ] {
        let status = Command::new("git").args(arguments).current_dir(path).status()?;
        if !status.success() {
            bail!("git {} ended with {status}", arguments[0]);
        }
    }
    Ok(path.display().to_string())
}
