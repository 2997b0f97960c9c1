//! The measured project: the starter template, opened, resumed, closed and deleted.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Value, json};

use crate::client::Client;
use crate::live::{Live, Reached};
use crate::samples::Table;

/// What every opening opens.
const SOURCE: &str = "template:starter";

/// The commands of the project that [`SOURCE`] makes, for the local user.
const PROJECT: &str = "projects/local/template/starter";

/// A project and the two lines to its Firefly.
pub struct Project {
    client: Client,
    live: Live,
}

/// An opening, as seen from outside and as its events tell it.
pub struct Opening {
    answered: Duration,
    ready: Duration,
    first_byte: Duration,
    preview: String,
    events: Vec<Value>,
}

impl Project {
    pub async fn connect(server: &str) -> anyhow::Result<Self> {
        let client = Client::connect(server).await?;
        let live = client.live().await?;
        Ok(Self { client, live })
    }

    /// Opens the template, up to the first byte of its preview.
    pub async fn open(&mut self) -> anyhow::Result<Opening> {
        self.opening("projects/open", &json!({"source": SOURCE}))
            .await
    }

    /// Opens it again after a close.
    pub async fn resume(&mut self) -> anyhow::Result<Opening> {
        self.opening(&format!("{PROJECT}/open"), &json!({})).await
    }

    /// Closes it, and waits until its container is gone.
    pub async fn close(&mut self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let answer = self.send("close").await?;
        self.live.until("closed", &answer).await?;
        Ok(begun.elapsed())
    }

    /// Waits until something happens to it.
    pub async fn until_event(&mut self, event: &str) -> anyhow::Result<()> {
        self.live.until_event(event).await
    }

    /// Waits until it comes to a state.
    pub async fn until_state(&mut self, state: &str) -> anyhow::Result<()> {
        self.live.until_state(state).await
    }

    /// Waits until it is closed, and its container may be started again.
    pub async fn until_closed(&mut self) -> anyhow::Result<()> {
        self.live.until_state("closed").await
    }

    /// Deletes it with all that was in it.
    pub async fn delete(&mut self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let path = format!("{PROJECT}/delete");
        let answer = self.client.post(&path, &json!({"force": true})).await?;
        self.live.until("deleted", &answer).await?;
        Ok(begun.elapsed())
    }

    /// Sends a command and waits for nothing but its answer.
    pub async fn send(&self, command: &str) -> anyhow::Result<Value> {
        self.client
            .post(&format!("{PROJECT}/{command}"), &json!({}))
            .await
    }

    async fn opening(&mut self, path: &str, body: &Value) -> anyhow::Result<Opening> {
        let begun = Instant::now();
        let answer = self.client.post(path, body).await?;
        let answered = begun.elapsed();
        let Reached { project, events } = self.live.until("ready", &answer).await?;
        let ready = begun.elapsed();
        let preview = project["preview_url"]
            .as_str()
            .context("the project has no preview URL")?;
        self.client.first_byte(preview).await?;
        Ok(Opening {
            answered,
            ready,
            first_byte: begun.elapsed(),
            preview: preview.to_owned(),
            events,
        })
    }
}

impl Opening {
    /// The image that its container runs.
    pub fn image(&self) -> anyhow::Result<String> {
        let image = self.data("ContainerStarted")?["image"].as_str();
        let name = image.and_then(|image| image.split_whitespace().next());
        Ok(name.context("the container has no image")?.to_owned())
    }

    /// The engine's name for its container.
    pub fn container(&self) -> anyhow::Result<String> {
        let container = self.data("ContainerStarted")?["container"].as_str();
        Ok(container.context("the container has no name")?.to_owned())
    }

    /// How long its container took until it answered, in milliseconds.
    pub fn started(&self) -> anyhow::Result<f64> {
        self.duration_ms("ContainerStarted")
    }

    /// Whether its container had been started ahead.
    pub fn is_from_pool(&self) -> anyhow::Result<bool> {
        Ok(self.data("ContainerStarted")?["from_pool"] == true)
    }

    /// Milliseconds to the first byte of its preview.
    pub fn first_byte(&self) -> f64 {
        millis(self.first_byte)
    }

    /// Where its preview is.
    pub fn preview(&self) -> &str {
        &self.preview
    }

    /// Adds each step of a first opening to `table`.
    pub fn record_steps(&self, table: &mut Table) -> anyhow::Result<()> {
        let container = self.duration_ms("ContainerStarted")?;
        let source = self.duration_ms("TemplateApplied")?;
        let install = self.duration_ms("DependenciesInstalled")?;
        let inside = self.duration_ms("ProjectReady")?;
        table.add("container", container);
        table.add("source", source);
        table.add("install", install);
        // The ready event counts from the assignment on.
        table.add("preview", (inside - source - install).max(0.0));
        let outside = millis(self.ready) - container - inside;
        table.add("between the steps", outside.max(0.0));
        table.add("command answered", millis(self.answered));
        table.add("ready", millis(self.ready));
        table.add("first preview byte", millis(self.first_byte));
        Ok(())
    }

    /// Adds a resumption to `table`.
    pub fn record_resumption(&self, table: &mut Table) {
        table.add("resumed: ready", millis(self.ready));
        table.add("resumed: first preview byte", millis(self.first_byte));
    }

    fn duration_ms(&self, event: &str) -> anyhow::Result<f64> {
        let duration = self.data(event)?["duration_ms"].as_f64();
        duration.with_context(|| format!("{event} has no duration"))
    }

    fn data(&self, event: &str) -> anyhow::Result<&Value> {
        let found = self.events.iter().find(|found| found["type"] == event);
        let found = found.with_context(|| format!("the opening has no event {event}"))?;
        Ok(&found["data"])
    }
}

/// A duration as the tables have it.
pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
