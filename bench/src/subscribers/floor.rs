//! The floor: a server that does nothing but send each line of its input to every WebSocket, in a process of its own.

use std::process::Stdio;
use std::sync::Arc;

use anyhow::Context;
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, stdin};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Mutex, mpsc};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// Where the lines of one client go; few are ever behind, since the next comes when all have the last.
type Lines = mpsc::UnboundedSender<Utf8Bytes>;

/// The process. It is killed when this is dropped.
pub struct Floor {
    process: Child,
    stdin: ChildStdin,
    pub port: u16,
}

impl Floor {
    pub async fn start() -> anyhow::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("live-floor")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the bare server")?;
        let stdout = process.stdout.take().context("it has no standard output")?;
        let stdin = process.stdin.take().context("it has no standard input")?;
        let mut lines = BufReader::new(stdout).lines();
        let port = lines.next_line().await?.context("it says nothing")?;
        Ok(Self {
            process,
            stdin,
            port: port.parse()?,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> anyhow::Result<u32> {
        self.process.id().context("the bare server has ended")
    }

    /// Sends a line to everybody.
    pub async fn send(&mut self, line: &str) -> anyhow::Result<()> {
        self.stdin.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(self.stdin.flush().await?)
    }
}

/// The server's own process.
pub async fn serve() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    let clients: Arc<Mutex<Vec<Lines>>> = Arc::default();
    let accepted = Arc::clone(&clients);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (sender, lines) = mpsc::unbounded_channel();
            accepted.lock().await.push(sender);
            tokio::spawn(async move {
                // A client that is gone is no trouble.
                let _ = carry(stream, lines).await;
            });
        }
    });
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let line = Utf8Bytes::from(line);
        let mut clients = clients.lock().await;
        clients.retain(|client| client.send(line.clone()).is_ok());
    }
    Ok(())
}

async fn carry(
    stream: TcpStream,
    mut lines: mpsc::UnboundedReceiver<Utf8Bytes>,
) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut socket = tokio_tungstenite::accept_async(stream).await?;
    socket.send(Message::text(r#"{"type":"snapshot"}"#)).await?;
    loop {
        tokio::select! {
            Some(line) = lines.recv() => socket.send(Message::Text(line)).await?,
            heard = socket.next() => {
                heard.context("it is gone")??;
            }
        }
    }
}
