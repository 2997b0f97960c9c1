//! WebSockets through the gateway.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use http::StatusCode;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};
use tokio_tungstenite::tungstenite::{Error, handshake::client::Response};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::tests::support::{APP, PATIENCE, PREVIEWS, Running, project_server};

pub type Socket = WebSocketStream<TcpStream>;

pub async fn open(
    gateway: &Running,
    host: &str,
    path: &str,
    origin: Option<&str>,
) -> Result<(Socket, Response), Error> {
    let url = format!("ws://{host}:{}{path}", gateway.address.port());
    let mut request = url.into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", "echo".parse().unwrap());
    if let Some(origin) = origin {
        headers.insert("origin", origin.parse().unwrap());
    }
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    timeout(PATIENCE, client_async(request, stream))
        .await
        .unwrap()
}

pub async fn echo(socket: &mut Socket, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
    let answer = timeout(PATIENCE, socket.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(answer, Message::text(text));
}

/// Waits until the other side has ended the socket, whether it said so or not.
pub async fn ended(socket: &mut Socket) {
    let end = async { while let Some(Ok(_)) = socket.next().await {} };
    timeout(PATIENCE, end).await.unwrap();
}

async fn with_project(change: impl FnOnce(&mut crate::Config)) -> Running {
    let gateway = Running::with(change).await;
    let (address, _) = project_server().await;
    gateway.projects.serve_at("alice/montage/app", address);
    gateway
}

#[tokio::test]
async fn messages_pass_both_ways_until_the_socket_is_closed() {
    let gateway = with_project(|_| {}).await;
    for path in [
        "/alice/montage/app",
        "/alice/montage/app/",
        "/alice/montage/app/socket",
    ] {
        let (mut socket, response) = open(&gateway, PREVIEWS, path, None).await.unwrap();
        assert_eq!(response.headers()["sec-websocket-protocol"], "echo");
        echo(&mut socket, "hello").await;
        echo(&mut socket, &"x".repeat(200_000)).await;
        let goodbye = CloseFrame {
            code: CloseCode::Normal,
            reason: "done".into(),
        };
        socket.close(Some(goodbye.clone())).await.unwrap();
        let answer = timeout(PATIENCE, socket.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert_eq!(answer, Message::Close(Some(goodbye)));
    }
}

#[tokio::test]
async fn a_socket_of_the_api_works_too() {
    let gateway = with_project(|_| {}).await;
    let (mut socket, _) = open(&gateway, APP, "/api/v1/live", None).await.unwrap();
    echo(&mut socket, "hello").await;
}

#[tokio::test]
async fn pages_of_others_get_no_socket() {
    let gateway = with_project(|_| {}).await;
    let port = gateway.address.port();
    let own = format!("http://project.localhost:{port}");
    let project = "/alice/montage/app/";
    for (host, path, origin) in [
        (APP, "/api/v1/live", "http://evil.example"),
        (APP, "/api/v1/live", own.as_str()),
        (PREVIEWS, project, "http://evil.example"),
    ] {
        let refused = open(&gateway, host, path, Some(origin)).await;
        let Err(Error::Http(response)) = refused else {
            panic!("{origin} got a socket to {host}");
        };
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
    }
    open(&gateway, PREVIEWS, project, Some(&own)).await.unwrap();
    let app = format!("http://localhost:{port}");
    open(&gateway, APP, "/api/v1/live", Some(&app))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_refused_handshake_is_passed_on() {
    let gateway = with_project(|_| {}).await;
    let refused = open(&gateway, PREVIEWS, "/alice/montage/app/part", None).await;
    let Err(Error::Http(response)) = refused else {
        panic!("a file became a socket");
    };
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_silent_socket_is_ended() {
    let gateway =
        with_project(|config| config.limits.tunnel_idle = Duration::from_millis(100)).await;
    let (mut socket, _) = open(&gateway, PREVIEWS, "/alice/montage/app/", None)
        .await
        .unwrap();
    echo(&mut socket, "hello").await;
    ended(&mut socket).await;
}

#[tokio::test]
async fn no_more_sockets_are_opened_than_may_be() {
    let gateway = with_project(|config| config.limits.tunnels = 1).await;
    let path = "/alice/montage/app/";
    let (first, _) = open(&gateway, PREVIEWS, path, None).await.unwrap();
    let Err(Error::Http(response)) = open(&gateway, PREVIEWS, path, None).await else {
        panic!("a second socket was opened");
    };
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(first);
    let again = async { while open(&gateway, PREVIEWS, path, None).await.is_err() {} };
    timeout(PATIENCE, again).await.unwrap();
}

#[tokio::test]
async fn one_container_does_not_take_all_sockets() {
    let gateway = with_project(|config| config.limits.tunnels_per_container = 1).await;
    let (address, _) = project_server().await;
    gateway.projects.serve_at("bob/montage/app", address);
    let _held = open(&gateway, PREVIEWS, "/alice/montage/app/", None)
        .await
        .unwrap();
    let refused = open(&gateway, PREVIEWS, "/alice/montage/app/", None).await;
    assert!(refused.is_err(), "a second socket was opened");
    open(&gateway, PREVIEWS, "/bob/montage/app/", None)
        .await
        .unwrap();
}

#[tokio::test]
async fn shutdown_ends_open_sockets() {
    let gateway = with_project(|_| {}).await;
    let (mut socket, _) = open(&gateway, PREVIEWS, "/alice/montage/app/", None)
        .await
        .unwrap();
    echo(&mut socket, "hello").await;
    gateway.stop().await;
    ended(&mut socket).await;
}
