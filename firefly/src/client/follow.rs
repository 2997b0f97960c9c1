//! Follows one project on the live socket until what was asked for has happened, or cannot happen any more.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::api::{Api, Live};
use super::bars::Bars;
use super::text;
use crate::output::{self, OutputLost};

/// A server that says nothing for this long is gone; its heartbeats come four times as often.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// How long connecting may take; a server that is there answers at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How often one interruption is met by connecting again; with the waits between, this gives a restart 15 seconds.
const RESUMES_MAX: u32 = 5;

/// The wait before the first of them; it doubles each time.
const RESUME_WAIT: Duration = Duration::from_millis(500);

/// How a command ended.
pub struct End {
    code: ExitCode,
    event: &'static str,
    text: String,
}

impl End {
    pub fn success(text: &str) -> Self {
        Self {
            code: ExitCode::SUCCESS,
            event: "done",
            text: text.to_owned(),
        }
    }

    pub fn failure(text: &str) -> Self {
        Self {
            code: ExitCode::FAILURE,
            event: "failed",
            text: text.to_owned(),
        }
    }

    #[cfg(test)]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// What is known of the project that is followed.
pub struct Seen<'a> {
    pub project: &'a Value,
    /// How its container ended by itself since the command, in words.
    pub exit: Option<&'a str>,
    /// The event that kept its workspace from being deleted, if that was the last.
    pub kept: Option<&'a Value>,
}

/// A live socket, connected before the command is sent so that it misses nothing of it.
pub struct Follower {
    live: Live,
    socket: WebSocketStream<TcpStream>,
    /// The position behind which nothing was seen; none before the snapshot.
    position: Option<u64>,
    resumes: u32,
    json: bool,
}

/// What the socket said last.
enum Heard {
    Message(Value),
    /// It broke off in a way that coming back mends.
    Interrupted,
    Ended,
}

impl Follower {
    pub async fn connect(api: &Api, json: bool) -> anyhow::Result<Self> {
        Self::of(api.live().await?, json).await
    }

    async fn of(live: Live, json: bool) -> anyhow::Result<Self> {
        let socket = connect(&live, None).await?;
        Ok(Self {
            live,
            socket,
            position: None,
            resumes: 0,
            json,
        })
    }

