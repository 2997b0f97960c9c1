//! Projects that sleep, and what counts as use of them.

use std::time::{Duration, SystemTime};

use firefly_domain::Endpoint;
use futures::SinkExt;
use http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::Message;

use super::sockets::{echo, open};
use crate::Preview;
use crate::tests::support::{PREVIEWS, Running, problem_code, project_server, text};

const KEY: &str = "alice/montage/app";
const PAGE: &str = "/alice/montage/app/part";

fn last_use(gateway: &Running) -> Option<SystemTime> {
    gateway.activity.last_use(&KEY.parse().unwrap())
}

#[tokio::test]
async fn a_request_wakes_a_project_and_waits_for_it() {
    let gateway = Running::start().await;
    let (address, _) = project_server().await;
    gateway.projects.set(KEY, Preview::Asleep);
    let awake = async {
        gateway.projects.was_woken().await;
        gateway.projects.serve_at(KEY, address);
    };
    let (answer, ()) = tokio::join!(gateway.get(PREVIEWS, PAGE, &[]), awake);
    assert_eq!(text(answer).await, "0123456789");
    assert!(last_use(&gateway).is_some());
}

#[tokio::test]
async fn a_socket_wakes_a_project_too() {
    let gateway = Running::start().await;
    let (address, _) = project_server().await;
    gateway.projects.set(KEY, Preview::Asleep);
    let awake = async {
        gateway.projects.was_woken().await;
        gateway.projects.serve_at(KEY, address);
    };
    let path = "/alice/montage/app/socket";
    let (opened, ()) = tokio::join!(open(&gateway, PREVIEWS, path, None), awake);
    echo(&mut opened.unwrap().0, "good morning").await;
}

#[tokio::test]
async fn one_that_takes_long_to_wake_is_said_to_be_waking() {
    let gateway = Running::with(|config| config.limits.wake = Duration::from_millis(50)).await;
    gateway.projects.set(KEY, Preview::Asleep);
    let answer = gateway.get(PREVIEWS, PAGE, &[]).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers()["retry-after"], "1");
    assert_eq!(problem_code(answer).await, "preview-waking");
}

#[tokio::test]
async fn so_many_wait_and_no_more() {
    let gateway = Running::with(|config| config.limits.waking_requests = 1).await;
    let (address, _) = project_server().await;
    gateway.projects.set(KEY, Preview::Asleep);
    let second = async {
        gateway.projects.was_woken().await;
        let answer = gateway.get(PREVIEWS, PAGE, &[]).await;
        assert_eq!(problem_code(answer).await, "preview-waking");
        gateway.projects.serve_at(KEY, address);
    };
    let (first, ()) = tokio::join!(gateway.get(PREVIEWS, PAGE, &[]), second);
    assert_eq!(first.status(), StatusCode::OK);
}

#[tokio::test]
async fn what_fails_to_wake_is_said_to_have_failed() {
    let gateway = Running::start().await;
    gateway.projects.set(KEY, Preview::Asleep);
    let closed = async {
        gateway.projects.was_woken().await;
        gateway.projects.set(KEY, Preview::Closed);
    };
    let (answer, ()) = tokio::join!(gateway.get(PREVIEWS, PAGE, &[]), closed);
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}

/// It was on its way to sleep when the request came.
#[tokio::test]
async fn one_that_falls_asleep_over_a_request_is_woken() {
    let gateway = Running::start().await;
    let (address, _) = project_server().await;
    gateway.projects.serve_at(KEY, address);
    let asleep = async {
        gateway.projects.set(KEY, Preview::Asleep);
        gateway.projects.was_woken().await;
    };
    tokio::select! {
        answer = gateway.get(PREVIEWS, "/alice/montage/app/silent", &[]) => panic!("{answer:?}"),
        () = asleep => {}
    }
}

#[tokio::test]
async fn messages_are_use_and_pings_are_not() {
    let gateway = Running::start().await;
    let (address, _) = project_server().await;
    gateway.projects.serve_at(KEY, address);
    let path = "/alice/montage/app/socket";
    let (mut socket, _) = open(&gateway, PREVIEWS, path, None).await.unwrap();
    let opened = last_use(&gateway).unwrap();
    // Beyond what counts as one use.
    tokio::time::sleep(Duration::from_millis(150)).await;
    // Its answer comes after the ping's, so that the ping has passed both ways.
    socket.send(Message::Ping("still here".into())).await.unwrap();
    pong(&mut socket).await;
    assert_eq!(last_use(&gateway), Some(opened));
    echo(&mut socket, "hello").await;
    assert!(last_use(&gateway).unwrap() > opened);

    // A message to one that sleeps wakes it.
    gateway.projects.set(KEY, Preview::Asleep);
    tokio::time::sleep(Duration::from_millis(150)).await;
    echo(&mut socket, "wake up").await;
    gateway.projects.was_woken().await;
}

async fn pong(socket: &mut super::sockets::Socket) {
    let answer = futures::StreamExt::next(socket).await.unwrap().unwrap();
    assert!(answer.is_pong(), "{answer:?}");
}

#[tokio::test]
async fn a_request_for_an_endpoint_that_is_gone_is_still_use() {
    let gateway = Running::start().await;
    let nobody = Endpoint::new("127.0.0.1:9");
    gateway.projects.set(KEY, Preview::Ready(nobody));
    gateway.get(PREVIEWS, PAGE, &[]).await;
    assert!(last_use(&gateway).is_some());
}
