//! A client that outlives every Firefly: what it was not answered, it asks the next one again.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::soak::journal::Journal;

/// A Firefly that lives answers sooner.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The user that local sign-in signs in.
const USER: &str = "local";

/// Where projects come from. There is no such template, so their openings fail, at the cost of a process and no more.
const SOURCE: &str = "template:none";

/// What was answered, in the journal.
#[derive(Debug, Deserialize, Serialize)]
pub struct Entry {
    /// Tells the command from all others; a sign-in has no key and cannot be repeated, so it has none.
    pub command: Option<Uuid>,
    /// How often it was sent.
    pub tries: u64,
    pub answer: Answer,
}

#[derive(Debug, Deserialize, Serialize)]
pub enum Answer {
    /// It was done, and its stream's last event then stood at this revision and position.
    Done {
        stream: String,
        revision: u64,
        position: u64,
    },
    /// A rule forbade it.
    Refused,
    /// It counts as done before there is an answer: the fault that the check must find.
    Early,
}

/// One command.
#[derive(Clone, Debug)]
struct Command {
    id: Uuid,
    path: String,
    body: Value,
    tries: u64,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    SignIn,
    /// It takes the session's token with it, so it is not sent twice.
    SignOut,
    Repeatable,
}

impl Command {
    /// Taking a project in hand, and out of it, is always allowed.
    fn is_never_refused(&self) -> bool {
        matches!(self.path.as_str(), "sessions/join" | "sessions/leave")
    }
}

pub struct Client {
    number: usize,
    http: reqwest::Client,
    journal: Arc<Journal>,
    early: bool,
    token: Option<String>,
    unanswered: Option<Command>,
}

/// A whole answer.
struct Response {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Client {
    pub fn new(number: usize, journal: Arc<Journal>, early: bool) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .no_proxy()
            .resolve("localhost", SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .build()?;
        Ok(Self {
            number,
            http,
            journal,
            early,
            token: None,
            unanswered: None,
        })
    }

    /// Sends one command after the other until a Firefly answers no more.
    pub async fn run(mut self, server: String) -> anyhow::Result<Self> {
        loop {
            let mut command = self.unanswered.take().unwrap_or_else(|| self.choose());
            command.tries += 1;
            let early = self.early && command.is_never_refused();
            if early {
                self.note(&command, Answer::Early)?;
            }
            let Some(response) = self.send(&server, &command).await? else {
                if command.kind == Kind::SignOut {
                    self.token = None;
                } else if command.kind == Kind::Repeatable && !early {
                    self.unanswered = Some(command);
                }
                return Ok(self);
            };
            self.take(&command, &response, early)?;
        }
    }

    /// Asks for a path below `/api/v1`, insisting on a position.
    pub async fn get(&self, server: &str, path: &str, position: u64) -> anyhow::Result<Value> {
        let response = self
            .http
            .get(format!("{server}/api/v1/{path}"))
            .bearer_auth(self.token.as_deref().context("no client is signed in")?)
            .header("firefly-min-position", position)
            .header("prefer", "wait=10")
            .send()
            .await?;
        let (status, body) = (response.status(), response.text().await?);
        ensure!(
            status == StatusCode::OK,
            "{path} is answered {status}: {body}"
        );
        Ok(serde_json::from_str(&body)?)
    }

    /// Whether it can ask queries.
    pub const fn is_signed_in(&self) -> bool {
        self.token.is_some()
    }

