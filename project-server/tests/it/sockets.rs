//! The same doors on a Unix socket.

use firefly_domain::control::ReportBody;
use firefly_project_server::{Config, Listen};

use crate::git_server::GitServer;
use crate::support::{PAGE, Server, config, from_git};

#[tokio::test]
async fn a_project_is_opened_and_shown_over_a_unix_socket() {
    let home = tempfile::tempdir().unwrap();
    let workspace = home.path().join("workspace");
    std::fs::create_dir(&workspace).unwrap();
    let socket = home.path().join("server.sock");
    // As one that was killed leaves it.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let remote = GitServer::start().await;
    let url = remote.repository("team/app", PAGE);
    let server = Server::start_as(Config {
        listen: Listen::Unix(socket),
        ..config(&workspace)
    })
    .await;
    let outcomes = server.open(&from_git(&url)).await;
    assert!(
        matches!(outcomes.last(), Some(ReportBody::Ready { .. })),
        "{outcomes:?}"
    );
    let page = server.get("/static/index.html").await;
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().contains("hello"));
}
