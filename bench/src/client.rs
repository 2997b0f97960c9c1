//! HTTP to a running Firefly, on one connection that is kept.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{StatusCode, Url};
use serde_json::{Value, json};

use crate::live::Live;

/// Commands and previews take milliseconds; this is trouble.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A signed-in client.
pub struct Client {
    http: reqwest::Client,
    server: Url,
    /// Of its session.
    pub token: String,
    /// The id of its session.
    pub session: String,
}

impl Client {
    /// Signs in.
    pub async fn connect(server: &str) -> anyhow::Result<Self> {
        let server = Url::parse(server)?;
        let port = server.port().context("the server's URL has no port")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let http = reqwest::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .no_proxy()
            .resolve("localhost", address)
            .resolve("project.localhost", address)
            .build()?;
        let mut client = Self {
            http,
            server,
            token: String::new(),
            session: String::new(),
        };
        let session = client
            .post("sessions/start", &json!({"client": "benchmark"}))
            .await?;
        client.token = session["token"]
            .as_str()
            .context("the sign-in has no token")?
            .to_owned();
        session["session"]
            .as_str()
            .context("the sign-in has no session")?
            .clone_into(&mut client.session);
        Ok(client)
    }

    /// Sends a command.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let mut request = self.http.post(self.api(path)?).json(body);
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        let response = request.send().await?;
        let status = response.status();
        let answer: Value = response.json().await?;
        if !status.is_success() {
            bail!("{path} was refused with {status}: {}", answer["detail"]);
        }
        Ok(answer)
    }

    /// Asks the API for something.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let request = self.http.get(self.api(path)?).bearer_auth(&self.token);
        let response = request.send().await?.error_for_status()?;
        Ok(response.json().await?)
    }

    /// What a metric says; nothing counted is zero.
    pub async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let text = self.http.get(self.server.join("/metrics")?).send().await?;
        let text = text.error_for_status()?.text().await?;
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        value.map_or(Ok(0.0), |value| Ok(value.trim().parse()?))
    }

    /// Asks for a preview page and returns when its first byte is here.
    pub async fn first_byte(&self, url: &str) -> anyhow::Result<()> {
        let mut response = self.http.get(url).send().await?;
        if response.status() != StatusCode::OK {
            bail!("{url} answered {}", response.status());
        }
        if response.chunk().await?.is_none_or(|bytes| bytes.is_empty()) {
            bail!("{url} is empty");
        }
        // The rest is read so that the connection can be used again.
        while response.chunk().await?.is_some() {}
        Ok(())
    }

    /// Follows live state from now on.
    pub async fn live(&self) -> anyhow::Result<Live> {
        Live::connect(self.port()?, &self.token).await
    }

    /// The port of the server.
    pub fn port(&self) -> anyhow::Result<u16> {
        self.server.port().context("the server's URL has no port")
    }

    fn api(&self, path: &str) -> anyhow::Result<Url> {
        Ok(self.server.join(&format!("/api/v1/{path}"))?)
    }
}
