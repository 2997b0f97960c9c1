//! Containers that misbehave, and what that does to everybody else.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::tests::support::{
    PATIENCE, PREVIEWS, Running, json, problem_code, project_server, serve,
};

const ENDLESS: &str = "/alice/montage/app/endless";
const PART: &str = "/alice/montage/app/part";

/// Reads on until the answer breaks off.
async fn broken_off(response: Response) {
    let mut body = response.into_body();
    let end = async { while let Some(Ok(_)) = body.frame().await {} };
    timeout(PATIENCE, end).await.unwrap();
}

#[tokio::test]
async fn an_answer_that_stops_in_the_middle_is_broken_off() {
    let gateway = Running::with(|config| {
        config.limits.response_idle = Duration::from_millis(50);
        config.limits.upstream_requests = 1;
    });
    let gateway = gateway.await;
    let (address, _) = project_server().await;
    gateway.projects.serve_at("alice/montage/app", address);
    broken_off(gateway.get(PREVIEWS, ENDLESS, &[]).await).await;
    let served = gateway.get(PREVIEWS, PART, &[]).await;
    assert_eq!(served.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_container_that_stalls_takes_nothing_from_the_others() {
    let gateway = Running::with(|config| config.limits.upstream_requests_per_container = 1).await;
    for key in ["alice/montage/app", "bob/montage/app"] {
        let (address, _) = project_server().await;
        gateway.projects.serve_at(key, address);
    }
    let held = gateway.get(PREVIEWS, ENDLESS, &[]).await;
    let refused = gateway.get(PREVIEWS, PART, &[]).await;
    assert_eq!(problem_code(refused).await, "previews-busy");
    let others = gateway.get(PREVIEWS, "/bob/montage/app/part", &[]).await;
    assert_eq!(others.status(), StatusCode::OK);
    drop(held);
}

#[tokio::test]
async fn another_projects_container_is_not_shown() {
    let gateway = Running::start().await;
    let others = Router::new().fallback(|| async { StatusCode::MISDIRECTED_REQUEST });
    let (address, _) = serve(others).await;
    gateway.projects.serve_at("alice/montage/app", address);
    let response = gateway.get(PREVIEWS, PART, &[]).await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(problem_code(response).await, "preview-unreachable");
}

#[tokio::test]
async fn a_container_learns_whose_preview_is_meant_and_gets_no_body() {
    let gateway = Running::start().await;
    let (address, _) = project_server().await;
    gateway.projects.serve_at("alice/montage/app", address);
    let fields = [("firefly-project", "bob/montage/app")];
    let response = gateway
        .send(
            Method::GET,
            PREVIEWS,
            "/Alice/montage/app/asked/x",
            &fields,
            Body::from("a body"),
        )
        .await;
    let asked = json(response).await;
    assert_eq!(asked["headers"]["firefly-project"], "alice/montage/app");
    assert_eq!(asked["body"], 0);
    assert!(asked["headers"].get("content-length").is_none());
}