    /// Shows what happens to the project of a command's answer, until `end` finds that it has come to an end.
    pub async fn until(
        &mut self,
        answer: &Value,
        end: impl Fn(&Seen<'_>) -> Option<End>,
    ) -> anyhow::Result<ExitCode> {
        let key = text(&answer["project"], "key").to_owned();
        let decided = answer["position"]
            .as_u64()
            .context("the answer has no position")?;
        let mut bars = Bars::new(self.json);
        let mut exit = None;
        while let Some(message) = self.next().await? {
            let project = match text(&message, "type") {
                "snapshot" => message["projects"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .find(|project| text(project, "key") == key),
                "change" if text(&message["project"], "key") == key => {
                    self.show(&mut bars, &message)?;
                    Some(&message["project"])
                }
                "progress" if text(&message, "project") == key => {
                    self.show(&mut bars, &message)?;
                    None
                }
                _ => None,
            };
            // Before that position, the project is as it was before the command. In a snapshot, what was asked for
            // may have been so already.
            let Some(project) = project.filter(|_| self.position >= Some(decided)) else {
                continue;
            };
            let event = &message["event"];
            if text(event, "type") == "ContainerExited" {
                exit = Some(text(event, "summary").to_owned());
            }
            let seen = Seen {
                project,
                exit: exit.as_deref(),
                kept: (text(event, "type") == "WorkspaceKept").then_some(event),
            };
            if let Some(end) = end(&seen) {
                return Ok(self.finish(bars, &key, &end)?);
            }
        }
        bail!(
            "Firefly ended the connection; the project goes on, `firefly history {key}` tells how"
        )
    }

    /// The next message; none when Firefly has ended the connection for good.
    async fn next(&mut self) -> anyhow::Result<Option<Value>> {
        loop {
            match self.hear().await? {
                Heard::Message(message) => {
                    self.note(&message);
                    return Ok(Some(message));
                }
                Heard::Interrupted => self.resume().await?,
                Heard::Ended => return Ok(None),
            }
        }
    }

    /// Notes how far things have got. Before the snapshot nothing was sent, whatever a heartbeat or an end says about it; and
    /// an end is not what an interruption was waited out for.
    fn note(&mut self, message: &Value) {
        let kind = text(message, "type");
        if kind != "closing" {
            self.resumes = 0;
        }
        let is_known = self.position.is_some() || matches!(kind, "snapshot" | "change");
        if let Some(position) = message["position"].as_u64().filter(|_| is_known) {
            self.position = Some(position);
        }
    }

    async fn hear(&mut self) -> anyhow::Result<Heard> {
        loop {
            let Ok(heard) = tokio::time::timeout(SILENCE_MAX, self.socket.next()).await else {
                return Ok(Heard::Interrupted);
            };
            // A connection that ends unsaid was cut, by the network or with its server.
            let message = match heard {
                None
                | Some(Err(
                    Error::Io(_) | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake),
                )) => return Ok(Heard::Interrupted),
                Some(message) => message.context("the live socket broke")?,
            };
            match message {
                Message::Text(text) => {
                    // Behind the last message that was understood it comes again.
                    let message = serde_json::from_str(&text);
                    return Ok(message.map_or(Heard::Interrupted, Heard::Message));
                }
                Message::Close(frame) => {
                    let code = frame.map(|frame| frame.code);
                    let come_back = [CloseCode::Again, CloseCode::Restart].map(Some);
                    return Ok(if come_back.contains(&code) {
                        Heard::Interrupted
                    } else {
                        Heard::Ended
                    });
                }
                _ => {}
            }
        }
    }

    /// Connects again, behind the position that was seen last.
    async fn resume(&mut self) -> anyhow::Result<()> {
        let mut failure = anyhow!("it does so again and again");
        while self.resumes < RESUMES_MAX {
            tokio::time::sleep(RESUME_WAIT * 2_u32.pow(self.resumes)).await;
            self.resumes += 1;
            match connect(&self.live, self.position).await {
                Ok(socket) => {
                    self.socket = socket;
                    return Ok(());
                }
                Err(error) => failure = error,
            }
        }
        Err(failure.context("Firefly broke off, and could not be followed again"))
    }

    fn show(&self, bars: &mut Bars, message: &Value) -> Result<(), OutputLost> {
        if self.json {
            output::json(message)
        } else {
            bars.show(message)
        }
    }

    fn finish(&self, bars: Bars, key: &str, end: &End) -> Result<ExitCode, OutputLost> {
        bars.finish();
        if self.json {
            output::json(&json!({"type": end.event, "project": key, "text": end.text}))?;
        } else if end.event == "failed" {
            output::complain(&format!("{key}: {}", end.text));
        } else {
            output::line(&format!("{key}: {}", end.text))?;
        }
        Ok(end.code)
    }
}

async fn connect(live: &Live, after: Option<u64>) -> anyhow::Result<WebSocketStream<TcpStream>> {
    connect_within(CONNECT_TIMEOUT, live, after).await
}

async fn connect_within(
    limit: Duration,
    live: &Live,
    after: Option<u64>,
) -> anyhow::Result<WebSocketStream<TcpStream>> {
    tokio::time::timeout(limit, shake_hands(live, after))
        .await
        .unwrap_or_else(|_| bail!("Firefly does not answer"))
}

async fn shake_hands(
    live: &Live,
    after: Option<u64>,
) -> anyhow::Result<WebSocketStream<TcpStream>> {
    let stream = TcpStream::connect(live.addresses.as_slice())
        .await
        .context("cannot connect to Firefly")?;
    let after = after.map_or_else(String::new, |after| format!("&after={after}"));
    let (socket, _) = tokio_tungstenite::client_async(format!("{}{after}", live.url), stream)
        .await
        .context("cannot follow live state")?;
    Ok(socket)
}

#[cfg(test)]
mod tests;
