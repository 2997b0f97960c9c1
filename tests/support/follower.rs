//! A client of live state that breaks off and comes back, on either transport, and keeps what it was told.

use std::fmt;

use futures::StreamExt;
use reqwest::Response;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::live::handshake;
use crate::waiting::{PATIENCE, wait_for};
use crate::{Api, messages};

/// What carries live state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `/live`
    WebSocket,
    /// `/events/stream`
    EventStream,
}

impl Transport {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::WebSocket, Self::EventStream];
}

/// A client that remembers the position that it has seen.
pub struct Follower {
    api: Api,
    transport: Transport,
    scope: String,
    connection: Connection,
    position: Option<u64>,
    /// The changes that it was told of.
    pub changes: Vec<Value>,
    /// How often it came back.
    pub resumes: usize,
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {:?}", self.transport, self.scope)
    }
}

enum Connection {
    WebSocket(Box<WebSocketStream<TcpStream>>),
    EventStream { answer: Response, unread: String },
}

impl Follower {
    /// Follows from now on; `scope` is a query, as `log=true`.
    ///
    /// # Panics
    ///
    /// It is refused.
    pub async fn start(api: &Api, transport: Transport, scope: &str) -> Self {
        let connection = connect(api, transport, scope, None).await;
        let mut follower = Self {
            api: api.clone(),
            transport,
            scope: scope.to_owned(),
            connection: connection.expect("live state can be followed"),
            position: None,
            changes: Vec::new(),
            resumes: 0,
        };
        let first = follower.message().await.expect("a snapshot comes first");
        assert_eq!(first["type"], "snapshot", "{first}");
        follower.position = first["position"].as_u64();
        follower
    }

    /// Follows until it was told of all changes up to a position, coming back whenever the connection breaks.
    pub async fn until(&mut self, position: u64) {
        while self
            .changes
            .last()
            .and_then(|last| last["position"].as_u64())
            < Some(position)
        {
            let Some(message) = self.message().await else {
                self.resume().await;
                continue;
            };
            if let Some(position) = message["position"].as_u64() {
                self.position = Some(position);
            }
            if message["type"] == "change" {
                self.changes.push(message);
            }
        }
    }

    async fn resume(&mut self) {
        self.resumes += 1;
        let (api, transport, scope) = (&self.api, self.transport, &self.scope);
        let position = self.position;
        self.connection = wait_for("Firefly to be followed again", async || {
            connect(api, transport, scope, position).await
        })
        .await;
    }

    /// The next message; none when the connection has ended, in whatever way.
    ///
    /// # Panics
    ///
    /// Nothing comes for long.
    pub async fn message(&mut self) -> Option<Value> {
        let next = tokio::time::timeout(PATIENCE, self.connection.text());
        let text = next.await.expect("a message comes, or the end")?;
        let message = serde_json::from_str(&text).expect("a message is JSON");
        messages::check(&message);
        Some(message)
    }
}

impl Connection {
    async fn text(&mut self) -> Option<String> {
        match self {
            Self::WebSocket(socket) => loop {
                match socket.next().await? {
                    Ok(Message::Text(text)) => return Some(text.to_string()),
                    Ok(Message::Close(_)) | Err(_) => return None,
                    Ok(_) => {}
                }
            },
            Self::EventStream { answer, unread } => loop {
                while let Some((event, rest)) = unread.split_once("\n\n") {
                    let data = event.lines().find_map(|line| line.strip_prefix("data: "));
                    let data = data.map(str::to_owned);
                    *unread = rest.to_owned();
                    if data.is_some() {
                        return data;
                    }
                }
                let chunk = answer.chunk().await.ok()??;
                unread.push_str(&String::from_utf8_lossy(&chunk));
            },
        }
    }
}

/// The connection; none if nobody answers.
async fn connect(
    api: &Api,
    transport: Transport,
    scope: &str,
    after: Option<u64>,
) -> Option<Connection> {
    match transport {
        Transport::WebSocket => {
            let after = after.map_or_else(String::new, |after| format!("&after={after}"));
            let query = format!("token={}&{scope}{after}", api.token);
            let socket = handshake(api, &query).await.ok()?;
            Some(Connection::WebSocket(Box::new(socket)))
        }
        Transport::EventStream => {
            let url = format!(
                "http://localhost:{}/api/v1/events/stream?{scope}",
                api.port()
            );
            let client = reqwest::Client::builder().no_proxy().build().ok()?;
            let mut request = client.get(url).bearer_auth(&api.token);
            if let Some(after) = after {
                request = request.header("last-event-id", after);
            }
            let answer = request.send().await.ok()?;
            assert_eq!(answer.status(), 200, "{scope}");
            let unread = String::new();
            Some(Connection::EventStream { answer, unread })
        }
    }
}
