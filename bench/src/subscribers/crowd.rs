//! Clients on WebSockets, thousands of them; the same code reads from Firefly and from the bare server.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// Connections that are opened at a time; more would wait in the listener's queue.
const CONNECTING_AT_ONCE: usize = 64;

/// Bytes that a client reads ahead.
const READ_BUFFER_BYTES: usize = 4 * 1_024;

/// How long all of a crowd may wait for what it is sent.
const PATIENCE: Duration = Duration::from_secs(60);

type Socket = WebSocketStream<TcpStream>;

/// A change that a client got.
pub struct Receipt {
    pub client: usize,
    pub position: u64,
    pub at: Instant,
    pub text: Utf8Bytes,
}

/// Clients that read. They end when this is dropped.
pub struct Crowd {
    received: mpsc::UnboundedReceiver<anyhow::Result<Receipt>>,
    _clients: JoinSet<()>,
}

impl Crowd {
    /// Connects one client to each URL, and waits until each was told where things stand.
    pub async fn connect(port: u16, urls: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let (sender, received) = mpsc::unbounded_channel();
        let mut clients = JoinSet::new();
        let connecting = stream::iter(urls).map(|url| connect(port, url));
        let sockets: Vec<Socket> = connecting
            .buffered(CONNECTING_AT_ONCE)
            .try_collect()
            .await?;
        for (client, socket) in sockets.into_iter().enumerate() {
            let sender = sender.clone();
            clients.spawn(async move {
                let Err(error) = read(client, socket, &sender).await;
                // Nobody may be interested any more.
                let _ = sender.send(Err(error));
            });
        }
        Ok(Self {
            received,
            _clients: clients,
        })
    }

    /// The next changes that somebody gets, so many of them.
    pub async fn receive(&mut self, count: usize) -> anyhow::Result<Vec<Receipt>> {
        let mut receipts = Vec::with_capacity(count);
        while receipts.len() < count {
            let next = timeout(PATIENCE, self.received.recv()).await;
            let next =
                next.with_context(|| format!("{} of {count} changes came", receipts.len()))?;
            receipts.push(next.context("all clients are gone")??);
        }
        Ok(receipts)
    }

    /// Nothing more than what was received has come.
    pub fn is_done(&mut self) -> anyhow::Result<()> {
        ensure!(self.received.is_empty(), "a change came more than once");
        Ok(())
    }
}

async fn connect(port: u16, url: String) -> anyhow::Result<Socket> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
    let connecting = tokio_tungstenite::client_async_with_config(url, stream, Some(config));
    let (mut socket, _) = connecting.await.context("a client is refused")?;
    let first = socket.next().await.context("a client hears nothing")??;
    ensure!(first.is_text(), "a client hears {first:?}");
    Ok(socket)
}

async fn read(
    client: usize,
    mut socket: Socket,
    sender: &mpsc::UnboundedSender<anyhow::Result<Receipt>>,
) -> anyhow::Result<std::convert::Infallible> {
    loop {
        match socket.next().await.context("a connection ended")?? {
            Message::Text(text) if text.starts_with(r#"{"type":"change","#) => {
                let at = Instant::now();
                let position = position(&text).context("a change has no position")?;
                sender.send(Ok(Receipt {
                    client,
                    position,
                    at,
                    text,
                }))?;
            }
            Message::Text(text) if text.starts_with(r#"{"type":"closing","#) => {
                bail!("client {client} was closed: {text}");
            }
            Message::Close(frame) => bail!("client {client} was closed: {frame:?}"),
            _ => {}
        }
    }
}

/// The first position in a message, which is its own.
pub fn position(text: &str) -> Option<u64> {
    let (_, behind) = text.split_once(r#""position":"#)?;
    let end = behind.find(|c: char| !c.is_ascii_digit())?;
    behind[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_of_a_message_is_its_first() {
        let text = r#"{"type":"change","position":17,"event":{"position":16}}"#;
        assert_eq!(position(text), Some(17));
        assert_eq!(position("{}"), None);
    }
}
