//! The reactor's door.

use firefly_domain::control::ReportBody;
use futures::StreamExt;

use crate::git_server::GitServer;
use crate::support::{PAGE, Server, from_git, from_template};

#[tokio::test]
async fn only_the_key_opens_the_control_door() {
    let server = Server::start().await;
    for key in [
        None,
        Some("Bearer wrong"),
        Some("Bearer "),
        Some("a key of the tests"),
    ] {
        for (method, path) in [
            ("POST", "assignment"),
            ("GET", "reports"),
            ("GET", "workspace"),
            ("POST", "shutdown"),
        ] {
            let url = server.url(&format!("/control/v1/{path}"));
            let mut request = server.client.request(method.parse().unwrap(), url);
            if let Some(key) = key {
                request = request.header("authorization", key);
            }
            assert_eq!(request.send().await.unwrap().status(), 401);
        }
    }
}

#[tokio::test]
async fn an_assignment_may_be_repeated_but_not_replaced() {
    let remote = GitServer::start().await;
    let first = from_git(&remote.repository("team/app", PAGE));
    let server = Server::start().await;
    assert_eq!(server.assign(&first).await.status(), 204);
    assert_eq!(server.assign(&first).await.status(), 204);
    assert_eq!(server.assign(&from_template("starter")).await.status(), 409);
    for (body, status) in [
        ("{", 400),
        ("{}", 400),
        (r#"{"project":1}"#, 400),
        (&"x".repeat(70_000), 413),
    ] {
        let request = server
            .control(reqwest::Method::POST, "assignment")
            .body(body.to_owned());
        assert_eq!(request.send().await.unwrap().status(), status);
    }
    let outcomes = server.open(&first).await;
    assert_eq!(
        outcomes
            .iter()
            .filter(|body| matches!(body, ReportBody::Cloned { .. }))
            .count(),
        1
    );
}

#[tokio::test]
async fn a_late_reader_gets_only_what_it_has_not_seen() {
    let remote = GitServer::start().await;
    let url = remote.repository("team/app", PAGE);
    let server = Server::start().await;
    server.open(&from_git(&url)).await;
    let mut reports = server.reports(2).await;
    let next = reports.next().await.unwrap();
    assert_eq!((next.sequence, next.generation.number()), (3, 7));
    assert!(matches!(next.body, ReportBody::Ready { .. }));
}
