//! The live socket: the only way in which the benchmark learns what became of a command.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, bail};
use futures::StreamExt;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// How long a project may take to get where it was sent.
const STATE_TIMEOUT: Duration = Duration::from_secs(120);

/// A connected socket.
pub struct Live {
    socket: WebSocketStream<TcpStream>,
}

/// What happened on the way to a state.
pub struct Reached {
    /// The project as it is there.
    pub project: Value,
    /// The events that led there, in order.
    pub events: Vec<Value>,
}

impl Live {
    pub async fn connect(port: u16, token: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        let url = format!("ws://localhost:{port}/api/v1/live?token={token}");
        let (socket, _) = tokio_tungstenite::client_async(url, stream)
            .await
            .context("cannot follow live state")?;
        Ok(Self { socket })
    }

    /// Waits until the project of a command's answer is in `state`, at the answer's position or behind it.
    pub async fn until(&mut self, state: &str, answer: &Value) -> anyhow::Result<Reached> {
        timeout(STATE_TIMEOUT, self.follow(state, answer))
            .await
            .with_context(|| format!("the project was not {state} within {STATE_TIMEOUT:?}"))?
    }

    async fn follow(&mut self, state: &str, answer: &Value) -> anyhow::Result<Reached> {
        let decided = answer["position"].as_u64();
        let decided = decided.context("the answer has no position")?;
        let key = &answer["project"]["key"];
        let mut events = Vec::new();
        loop {
            let mut message = self.next().await?;
            if message["type"] != "change" || message["project"]["key"] != *key {
                continue;
            }
            if message["position"].as_u64() < Some(decided) {
                continue;
            }
            events.push(message["event"].take());
            let project = message["project"].take();
            if project["state"] == state {
                return Ok(Reached { project, events });
            }
            if project["state"] == "failed" {
                bail!("the opening failed: {}", project["failure"]);
            }
        }
    }

    /// The next change of a project: the project as it is then.
    pub async fn change(&mut self) -> anyhow::Result<Value> {
        Ok(self.next_change().await?["project"].take())
    }

    /// Waits until something happens to any project.
    pub async fn until_event(&mut self, event: &str) -> anyhow::Result<()> {
        let found = async {
            while self.next_change().await?["event"]["type"] != event {}
            Ok(())
        };
        timeout(STATE_TIMEOUT, found)
            .await
            .with_context(|| format!("there was no {event} within {STATE_TIMEOUT:?}"))?
    }

    /// Waits until any project comes to a state.
    pub async fn until_state(&mut self, state: &str) -> anyhow::Result<()> {
        let found = async {
            while self.change().await?["state"] != state {}
            Ok(())
        };
        timeout(STATE_TIMEOUT, found)
            .await
            .with_context(|| format!("no project was {state} within {STATE_TIMEOUT:?}"))?
    }

    async fn next_change(&mut self) -> anyhow::Result<Value> {
        loop {
            let message = self.next().await?;
            if message["type"] == "change" {
                return Ok(message);
            }
        }
    }

    async fn next(&mut self) -> anyhow::Result<Value> {
        while let Some(message) = self.socket.next().await {
            match message.context("the live socket broke")? {
                Message::Text(text) => return Ok(serde_json::from_str(&text)?),
                Message::Close(frame) => bail!("the live socket was closed: {frame:?}"),
                _ => {}
            }
        }
        bail!("the live socket ended")
    }
}
