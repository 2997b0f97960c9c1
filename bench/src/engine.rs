//! The container engine's own API, as far as a comparison needs it, without any of Firefly's code on the way.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Method, Response};
use serde_json::{Value, json};

/// Where the engine listens unless `DOCKER_HOST` says otherwise.
const SOCKET: &str = "/var/run/docker.sock";

/// An engine that takes longer is in trouble.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

pub struct Engine {
    http: reqwest::Client,
}

impl Engine {
    pub fn connect() -> anyhow::Result<Self> {
        let socket = std::env::var("DOCKER_HOST").ok();
        let socket = socket
            .as_deref()
            .and_then(|host| host.strip_prefix("unix://"))
            .unwrap_or(SOCKET);
        let http = reqwest::Client::builder()
            .unix_socket(PathBuf::from(socket))
            .timeout(REQUEST_TIMEOUT)
            .build()?;
        Ok(Self { http })
    }

    /// Creates a container and returns its id.
    pub async fn create(&self, body: &Value) -> anyhow::Result<String> {
        let created = self.call(Method::POST, "containers/create", body).await?;
        let created: Value = created.json().await?;
        let id = created["Id"].as_str();
        Ok(id.context("the new container has no id")?.to_owned())
    }

    pub async fn start(&self, container: &str) -> anyhow::Result<()> {
        let path = format!("containers/{container}/start");
        self.call(Method::POST, &path, &Value::Null).await.map(drop)
    }

    pub async fn stop(&self, container: &str) -> anyhow::Result<()> {
        let path = format!("containers/{container}/stop?t=0");
        self.call(Method::POST, &path, &Value::Null).await.map(drop)
    }

    /// Ends it behind everybody's back.
    pub async fn kill(&self, container: &str) -> anyhow::Result<()> {
        let path = format!("containers/{container}/kill");
        self.call(Method::POST, &path, &Value::Null).await.map(drop)
    }

    pub async fn remove(&self, container: &str) -> anyhow::Result<()> {
        let path = format!("containers/{container}?force=1");
        self.call(Method::DELETE, &path, &Value::Null)
            .await
            .map(drop)
    }

    /// The process id, on the host, of a container's first process.
    pub async fn pid(&self, container: &str) -> anyhow::Result<u32> {
        let path = format!("containers/{container}/json");
        let container = self.call(Method::GET, &path, &json!(null)).await?;
        let container: Value = container.json().await?;
        let pid = container["State"]["Pid"].as_u64();
        pid.and_then(|pid| u32::try_from(pid).ok())
            .context("the container has no process")
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Response> {
        let mut request = self.http.request(method, format!("http://engine/{path}"));
        if !body.is_null() {
            request = request.json(body);
        }
        let response = request.send().await.context("the engine does not answer")?;
        if !response.status().is_success() {
            bail!(
                "the engine refused {path} with {}: {}",
                response.status(),
                response.text().await.unwrap_or_default()
            );
        }
        Ok(response)
    }
}
