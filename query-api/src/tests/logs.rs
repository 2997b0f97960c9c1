//! What containers print, over HTTP: who may read it, how it comes, and how many at once.

use std::collections::VecDeque;
use std::sync::Mutex;

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tower::ServiceExt;

use super::*;
use crate::logs::{Line, Lines, READERS_MAX, Unreadable, Wanted};

type Printer = mpsc::UnboundedSender<Result<Line, Unreadable>>;

/// Output that a test makes up: one stream for each reader, in order, and an engine that does not answer any others.
#[derive(Clone, Default)]
pub struct Printed {
    streams: Arc<Mutex<VecDeque<Lines>>>,
    asked: Arc<Mutex<Vec<Wanted>>>,
}

impl Printed {
    fn printer(&self) -> Printer {
        let (printer, lines) = mpsc::unbounded_channel();
        let lines = UnboundedReceiverStream::new(lines).boxed();
        self.streams.lock().unwrap().push_back(lines);
        printer
    }
}

impl Logs for Printed {
    fn read(
        &self,
        _key: ProjectKey,
        wanted: Wanted,
    ) -> BoxFuture<'static, Result<Lines, Unreadable>> {
        self.asked.lock().unwrap().push(wanted);
        let lines = self.streams.lock().unwrap().pop_front();
        async move { lines.ok_or_else(unreadable) }.boxed()
    }
}

fn unreadable() -> Unreadable {
    Unreadable("the engine is away".into())
}

fn line(text: &str) -> Line {
    Line {
        time: "2026-01-02T03:04:05.000000006Z".parse().unwrap(),
        generation: 1,
        stream: "npm",
        text: text.to_owned(),
    }
}

fn app() -> ProjectKey {
    ProjectKey::new("alice", "montage", "app").unwrap()
}

impl Live {
    async fn with_project() -> Self {
        let live = Self::start().await;
        live.open(&app()).await;
        live
    }

    async fn logs_as(&self, token: &str, query: &str) -> axum::response::Response {
        let request = Request::get(format!("/api/v1/projects/alice/montage/app/logs{query}"))
            .header("authorization", format!("Bearer {token}"))
            .body(Body::empty())
            .unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn logs(&self, user: &str, query: &str) -> axum::response::Response {
        self.logs_as(&self.token(user), query).await
    }

    async fn refused_logs(&self, user: &str, query: &str) -> (u16, String) {
        let response = self.logs(user, query).await;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let problem: Value = serde_json::from_slice(&body).unwrap();
        (status, problem["code"].as_str().unwrap().to_owned())
    }
}

async fn text(response: axum::response::Response) -> String {
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let body = response.into_body().collect().await.unwrap();
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn lines_are_objects_and_end_where_the_output_does() {
    let live = Live::with_project().await;
    let printer = live.printed.printer();
    printer.send(Ok(line("one"))).unwrap();
    printer.send(Ok(line("two"))).unwrap();
    drop(printer);
    let query = "?tail=7&after=2026-01-01T00:00:00Z";
    assert_eq!(
        text(live.logs("alice", query).await).await,
        "{\"time\":\"2026-01-02T03:04:05.000000006Z\",\"generation\":1,\"stream\":\"npm\",\"text\":\"one\"}\n\
         {\"time\":\"2026-01-02T03:04:05.000000006Z\",\"generation\":1,\"stream\":\"npm\",\"text\":\"two\"}\n"
    );
    let wanted = Wanted {
        follow: false,
        tail: Some(7),
        after: "2026-01-01T00:00:00Z".parse().ok(),
    };
    assert_eq!(*live.printed.asked.lock().unwrap(), [wanted]);
}

#[tokio::test]
async fn the_owner_and_an_auditor_read_and_nobody_else() {
    let live = Live::with_project().await;
    for user in ["alice", AUDITOR] {
        drop(live.printed.printer());
        assert_eq!(text(live.logs(user, "").await).await, "");
    }
    let refused = live.refused_logs("bob", "").await;
    assert_eq!(refused, (403, "not-an-auditor".to_owned()));
    for query in [
        "?tail=-1",
        "?tail=100001",
        "?follow=perhaps",
        "?after=x",
        "?until=1",
    ] {
        let refused = live.refused_logs("alice", query).await;
        assert_eq!(refused, (400, "malformed".to_owned()), "{query}");
    }
    let never_opened = Live::start().await;
    let refused = never_opened.refused_logs("alice", "").await;
    assert_eq!(refused, (404, "project-not-found".to_owned()));
}

#[tokio::test]
async fn an_engine_that_does_not_answer_is_told_by_the_status_if_it_can_be() {
    let live = Live::with_project().await;
    let unavailable = (503, "containers-unavailable".to_owned());
    assert_eq!(live.refused_logs("alice", "").await, unavailable);
    assert_eq!(
        live.refused_logs("alice", "?follow=true").await,
        unavailable
    );
    live.printed.printer().send(Err(unreadable())).unwrap();
    assert_eq!(live.refused_logs("alice", "").await, unavailable);
    let printer = live.printed.printer();
    printer.send(Ok(line("one"))).unwrap();
    printer.send(Err(unreadable())).unwrap();
    let broken = live.logs("alice", "").await;
    assert_eq!(broken.status(), StatusCode::OK);
    assert!(
        broken.into_body().collect().await.is_err(),
        "it is broken off"
    );
}

#[tokio::test]
async fn a_follower_hears_from_us_until_its_session_ends() {
    let live = Live::with_project().await;
    let printer = live.printed.printer();
    let identity = live.identity("alice");
    let token = live.tokens.issue(&identity, chrono::Utc::now()).token;
    let response = live.logs_as(&token, "?follow=true").await;
    let mut frames = response.into_body().into_data_stream();
    printer.send(Ok(line("one"))).unwrap();
    let first = frames.next().await.unwrap().unwrap();
    assert!(first.ends_with(b"\"one\"}\n"));
    assert!(
        frames.next().now_or_never().is_none(),
        "nothing was printed"
    );
    let heartbeat = Duration::from_secs(15);
    tokio::time::pause();
    tokio::time::advance(heartbeat).await;
    assert_eq!(frames.next().await.unwrap().unwrap(), "\n");
    live.authenticator.end(identity.session, chrono::Utc::now());
    tokio::time::advance(heartbeat).await;
    assert!(frames.next().await.is_none());
}

#[tokio::test]
async fn one_user_has_so_many_readers_and_all_have_no_more_than_there_is_room_for() {
    let live = Live::with_project().await;
    let mut kept = Vec::new();
    for _ in 0..16 {
        let printer = live.printed.printer();
        kept.push((live.logs("alice", "?follow=true").await, printer));
    }
    let refused = live.refused_logs("alice", "?follow=true").await;
    assert_eq!(refused, (429, "live-too-many".to_owned()));
    // Whose machine it is may have all of it.
    for _ in 16..READERS_MAX {
        let printer = live.printed.printer();
        kept.push((live.logs(AUDITOR, "?follow=true").await, printer));
    }
    assert!(
        kept.iter()
            .all(|(response, _)| response.status() == StatusCode::OK)
    );
    let refused = live.refused_logs(AUDITOR, "").await;
    assert_eq!(refused, (503, "live-busy".to_owned()));
    kept.pop();
    drop(live.printed.printer());
    assert_eq!(text(live.logs(AUDITOR, "").await).await, "");
}
