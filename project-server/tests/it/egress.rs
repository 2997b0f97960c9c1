//! A project whose only way out is a Unix socket.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use firefly_domain::FailureCode;
use firefly_domain::control::ReportBody;
use firefly_project_server::{Config, Egress};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::git_server::GitServer;
use crate::support::{Server, config, from_git};

/// Package files that name one package, which npm has to ask for.
const FILES: &[(&str, &str)] = &[
    ("index.html", "<head></head>hello"),
    (
        "package.json",
        r#"{"name":"plain","version":"1.0.0","dependencies":{"never-published":"1.0.0"}}"#,
    ),
];

/// A name that no resolver knows: only a proxy leads there.
const REMOTE: &str = "http://git.invalid/team/app.git";

/// A registry without packages; it notes what it is asked.
async fn registry() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    let routes = Router::new().fallback(move |request: Request| async move {
        noted.lock().unwrap().push(request.uri().to_string());
        (StatusCode::NOT_FOUND, "{}")
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, routes).into_future());
    (address, asked)
}

/// A proxy of two lines: what asks for a whole URL goes to the remote, and everything else to the registry.
fn proxy(socket: &Path, remote: SocketAddr, registry: SocketAddr) {
    let listener = UnixListener::bind(socket).unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(pass(client, remote, registry));
        }
    });
}

async fn pass(mut client: UnixStream, remote: SocketAddr, registry: SocketAddr) {
    let mut begin = [0; 16];
    client.read_exact(&mut begin).await.unwrap();
    let (_, target) = std::str::from_utf8(&begin)
        .unwrap()
        .split_once(' ')
        .unwrap();
    let address = if target.starts_with('/') {
        registry
    } else {
        remote
    };
    let mut server = TcpStream::connect(address).await.unwrap();
    server.write_all(&begin).await.unwrap();
    // How it ends is no concern of the test.
    let _ = copy_bidirectional(&mut client, &mut server).await;
}

#[tokio::test]
async fn git_and_npm_leave_by_the_socket() {
    let home = tempfile::tempdir().unwrap();
    let workspace = home.path().join("workspace");
    std::fs::create_dir(&workspace).unwrap();
    let socket = home.path().join("egress.sock");
    let remote = GitServer::start().await;
    remote.repository("team/app", FILES);
    let (registry, asked) = registry().await;
    proxy(&socket, remote.address, registry);
    let server = Server::start_as(Config {
        egress: Some(Egress { socket, port: 0 }),
        npm_cache: Some(home.path().join("npm")),
        ..config(&workspace)
    })
    .await;
    let outcomes = server.open(&from_git(REMOTE)).await;
    assert!(
        matches!(outcomes.first(), Some(ReportBody::Cloned { .. })),
        "{outcomes:?}"
    );
    let Some(ReportBody::Failed(failure)) = outcomes.last() else {
        panic!("{outcomes:?}");
    };
    assert_eq!(failure.code, FailureCode::InstallFailed, "{failure:?}");
    assert!(failure.detail.contains("404"), "{failure:?}");
    let asked = asked.lock().unwrap();
    assert_eq!(
        asked.first().map(String::as_str),
        Some("/npm/never-published")
    );
}