    fn choose(&self) -> Command {
        let id = Uuid::new_v4();
        let chance = id.as_u128();
        let own = format!("{USER}/soak/of-{}", self.number);
        let other = format!("{USER}/soak/of-{}", chance / 100 % 4);
        let of_own = |name: &str, body| (format!("projects/{own}/{name}"), body);
        let (kind, (path, body)) = match chance % 100 {
            _ if self.token.is_none() => (Kind::SignIn, sign_in()),
            0..2 => (Kind::SignIn, sign_in()),
            2..4 => (Kind::SignOut, ("sessions/end".to_owned(), json!({}))),
            4..10 => (Kind::Repeatable, of_own("open", json!({"source": SOURCE}))),
            10..14 => (Kind::Repeatable, of_own("close", json!({}))),
            14..16 => (Kind::Repeatable, of_own("restart", json!({}))),
            16..20 => (Kind::Repeatable, of_own("delete", json!({"force": true}))),
            20..60 => (Kind::Repeatable, in_hand("sessions/join", &other)),
            _ => (Kind::Repeatable, in_hand("sessions/leave", &other)),
        };
        Command {
            id,
            path,
            body,
            tries: 0,
            kind,
        }
    }

    /// The answer, or nothing if Firefly was gone before all of it was here.
    async fn send(&self, server: &str, command: &Command) -> anyhow::Result<Option<Response>> {
        let url = format!("{server}/api/v1/{}", command.path);
        let mut request = self.http.request(Method::POST, url).json(&command.body);
        if command.kind != Kind::SignIn {
            let (id, tries) = (command.id.simple(), command.tries);
            request = request
                .bearer_auth(self.token.as_deref().unwrap_or_default())
                .header("idempotency-key", command.id.to_string())
                .header("traceparent", format!("00-{id}-{tries:016x}-01"));
        }
        let answer = async {
            let response = request.send().await?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok((status, headers, response.bytes().await?))
        };
        match answer.await {
            Ok((status, headers, body)) => Ok(Some(Response {
                status,
                headers,
                body: serde_json::from_slice(&body).context("an answer is no JSON")?,
            })),
            Err(error) if reqwest::Error::is_timeout(&error) => {
                Err(error).context("Firefly does not answer")
            }
            Err(_) => Ok(None),
        }
    }

    fn take(&mut self, command: &Command, response: &Response, noted: bool) -> anyhow::Result<()> {
        let refused = [StatusCode::NOT_FOUND, StatusCode::CONFLICT];
        if refused.contains(&response.status) {
            return self.note(command, Answer::Refused);
        }
        if !response.status.is_success() {
            bail!(
                "{} is answered {}: {}",
                command.path,
                response.status,
                response.body
            );
        }
        if !noted {
            self.note(command, response.done()?)?;
        }
        match command.kind {
            Kind::SignIn => {
                let token = response.body["token"].as_str();
                self.token = Some(token.context("a session has no token")?.to_owned());
            }
            Kind::SignOut => self.token = None,
            Kind::Repeatable => {}
        }
        Ok(())
    }

    fn note(&self, command: &Command, answer: Answer) -> anyhow::Result<()> {
        let keyed = command.kind != Kind::SignIn;
        self.journal.write(&Entry {
            command: keyed.then_some(command.id),
            tries: command.tries,
            answer,
        })
    }
}

impl Response {
    fn done(&self) -> anyhow::Result<Answer> {
        let header = |name: &str| self.headers.get(name)?.to_str().ok();
        let number = |text: &str| text.parse().ok();
        let revision = header("etag").and_then(|tag| {
            let revision = tag.strip_prefix("\"rev-")?.strip_suffix('"')?;
            number(revision)
        });
        let position = header("firefly-position").and_then(number);
        let stream = match (&self.body["project"]["id"], &self.body["session"]) {
            (Value::String(id), _) => format!("project-{id}"),
            (_, Value::String(id)) => format!("session-{id}"),
            _ => bail!("an answer is about nothing: {}", self.body),
        };
        Ok(Answer::Done {
            stream,
            revision: revision.context("an answer has no revision")?,
            position: position.context("an answer has no position")?,
        })
    }
}

fn sign_in() -> (String, Value) {
    ("sessions/start".to_owned(), json!({"client": "soak"}))
}

fn in_hand(path: &str, project: &str) -> (String, Value) {
    (path.to_owned(), json!({"project": project}))
}
