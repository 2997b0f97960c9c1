//! The sockets of open previews.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::git_server::GitServer;
use crate::support::{Server, from_git};

type Socket =
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

async fn opened() -> (Server, GitServer) {
    let remote = GitServer::start().await;
    let url = remote.repository(
        "team/app",
        &[("index.html", "<head></head>"), ("ui/main.js", "1")],
    );
    let server = Server::start().await;
    server.open(&from_git(&url)).await;
    (server, remote)
}

async fn connect(server: &Server) -> (Socket, String) {
    let url = format!("ws://{}/static/", server.address);
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let version = next(&mut socket).await;
    assert!(version.starts_with("version:\""), "{version}");
    (socket, version)
}

async fn next(socket: &mut Socket) -> String {
    let message = tokio::time::timeout(Duration::from_secs(20), socket.next()).await;
    let message = message
        .expect("no message came")
        .expect("the socket closed");
    message.unwrap().into_text().unwrap().to_string()
}

/// The next message is a refresh, and the version behind it is returned.
async fn refreshed(socket: &mut Socket) -> String {
    assert_eq!(next(socket).await, "refresh:");
    next(socket).await
}

#[tokio::test]
async fn every_open_preview_is_told_of_a_saved_file() {
    let (server, _remote) = opened().await;
    let (mut one, version) = connect(&server).await;
    let (mut two, same) = connect(&server).await;
    assert_eq!(version, same);
    one.send(Message::text(r#"{"type":"ping"}"#)).await.unwrap();
    server.write("ui/main.js", "2");
    let newer = refreshed(&mut one).await;
    assert_ne!(newer, version);
    assert_eq!(refreshed(&mut two).await, newer);
}

#[tokio::test]
async fn files_in_new_directories_are_seen() {
    let (server, _remote) = opened().await;
    let (mut socket, _) = connect(&server).await;
    server.write("ui/new.reel/deep/new.js", "1");
    refreshed(&mut socket).await;
    server.write("ui/new.reel/deep/new.js", "2");
    refreshed(&mut socket).await;
    std::fs::rename(
        server.workspace.join("ui/new.reel"),
        server.workspace.join("ui/other.reel"),
    )
    .unwrap();
    refreshed(&mut socket).await;
    server.write("ui/other.reel/deep/new.js", "3");
    refreshed(&mut socket).await;
}

#[tokio::test]
async fn what_no_page_shows_refreshes_nothing() {
    let (server, _remote) = opened().await;
    let (mut socket, _) = connect(&server).await;
    server.write(".env", "x");
    server.write("node_modules/x/index.js", "x");
    server.get("/static/index.html").await;
    // Only the last of these may be heard of.
    server.write("index.html", "<p>new");
    refreshed(&mut socket).await;
    let more = tokio::time::timeout(Duration::from_millis(400), socket.next()).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test]
async fn a_page_that_was_away_learns_that_it_is_old() {
    let (server, _remote) = opened().await;
    let (mut socket, before) = connect(&server).await;
    let page = server.get("/static/index.html").await.text().await.unwrap();
    let quoted = before.strip_prefix("version:").unwrap();
    assert!(page.contains(&format!("data-version={quoted}")), "{page}");
    server.write("index.html", "<p>changed");
    refreshed(&mut socket).await;
    drop(socket);
    let (_, after) = connect(&server).await;
    assert_ne!(before, after);
}

#[tokio::test]
async fn a_page_of_another_name_or_project_gets_no_socket() {
    let (server, _remote) = opened().await;
    for (name, value) in [
        ("host", "evil.test:80"),
        ("firefly-project", "bob/montage/app"),
    ] {
        let url = format!("ws://{}/static/", server.address);
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
        let refused = tokio_tungstenite::connect_async(request).await.unwrap_err();
        let status = match &refused {
            tungstenite::Error::Http(response) => response.status().as_u16(),
            _ => panic!("{refused}"),
        };
        assert_eq!(status, 421, "{name}: {value}");
    }
}

#[tokio::test]
async fn sockets_close_with_the_server() {
    let (server, _remote) = opened().await;
    let (mut socket, _) = connect(&server).await;
    server
        .control(reqwest::Method::POST, "shutdown")
        .send()
        .await
        .unwrap();
    let end = async { while let Some(Ok(_)) = socket.next().await {} };
    tokio::time::timeout(Duration::from_secs(10), end)
        .await
        .expect("the socket stayed open");
    assert!(server.task.await.unwrap().is_ok());
}
