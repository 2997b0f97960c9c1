//! A Firefly that is going to be killed.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::soak::death::{Death, is_violent};

/// How long the way up, and an orderly end, may take.
const TIMEOUT: Duration = Duration::from_secs(60);

pub struct Server {
    process: Child,
    /// Where it answers.
    pub url: String,
}

impl Server {
    /// Starts it and waits until it listens; nothing if it came to the end that it was given before that.
    pub async fn start(
        program: &Path,
        data: &Path,
        death: Option<&Death>,
    ) -> anyhow::Result<Option<Self>> {
        let mut process = Command::new(program)
            .args(["up", "--json", "--listen", "127.0.0.1:0"])
            .args(["--runtime", "process", "--data-dir"])
            .arg(data)
            .envs(death.map(Death::environment).unwrap_or_default())
            .env("FIREFLY_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let output = process.stdout.take().context("it has no output")?;
        let mut lines = BufReader::new(output).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await? {
                let said: Value = serde_json::from_str(&line)?;
                if said["type"] == "listening" {
                    return anyhow::Ok(said["url"].as_str().map(str::to_owned));
                }
            }
            Ok(None)
        };
        let url = timeout(TIMEOUT, listening)
            .await
            .context("Firefly does not come to listen")??;
        let Some(url) = url else {
            let ended = process.wait().await?;
            ensure!(
                matches!(death, Some(Death::Crashed { .. })) && is_violent(ended),
                "Firefly ended before it listened: {ended}"
            );
            return Ok(None);
        };
        // What it says has somewhere to go.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Some(Self { process, url }))
    }

    /// Brings its end about, or waits for it.
    pub async fn die(&mut self, death: &Death) -> anyhow::Result<()> {
        let ended = death.of(&mut self.process).await?;
        death.was_of(ended)
    }

    /// Ends it as Ctrl-C does.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.process.id().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.and_then(Pid::from_raw).context("Firefly has ended")?;
        kill_process(pid, Signal::INT).context("cannot stop Firefly")?;
        let ended = timeout(TIMEOUT, self.process.wait())
            .await
            .context("Firefly does not stop")??;
        ensure!(ended.success(), "Firefly did not stop in order: {ended}");
        Ok(())
    }
}
