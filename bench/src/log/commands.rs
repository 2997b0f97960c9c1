//! Commands over HTTP: the token, the decision and the durable append of each.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use firefly_command_api::{Config, GITHUB_URL, router};
use firefly_domain::Segment;
use firefly_identity::{LocalSignIn, Secret, Tokens};
use firefly_read_models::Database;
use firefly_web::Authenticator;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{Figures, Size, Store};
use crate::project::millis;

/// Commands to projects leave them alone.
async fn no_read_models(home: &Path) -> anyhow::Result<Database> {
    let url = format!("sqlite:{}", home.join("read-models.db").display());
    Ok(firefly_read_models::open(&url).await?)
}

/// `open` and `close` of ever new projects, by one client and by many.
pub async fn measure(store: &Store, size: Size, figures: &mut Figures) -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let tokens = Tokens::new(&Secret::load_or_create(&home.path().join("secret"))?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let user = Segment::parse("bench").context("a name")?;
    let config = Config {
        authenticator: Authenticator::new(tokens.clone()),
        tokens,
        local: Some(LocalSignIn::new(user, address)?),
        github_url: GITHUB_URL.into(),
        read_models: no_read_models(home.path()).await?,
        projections: Vec::new(),
    };
    let api = router(config, Arc::clone(store));
    let serving = tokio::spawn(async move { axum::serve(listener, api).await });
    let mut first = Client::connect(address).await?;
    let token = first.sign_in().await?;
    for connections in [1, 128] {
        let begun = Instant::now();
        let end = begun + Duration::from_secs(size.seconds);
        let mut clients = JoinSet::new();
        for _ in 0..connections {
            let client = Client::connect(address).await?;
            clients.spawn(open_and_close(client, token.clone(), end));
        }
        let mut times = Vec::new();
        while let Some(client) = clients.join_next().await {
            times.append(&mut client??);
        }
        let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
        let name = format!("open and close over HTTP, {connections} connections");
        figures.add(name.clone(), rate, "commands/s");
        figures.latencies(&name, times);
    }
    serving.abort();
    Ok(())
}

async fn open_and_close(
    mut client: Client,
    token: String,
    end: Instant,
) -> anyhow::Result<Vec<f64>> {
    let mut times = Vec::new();
    while Instant::now() < end {
        let project = format!(
            "/api/v1/projects/bench/montage/a{}",
            Uuid::new_v4().simple()
        );
        for (command, body) in [
            ("open", r#"{"source":"template:starter"}"#),
            ("close", "{}"),
        ] {
            let begun = Instant::now();
            let path = format!("{project}/{command}");
            let (status, answer) = client.post(&path, Some(&token), body).await?;
            anyhow::ensure!(
                status == StatusCode::ACCEPTED,
                "{command} was answered {status}: {}",
                String::from_utf8_lossy(&answer)
            );
            times.push(millis(begun.elapsed()));
        }
    }
    Ok(times)
}

/// One connection.
struct Client(SendRequest<Full<Bytes>>);

impl Client {
    async fn connect(address: std::net::SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    async fn sign_in(&mut self) -> anyhow::Result<String> {
        let (_, answer) = self
            .post("/api/v1/sessions/start", None, r#"{"client":"bench"}"#)
            .await?;
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        let token = answer["token"].as_str().context("no token was given")?;
        Ok(token.to_owned())
    }

    async fn post(
        &mut self,
        path: &str,
        token: Option<&str>,
        body: &str,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        self.0.ready().await?;
        let mut request = Request::post(path)
            .header("host", "localhost")
            .header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes())))?;
        let answer = self.0.send_request(request).await?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }
}
