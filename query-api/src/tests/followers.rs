//! Clients of both transports that look alike, so that each promise is tested on either.

use axum::body::Body;
use firefly_domain::session::Command as SessionCommand;
use firefly_domain::{Session, session};
use http::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;

/// What carries a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    WebSocket,
    EventStream,
}

pub const TRANSPORTS: [Transport; 2] = [Transport::WebSocket, Transport::EventStream];

/// A client that reads messages.
pub enum Follower {
    WebSocket(Box<Socket>),
    EventStream { body: Body, unread: String },
}

impl Live {
    /// Connects with a token of its own.
    pub async fn follow(&self, transport: Transport, user: &str, query: &str) -> Follower {
        self.follow_with(transport, &self.token(user), query).await
    }

    pub async fn follow_with(&self, transport: Transport, token: &str, query: &str) -> Follower {
        let query = format!("token={token}{query}");
        match transport {
            Transport::WebSocket => {
                Follower::WebSocket(Box::new(self.connect(&query).await.unwrap()))
            }
            Transport::EventStream => {
                let path = format!("/api/v1/events/stream?{query}");
                self.event_stream(Request::get(path)).await
            }
        }
    }

    /// An event stream that was answered with 200.
    pub async fn event_stream(&self, request: http::request::Builder) -> Follower {
        let request = request.body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-cache");
        let (body, unread) = (response.into_body(), String::new());
        Follower::EventStream { body, unread }
    }

    /// The status and the code with which somebody is refused.
    pub async fn refused(&self, transport: Transport, query: &str) -> (u16, String) {
        let path = match transport {
            Transport::WebSocket => "live",
            Transport::EventStream => "events/stream",
        };
        let (status, body) = self.get(&format!("/api/v1/{path}?{query}"), &[]).await;
        let problem: Value = serde_json::from_str(&body).unwrap();
        (status, problem["code"].as_str().unwrap().to_owned())
    }

    pub async fn session(&self, id: SessionId, command: SessionCommand) -> u64 {
        let context = Context::new(Actor::Anonymous, Uuid::new_v4());
        let handled = handle::<Session>(&*self.store, id.as_uuid(), command, &context);
        handled.await.unwrap().position.number()
    }

    /// A session that has begun, with a token of it.
    pub async fn signed_in(&self, user: &str) -> (SessionId, String) {
        let identity = self.identity(user);
        let start = SessionCommand::Start {
            user: identity.user.clone(),
            client: "test".into(),
        };
        let started = self.session(identity.session, start).await;
        self.reached(started).await;
        let token = self.tokens.issue(&identity, chrono::Utc::now()).token;
        (identity.session, token)
    }

    pub async fn sign_out(&self, session: SessionId) -> u64 {
        let end = SessionCommand::End(session::EndReason::SignedOut);
        self.session(session, end).await
    }

    /// Waits until live state has taken in a position.
    pub async fn reached(&self, position: u64) {
        let reached = self.hub.reached(Position::new(position));
        tokio::time::timeout(DEADLINE, reached).await.unwrap();
    }
}

impl Follower {
    /// The next message; none after the last.
    pub async fn message(&mut self) -> Option<Value> {
        match self {
            Self::WebSocket(socket) => match socket.raw().await {
                Message::Text(text) => Some(serde_json::from_str(&text).unwrap()),
                Message::Close(_) => None,
                other => panic!("not a message: {other:?}"),
            },
            Self::EventStream { body, unread } => loop {
                if let Some((event, rest)) = unread.split_once("\n\n") {
                    let message = event_of(event);
                    *unread = rest.to_owned();
                    match message {
                        Some(message) => return Some(message),
                        None => continue,
                    }
                }
                let frame = tokio::time::timeout(DEADLINE, body.frame());
                let frame = frame.await.expect("nothing came")?.unwrap();
                unread.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
            },
        }
    }

    pub async fn next(&mut self) -> Value {
        self.message().await.expect("it ended")
    }

    /// The changes up to a position, which must be there.
    pub async fn changes(&mut self, until: u64) -> Vec<Value> {
        let mut changes: Vec<Value> = Vec::new();
        while changes.last().is_none_or(|last| position(last) < until) {
            let change = self.next().await;
            assert_eq!(change["type"], "change", "{change}");
            assert_eq!(change["event"]["position"], change["position"], "{change}");
            changes.push(change);
        }
        changes
    }

    /// The last message, behind which nothing comes: its code, and its position if it has one.
    pub async fn closing(&mut self) -> (String, Option<u64>) {
        let closing = self.next().await;
        assert_eq!(closing["type"], "closing", "{closing}");
        assert_eq!(self.message().await, None);
        let code = closing["code"].as_str().unwrap().to_owned();
        (code, closing["position"].as_u64())
    }
}

pub fn position(message: &Value) -> u64 {
    let position = message["position"].as_u64();
    position.unwrap_or_else(|| panic!("no position: {message}"))
}

/// The message of an event; its fields say what the message says. None if it only tells when to come back.
fn event_of(event: &str) -> Option<Value> {
    let fields: Vec<(&str, &str)> = event
        .lines()
        .map(|line| line.split_once(": ").unwrap())
        .collect();
    if let [("retry", milliseconds)] = fields[..] {
        assert!(milliseconds.parse::<u64>().unwrap() > 0);
        return None;
    }
    let field = |name| fields.iter().find(|(field, _)| *field == name);
    let (_, data) = field("data").unwrap();
    let message: Value = serde_json::from_str(data).unwrap();
    assert_eq!(message["type"], field("event").unwrap().1);
    let id = field("id").map(|(_, id)| id.parse::<u64>().unwrap());
    assert_eq!(message["position"].as_u64(), id);
    Some(message)
}
