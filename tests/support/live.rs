//! The live socket, read with suspicion: positions that repeat or go back, and messages that are not documented, fail the test.

use futures::StreamExt;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::waiting::PATIENCE;
use crate::{Api, messages};

/// A follower.
pub struct Live {
    socket: WebSocketStream<TcpStream>,
    position: u64,
    snapshot: Option<Value>,
}

impl Live {
    /// Follows from now on, beginning with a snapshot.
    ///
    /// # Panics
    ///
    /// It is refused.
    pub async fn follow(api: &Api) -> Self {
        let mut live = Self::connect(api, &format!("token={}", api.token)).await;
        let snapshot = live.next().await;
        assert_eq!(snapshot["type"], "snapshot", "{snapshot}");
        live.snapshot = Some(snapshot);
        live
    }

    /// Goes on behind a position.
    ///
    /// # Panics
    ///
    /// It is refused.
    pub async fn resume(api: &Api, after: u64) -> Self {
        let mut live = Self::connect(api, &format!("token={}&after={after}", api.token)).await;
        live.position = after;
        live
    }

    async fn connect(api: &Api, query: &str) -> Self {
        let socket = handshake(api, query).await.expect("the live socket opens");
        Self {
            socket,
            position: 0,
            snapshot: None,
        }
    }

    /// The status with which a connection is refused.
    ///
    /// # Panics
    ///
    /// It is not refused.
    pub async fn refusal(api: &Api, query: &str) -> u16 {
        match handshake(api, query).await {
            Err(Error::Http(response)) => response.status().as_u16(),
            Err(error) => panic!("the live socket broke: {error}"),
            Ok(_) => panic!("the live socket opened with {query}"),
        }
    }

    /// What stood when it began to follow.
    ///
    /// # Panics
    ///
    /// It resumed, so there was none.
    pub fn snapshot(&self) -> &Value {
        self.snapshot.as_ref().expect("it began with a snapshot")
    }

    /// The position behind which it has seen nothing.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// The changes up to the first that `end` holds for.
    ///
    /// # Panics
    ///
    /// It does not come, or the socket breaks its promises.
    pub async fn until(&mut self, end: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut seen = Vec::new();
        loop {
            let message = self.next().await;
            if message["type"] == "change" {
                let over = end(&message);
                seen.push(message);
                if over {
                    return seen;
                }
            }
        }
    }

    /// The changes up to the first event of a type.
    pub async fn until_event(&mut self, event_type: &str) -> Vec<Value> {
        self.until(|change| change["event"]["type"] == event_type)
            .await
    }

    /// The changes up to the one that brings a project into a state.
    pub async fn until_state(&mut self, state: &str) -> Vec<Value> {
        self.until(|change| change["project"]["state"] == state)
            .await
    }

    /// The changes up to a position.
    pub async fn until_position(&mut self, position: u64) -> Vec<Value> {
        if self.position >= position {
            return Vec::new();
        }
        self.until(|change| change["position"].as_u64() >= Some(position))
            .await
    }

    async fn next(&mut self) -> Value {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            let message = message
                .unwrap_or_else(|_| panic!("nothing comes behind position {}", self.position));
            match message {
                Some(Ok(Message::Text(text))) => {
                    let message = serde_json::from_str(&text).expect("a live message is JSON");
                    self.check(&message);
                    return message;
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!(
                    "the live socket ended behind position {}: {other:?}",
                    self.position
                ),
            }
        }
    }

    /// Each change is newer than all before it; nothing else goes back.
    fn check(&mut self, message: &Value) {
        messages::check(message);
        let Some(position) = message["position"].as_u64() else {
            assert_eq!(
                message["type"], "progress",
                "a message without position: {message}"
            );
            return;
        };
        if message["type"] == "change" {
            assert!(
                position > self.position,
                "behind {}: {message}",
                self.position
            );
            assert_eq!(message["event"]["position"], position, "{message}");
            assert_eq!(message["project"]["position"], position, "{message}");
        }
        assert!(
            position >= self.position,
            "behind {}: {message}",
            self.position
        );
        self.position = position;
    }
}

/// The types of the events of changes.
pub fn event_types(changes: &[Value]) -> Vec<&str> {
    changes
        .iter()
        .filter_map(|change| change["event"]["type"].as_str())
        .collect()
}

pub(crate) async fn handshake(api: &Api, query: &str) -> Result<WebSocketStream<TcpStream>, Error> {
    let stream = TcpStream::connect(("127.0.0.1", api.port())).await?;
    let url = format!("ws://localhost:{}/api/v1/live?{query}", api.port());
    let (socket, _) = tokio_tungstenite::client_async(url, stream).await?;
    Ok(socket)
}
