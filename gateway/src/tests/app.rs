//! The app host: console and API, and what is refused before either.

use axum::body::Body;
use futures::stream;
use http::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Config;
use crate::tests::support::{APP, PATIENCE, PREVIEWS, Running, json, problem_code, text};

const JSON: (&str, &str) = ("content-type", "application/json");

fn small_bodies(config: &mut Config) {
    config.limits.request_body_bytes = 1_000;
}

/// Sends bytes as they are and gives the first line of the answer.
async fn status_line(gateway: &Running, request: &str) -> String {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 64];
    let length = timeout(PATIENCE, stream.read(&mut answer))
        .await
        .unwrap()
        .unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn the_console_is_served_and_cached() {
    let gateway = Running::start().await;
    let page = gateway.get(APP, "/", &[]).await;
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(page.headers()["x-content-type-options"], "nosniff");
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(
        policy.starts_with("default-src 'self'; connect-src 'self' ws: wss:"),
        "{policy}"
    );
    let tag = page.headers()["etag"].to_str().unwrap().to_owned();
    assert!(text(page).await.contains("<title>Firefly</title>"));

    let again = gateway.get(APP, "/", &[("if-none-match", &tag)]).await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(text(again).await, "");

    let post = gateway
        .send(Method::POST, APP, "/", &[], Body::empty())
        .await;
    assert_eq!(post.headers()["allow"], "GET, HEAD");
    assert_eq!(problem_code(post).await, "method-not-allowed");
}

#[tokio::test]
async fn only_own_hosts_are_answered() {
    let gateway = Running::start().await;
    for host in [APP, "127.0.0.1", "[::1]", PREVIEWS] {
        assert_eq!(
            gateway.get(host, "/", &[]).await.status(),
            StatusCode::OK,
            "{host}"
        );
    }
    let foreign = gateway.get("evil.example", "/api/v1/echo", &[]).await;
    assert_eq!(foreign.status(), StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(problem_code(foreign).await, "host-unknown");
    for request in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: user@localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    ] {
        let status = status_line(&gateway, request).await;
        assert!(status.contains(" 400 "), "{request:?} got {status}");
    }
}

#[tokio::test]
async fn pages_of_others_change_nothing() {
    let gateway = Running::start().await;
    let port = gateway.address.port();
    let send = |origin: String| {
        let gateway = &gateway;
        async move {
            let fields = [("origin", origin.as_str())];
            gateway
                .send(Method::POST, APP, "/api/v1/echo", &fields, Body::from("x"))
                .await
        }
    };
    for own in ["localhost", "127.0.0.1", "[::1]"] {
        assert_eq!(
            send(format!("http://{own}:{port}")).await.status(),
            StatusCode::OK
        );
    }
    for foreign in [
        "http://evil.example",
        "null",
        &format!("http://project.localhost:{port}"),
    ] {
        let refused = send(foreign.to_owned()).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{foreign}");
        assert_eq!(problem_code(refused).await, "origin-foreign");
    }
}

#[tokio::test]
async fn large_bodies_are_refused_announced_or_not() {
    let gateway = Running::with(small_bodies).await;
    let post = |body: Body| gateway.send(Method::POST, APP, "/api/v1/echo", &[], body);
    assert_eq!(
        post(Body::from(vec![b'x'; 1_000])).await.status(),
        StatusCode::OK
    );
    let announced = post(Body::from(vec![b'x'; 1_001])).await;
    assert_eq!(announced.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(problem_code(announced).await, "body-too-large");
    let pieces = stream::iter((0..11).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 100])));
    let streamed = post(Body::from_stream(pieces)).await;
    assert_eq!(streamed.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(problem_code(streamed).await, "body-too-large");
}

#[tokio::test]
async fn every_refusal_is_a_problem() {
    let gateway = Running::start().await;
    let missing = gateway.get(APP, "/nothing/here", &[]).await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert_eq!(missing.headers()["x-content-type-options"], "nosniff");
    assert_eq!(problem_code(missing).await, "not-found");

    let method = gateway.get(APP, "/api/v1/echo", &[]).await;
    assert_eq!(method.headers()["allow"], "POST");
    assert_eq!(problem_code(method).await, "method-not-allowed");

    let malformed = gateway
        .send(Method::POST, APP, "/api/v1/json", &[JSON], Body::from("{"))
        .await;
    assert_eq!(malformed.status(), StatusCode::BAD_REQUEST);
    assert!(
        json(malformed).await["detail"]
            .as_str()
            .unwrap()
            .contains("JSON")
    );

    let head = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "x".repeat(100_000)
    );
    let status = status_line(&gateway, &head).await;
    assert!(status.contains(" 431 "), "{status}");
}

#[tokio::test]
async fn a_panic_is_told_as_a_fault_and_the_gateway_goes_on() {
    let gateway = Running::start().await;
    let fault = gateway.get(APP, "/api/v1/panic", &[]).await;
    assert_eq!(fault.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(problem_code(fault).await, "internal");
    assert_eq!(gateway.get(APP, "/", &[]).await.status(), StatusCode::OK);
}
