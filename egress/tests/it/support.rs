//! An egress on a loopback port, and clients of it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use firefly_egress::{Config, Egress, Policy, Resolver};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Nothing here takes as long as this.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Waits for what comes soon.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(DEADLINE, what).await.expect("it comes in time")
}

/// Settings with short waits, and loopback open at every port.
pub fn config(policy: Policy, cache: &Path) -> Config {
    let mut config = Config::new(policy, cache);
    config.allow = vec!["127.0.0.1".parse().unwrap()];
    config.limits.registry_pause = Duration::ZERO;
    config.limits.shutdown = Duration::from_millis(100);
    config
}

/// A running egress; dropping it kills it where it stands.
pub struct Running {
    pub address: SocketAddr,
    pub client: reqwest::Client,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub async fn start(config: Config) -> Self {
        Self::start_with(config, Arc::new(Names::default())).await
    }

    pub async fn start_with(config: Config, names: Arc<Names>) -> Self {
        let egress = Egress::build_with(config, names).await.unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let task = tokio::spawn(async move { egress.run(listener, stop).await.unwrap() });
        Self {
            address,
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            shutdown,
            task,
        }
    }

    /// Stops it, and waits until it is.
    pub async fn stop(self) {
        self.shutdown.cancel();
        soon(self.task).await.unwrap();
    }

    /// Asks below `/npm/`.
    pub fn npm(&self, path: &str) -> reqwest::RequestBuilder {
        self.client
            .get(format!("http://{}/npm/{path}", self.address))
    }

    /// A connection to it.
    pub async fn connect(&self) -> Raw {
        Raw(TcpStream::connect(self.address).await.unwrap())
    }

    /// A tunnel, or the head and text of the refusal.
    pub async fn tunnel(&self, target: &str) -> Result<Raw, String> {
        let mut raw = self.connect().await;
        raw.send(&format!(
            "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
        ))
        .await;
        let head = raw.head().await;
        if head.starts_with("HTTP/1.1 200") {
            return Ok(raw);
        }
        let length = head.to_ascii_lowercase();
        let length = length.split("content-length: ").nth(1).unwrap();
        let length = length.lines().next().unwrap().parse().unwrap();
        Err(format!("{head}{}", raw.read(length).await))
    }
}

/// Bytes as they are.
pub struct Raw(pub TcpStream);

impl Raw {
    pub async fn send(&mut self, text: &str) {
        soon(self.0.write_all(text.as_bytes())).await.unwrap();
    }

    pub async fn read(&mut self, bytes: usize) -> String {
        let mut buffer = vec![0; bytes];
        soon(self.0.read_exact(&mut buffer)).await.unwrap();
        String::from_utf8(buffer).unwrap()
    }

    /// Everything up to the end.
    pub async fn rest(&mut self) -> String {
        let mut text = String::new();
        // A reset is an end as well.
        let _ = soon(self.0.read_to_string(&mut text)).await;
        text
    }

    pub async fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head += &self.read(1).await;
        }
        head
    }
}

/// A server that greets and then sends back what it gets.
pub async fn echo() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                stream.write_all(b"hello").await?;
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    address
}

/// Names that resolve to what a test says; each further lookup gives the next answer, and the last one stays.
#[derive(Default)]
pub struct Names {
    answers: Vec<Vec<IpAddr>>,
    pub lookups: AtomicUsize,
}

impl Names {
    pub fn new(answers: &[&[&str]]) -> Arc<Self> {
        let read = |answer: &&[&str]| {
            answer
                .iter()
                .map(|address| address.parse().unwrap())
                .collect()
        };
        Arc::new(Self {
            answers: answers.iter().map(read).collect(),
            lookups: AtomicUsize::new(0),
        })
    }
}

#[async_trait]
impl Resolver for Names {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let lookup = self.lookups.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers.get(lookup).or_else(|| self.answers.last());
        answer
            .cloned()
            .ok_or_else(|| io::Error::other(format!("{name} is not known")))
    }
}
