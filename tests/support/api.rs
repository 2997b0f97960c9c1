//! Firefly's HTTP API, as a program that is signed in sees it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::waiting::wait_for;

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The states that nothing leaves by itself.
const SETTLED: [&str; 4] = ["ready", "failed", "closed", "deleted"];

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    headers: reqwest::header::HeaderMap,
    /// The body as it came.
    pub text: String,
}

impl Answer {
    /// A header's value, or nothing.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The body as JSON, or null.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The position in `Firefly-Position`.
    ///
    /// # Panics
    ///
    /// There is none.
    pub fn position(&self) -> u64 {
        let position = self.header("firefly-position").parse();
        position.unwrap_or_else(|_| panic!("the answer has no position: {self:?}"))
    }

    /// The status and the code of a problem.
    ///
    /// # Panics
    ///
    /// It is not problem+json, or lacks one of its parts.
    pub fn problem(&self) -> (u16, String) {
        let body = self.json();
        let complete = self.header("content-type") == "application/problem+json"
            && body["status"] == self.status
            && ["type", "title", "detail"].iter().all(|part| {
                let text = body[part].as_str();
                text.is_some_and(|text| !text.is_empty())
            });
        assert!(complete, "no proper problem: {self:?}");
        let code = body["code"].as_str().expect("a problem has a code");
        (self.status, code.to_owned())
    }
}

/// A client.
#[derive(Clone, Debug)]
pub struct Api {
    client: Client,
    port: u16,
    /// The token of its session.
    pub token: String,
    /// The id of its session.
    pub session: String,
}

impl Api {
    /// Signs in as the local user.
    ///
    /// # Panics
    ///
    /// That is refused.
    pub async fn sign_in(port: u16) -> Self {
        let mut api = Self {
            client: client(),
            port,
            token: String::new(),
            session: String::new(),
        };
        let started = api
            .post("sessions/start", json!({"client": "end-to-end tests"}))
            .await;
        assert_eq!(started.status, 201, "{started:?}");
        let token = started.json()["token"].as_str().map(str::to_owned);
        api.session = text(&started.json()["session"]);
        api.token = token.expect("a session has a token");
        api
    }

    /// The port that it talks to.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Asks for a path below `/api/v1`.
    pub async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    /// The same with headers.
    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, path, headers, None).await
    }

    /// Posts JSON to a path below `/api/v1`.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        let headers = [("content-type", "application/json")];
        let body = body.to_string();
        self.send(Method::POST, path, &headers, Some(body.as_bytes()))
            .await
    }

    /// Posts JSON to a server that may not be there: nothing, if it does not answer.
    pub async fn try_post(&self, path: &str, body: &Value) -> Option<u16> {
        let url = format!("http://localhost:{}/api/v1/{path}", self.port);
        let request = self.client.post(url).bearer_auth(&self.token).json(body);
        let answer = request.send().await.ok()?;
        Some(answer.status().as_u16())
    }

    /// Sends anything with its token to a path below `/api/v1`.
    ///
    /// # Panics
    ///
    /// No answer comes.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Answer {
        let url = format!("http://localhost:{}/api/v1/{path}", self.port);
        let mut request = self.client.request(method, url);
        if !self.token.is_empty() && !headers.iter().any(|(name, _)| *name == "authorization") {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request.body(body.to_vec());
        }
        finish(request, headers).await
    }

    /// Opens something and answers the project's names.
    ///
    /// # Panics
    ///
    /// That is refused.
    pub async fn open(&self, source: &str) -> String {
        let opened = self.post("projects/open", json!({"source": source})).await;
        assert_eq!(opened.status, 202, "{opened:?}");
        let key = opened.json()["project"]["key"].as_str().map(str::to_owned);
        key.expect("an opened project has a key")
    }

    /// Opens something and waits until it is ready.
    ///
    /// # Panics
    ///
    /// It ends in another way.
    pub async fn open_ready(&self, source: &str) -> Value {
        let key = self.open(source).await;
        let project = self.settled(&key).await;
        assert_eq!(project["state"], "ready", "{project:#}");
        project
    }

    /// Sends `close`, `restart` or `delete`.
    pub async fn command(&self, project: &str, command: &str) -> Answer {
        self.post(&format!("projects/{project}/{command}"), json!({}))
            .await
    }

    /// Sends a command that must be taken, and waits until all that follows from it has happened.
    ///
    /// # Panics
    ///
    /// It is refused.
    pub async fn done(&self, project: &str, command: &str) -> Value {
        let answer = self.command(project, command).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        self.settled_behind(project, answer.position()).await
    }

    /// The project as the read models know it, or null.
    pub async fn project(&self, project: &str) -> Value {
        let answer = self.get(&format!("projects/{project}")).await;
        if answer.status == 200 {
            answer.json()
        } else {
            Value::Null
        }
    }

    /// Waits until a project is in a state that it does not leave by itself.
    pub async fn settled(&self, project: &str) -> Value {
        let head = self.get("projections").await.json()["head"].as_u64();
        self.settled_behind(project, head.unwrap_or_default()).await
    }

    async fn settled_behind(&self, project: &str, position: u64) -> Value {
        let (path, position) = (format!("projects/{project}"), position.to_string());
        let headers = [
            ("firefly-min-position", position.as_str()),
            ("prefer", "wait=10"),
        ];
        wait_for(&format!("{project} to settle"), async || {
            let answer = self.get_with(&path, &headers).await;
            let found = answer.json();
            let state = found["state"].as_str()?;
            (answer.status == 200 && SETTLED.contains(&state)).then_some(found)
        })
        .await
    }

    /// All events of a project.
    pub async fn history(&self, project: &str) -> Vec<Value> {
        let answer = self.get(&format!("projects/{project}/history")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let events = answer.json()["events"].as_array().cloned();
        events.expect("history has events")
    }

    /// The types of all events of a project.
    pub async fn event_types(&self, project: &str) -> Vec<String> {
        let history = self.history(project).await;
        history.iter().map(|event| text(&event["type"])).collect()
    }

    /// The position of the log's last event.
    ///
    /// # Panics
    ///
    /// Nobody tells.
    pub async fn head(&self) -> u64 {
        let head = self.get("projections").await.json()["head"].as_u64();
        head.expect("the API tells the log's head")
    }

    /// Asks the project host for a file.
    pub async fn preview(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let url = format!("http://project.localhost:{}/{path}", self.port);
        finish(self.client.get(url), headers).await
    }
}

/// A text in JSON, or nothing.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A client that finds all names below `localhost` on this host, whatever its resolver says.
fn client() -> Client {
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Client::builder()
        .timeout(REQUEST_TIMEOUT)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .resolve("localhost", here)
        .resolve("project.localhost", here)
        .build()
        .expect("an HTTP client can be made")
}

async fn finish(mut request: reqwest::RequestBuilder, headers: &[(&str, &str)]) -> Answer {
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.expect("an answer comes");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.expect("the answer comes whole");
    Answer {
        status,
        headers,
        text,
    }
}
