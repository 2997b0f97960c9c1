//! Containers that are reached over a Unix socket in a directory of theirs.

use std::path::PathBuf;

use http::StatusCode;
use http_body_util::BodyExt;
use tempfile::TempDir;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::tests::sockets::{echo, ended, open};
use crate::tests::support::{
    PATIENCE, PREVIEWS, Running, json, problem_code, project_server_on, text,
};

const KEY: &str = "alice/montage/app";

/// A gateway whose one project answers on a socket.
struct Stage {
    gateway: Running,
    socket: PathBuf,
    stop: CancellationToken,
    home: TempDir,
}

async fn stage() -> Stage {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("container");
    std::fs::create_dir(&directory).unwrap();
    let socket = directory.join("server.sock");
    let stop = project_server_on(&socket);
    let gateway = Running::start().await;
    gateway.projects.serve_on(KEY, &socket);
    Stage {
        gateway,
        socket,
        stop,
        home: home,
    }
}

fn path(rest: &str) -> String {
    format!("/{KEY}/{rest}")
}

#[tokio::test]
async fn files_come_and_the_container_learns_no_path_of_the_host() {
    let stage = stage().await;
    let asked = path("asked/a%20b?x=%2F");
    let response = stage.gateway.get(PREVIEWS, &asked, &[]).await;
    let asked = json(response).await;
    assert_eq!(asked["uri"], "/static/asked/a%20b?x=%2F");
    // A project-server answers to an address only.
    let host = asked["headers"]["host"].as_str().unwrap();
    assert!(host.parse::<std::net::SocketAddr>().is_ok(), "{host}");

    let range = [("range", "bytes=2-4")];
    let part = stage.gateway.get(PREVIEWS, &path("part"), &range).await;
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(text(part).await, "234");
}

#[tokio::test]
async fn an_answer_streams_as_it_comes() {
    let stage = stage().await;
    let response = stage.gateway.get(PREVIEWS, &path("endless"), &[]).await;
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body();
    let first = timeout(PATIENCE, body.frame()).await.unwrap().unwrap();
    assert_eq!(first.unwrap().into_data().unwrap(), "first");
}

#[tokio::test]
async fn messages_pass_both_ways_until_the_gateway_stops() {
    let stage = stage().await;
    let opened = open(&stage.gateway, PREVIEWS, &path("socket"), None).await;
    let (mut socket, response) = opened.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "echo");
    echo(&mut socket, "hello").await;
    echo(&mut socket, &"x".repeat(200_000)).await;
    stage.gateway.stop().await;
    ended(&mut socket).await;
}

#[tokio::test]
async fn a_socket_without_a_server_gives_a_bad_gateway_until_there_is_one() {
    let stage = stage().await;
    stage.stop.cancel();
    let refused = async {
        while stage
            .gateway
            .get(PREVIEWS, &path("part"), &[])
            .await
            .status()
            == StatusCode::OK
        {}
    };
    timeout(PATIENCE, refused).await.unwrap();
    let gone = stage.gateway.get(PREVIEWS, &path("part"), &[]).await;
    assert_eq!(problem_code(gone).await, "preview-unreachable");

    std::fs::remove_file(&stage.socket).unwrap();
    let _stop = project_server_on(&stage.socket);
    let back = stage.gateway.get(PREVIEWS, &path("part"), &[]).await;
    assert_eq!(text(back).await, "0123456789");
}

#[tokio::test]
async fn a_link_to_another_socket_of_the_host_leads_nowhere() {
    let stage = stage().await;
    let precious = stage.home.path().join("precious.sock");
    let _stop = project_server_on(&precious);
    std::fs::remove_file(&stage.socket).unwrap();
    std::os::unix::fs::symlink(&precious, &stage.socket).unwrap();
    let refused = stage.gateway.get(PREVIEWS, &path("part"), &[]).await;
    assert_eq!(refused.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(problem_code(refused).await, "preview-unreachable");
}
