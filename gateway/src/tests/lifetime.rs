//! How connections, and the gateway itself, come to their ends.

use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::tests::support::{APP, PATIENCE, PREVIEWS, Running, project_server};

const REQUEST: &[u8] = b"GET /favicon.svg HTTP/1.1\r\nHost: localhost\r\n\r\n";

async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // A reset is an end as well.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest))
        .await
        .unwrap();
}

#[tokio::test]
async fn shutdown_does_not_wait_for_idle_connections() {
    let gateway = Running::start().await;
    let address = gateway.address;
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(REQUEST).await.unwrap();
    idle.read_u8().await.unwrap();
    gateway.get(APP, "/", &[]).await;
    let started = Instant::now();
    gateway.stop().await;
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    closed(&mut idle).await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn shutdown_cuts_what_will_not_end() {
    let gateway = Running::with(|config| config.limits.shutdown = Duration::from_millis(50)).await;
    let (address, _) = project_server().await;
    gateway.projects.serve_at("alice/montage/app", address);
    let held = gateway
        .get(PREVIEWS, "/alice/montage/app/endless", &[])
        .await;
    gateway.stop().await;
    drop(held);
}

#[tokio::test]
async fn a_client_that_says_nothing_is_sent_away() {
    let gateway =
        Running::with(|config| config.limits.header_read = Duration::from_millis(50)).await;
    let mut silent = TcpStream::connect(gateway.address).await.unwrap();
    closed(&mut silent).await;
    let mut slow = TcpStream::connect(gateway.address).await.unwrap();
    slow.write_all(&REQUEST[..20]).await.unwrap();
    closed(&mut slow).await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_sent_away() {
    let gateway = Running::with(|config| {
        config.limits.write_stall = Duration::from_millis(100);
        config.limits.upstream_requests = 1;
    });
    let gateway = gateway.await;
    let (address, _) = project_server().await;
    gateway.projects.serve_at("alice/montage/app", address);
    let mut greedy = TcpStream::connect(gateway.address).await.unwrap();
    let request = b"GET /alice/montage/app/flood HTTP/1.1\r\nHost: project.localhost\r\n\r\n";
    greedy.write_all(request).await.unwrap();
    greedy.read_u8().await.unwrap();
    let served = async {
        let path = "/alice/montage/app/part";
        while gateway.get(PREVIEWS, path, &[]).await.status() != StatusCode::OK {}
    };
    timeout(PATIENCE, served).await.unwrap();
}

#[tokio::test]
async fn connections_over_the_limit_wait_for_a_place() {
    let gateway = Running::with(|config| config.limits.connections = 1).await;
    let mut first = TcpStream::connect(gateway.address).await.unwrap();
    first.write_all(REQUEST).await.unwrap();
    first.read_u8().await.unwrap();
    let mut second = TcpStream::connect(gateway.address).await.unwrap();
    second.write_all(REQUEST).await.unwrap();
    let early = timeout(Duration::from_millis(100), second.read_u8()).await;
    assert!(early.is_err(), "two connections were served at once");
    drop(first);
    timeout(PATIENCE, second.read_u8()).await.unwrap().unwrap();
}
