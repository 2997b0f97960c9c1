//! Tunnels and requests that are passed on: where they lead, where they do not, and how many there may be.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use firefly_egress::{Policy, socket};
use http::HeaderValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::support::{Names, Raw, Running, config, echo, soon};

#[tokio::test]
async fn a_tunnel_carries_bytes_both_ways() {
    let cache = tempfile::tempdir().unwrap();
    let egress = Running::start(config(Policy::RegistriesAndGit, cache.path())).await;
    let echo = echo().await;
    let mut tunnel = egress.tunnel(&echo.to_string()).await.unwrap();
    assert_eq!(tunnel.read(5).await, "hello");
    tunnel.send("and back").await;
    assert_eq!(tunnel.read(8).await, "and back");
    tunnel.0.shutdown().await.unwrap();
    assert_eq!(tunnel.rest().await, "");
    egress.stop().await;
}

#[tokio::test]
async fn the_socket_leads_out_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let echo = echo().await;
    let egress = firefly_egress::Egress::build(config(Policy::None, directory.path()))
        .await
        .unwrap();
    let path = directory.path().join("run/egress.sock");
    let listener = socket::listen(&path).unwrap();
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(egress.run(listener, shutdown.clone()));
    let mut client = UnixStream::connect(&path).await.unwrap();
    let head = format!("CONNECT {echo} HTTP/1.1\r\nHost: {echo}\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    soon(client.read_exact(&mut answer)).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 200");
    shutdown.cancel();
    soon(running).await.unwrap().unwrap();
    // The tunnel was cut with everything else.
    let mut rest = Vec::new();
    let _ = soon(client.read_to_end(&mut rest)).await;
    assert!(
        rest.ends_with(b"hello") || rest.ends_with(b"\r\n\r\n"),
        "{rest:?}"
    );
}

#[tokio::test]
async fn what_may_not_be_reached_is_told_in_a_sentence() {
    let cache = tempfile::tempdir().unwrap();
    let mut open = config(Policy::Open, cache.path());
    open.allow.clear();
    let names = Names::new(&[&["10.0.0.1", "::ffff:169.254.169.254"]]);
    let egress = Running::start_with(open, names).await;
    let refusals = [
        (
            "10.0.0.1:443",
            "Firefly does not let projects reach 10.0.0.1:443: 10.0.0.1 is an address of a private network",
        ),
        (
            "0x7f.1:443",
            "127.0.0.1:443: 127.0.0.1 is a loopback address",
        ),
        ("[::ffff:169.254.169.254]:80", "is a link-local address"),
        (
            "rebound.test:443",
            "rebound.test:443: 10.0.0.1 is an address of a private network",
        ),
        ("github.com:25", "port 25 is not open to projects"),
    ];
    for (target, said) in refusals {
        let refusal = egress.tunnel(target).await.err().unwrap();
        assert!(refusal.starts_with("HTTP/1.1 403"), "{refusal}");
        assert!(refusal.contains("content-type: text/plain"), "{refusal}");
        assert!(refusal.contains(said), "{refusal}");
    }
    for target in ["github.com", "github.com:x", "a_b:0", "[::1:443"] {
        let mut raw = egress.connect().await;
        raw.send(&format!("CONNECT {target} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        assert!(raw.head().await.starts_with("HTTP/1.1 400"), "{target}");
    }
}

#[tokio::test]
async fn a_name_that_is_not_open_is_not_looked_up() {
    let cache = tempfile::tempdir().unwrap();
    for policy in [Policy::RegistriesAndGit, Policy::None] {
        let names = Names::new(&[&["203.0.113.1"]]);
        let egress = Running::start_with(config(policy, cache.path()), names.clone()).await;
        let refusal = egress
            .tunnel("secret.evil.example:443")
            .await
            .err()
            .unwrap();
        assert!(refusal.starts_with("HTTP/1.1 403"), "{refusal}");
        assert_eq!(names.lookups.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn what_was_judged_is_what_is_connected_to() {
    let cache = tempfile::tempdir().unwrap();
    let echo = echo().await;
    let mut open = config(Policy::Open, cache.path());
    open.allow = vec![format!("127.0.0.1:{}", echo.port()).parse().unwrap()];
    // A second lookup would lead elsewhere, and the first one leads to two places, of which one is refused.
    let names = Names::new(&[&["10.255.255.1", "127.0.0.1"], &["10.255.255.1"]]);
    let egress = Running::start_with(open, names.clone()).await;
    let mut tunnel = egress
        .tunnel(&format!("rebinding.test:{}", echo.port()))
        .await
        .unwrap();
    assert_eq!(tunnel.read(5).await, "hello");
    assert_eq!(names.lookups.load(Ordering::SeqCst), 1);
    assert!(
        egress
            .tunnel(&format!("rebinding.test:{}", echo.port()))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn trouble_on_the_way_is_told() {
    let cache = tempfile::tempdir().unwrap();
    let egress = Running::start(config(Policy::RegistriesAndGit, cache.path())).await;
    let unresolved = egress.tunnel("github.com:443").await.err().unwrap();
    assert!(unresolved.starts_with("HTTP/1.1 502"), "{unresolved}");
    assert!(
        unresolved.contains("finds no address for github.com:443"),
        "{unresolved}"
    );
    let closed = TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let unreachable = egress.tunnel(&closed.to_string()).await.err().unwrap();
    assert!(unreachable.starts_with("HTTP/1.1 502"), "{unreachable}");
    assert!(
        unreachable.contains(&format!("cannot connect to {closed}")),
        "{unreachable}"
    );
}

#[tokio::test]
async fn there_are_only_so_many_ways_out_and_none_stays_idle() {
    let cache = tempfile::tempdir().unwrap();
    let echo = echo().await.to_string();
    let mut few = config(Policy::None, cache.path());
    few.limits.passages = 1;
    few.limits.idle = Duration::from_millis(300);
    let egress = Running::start(few).await;
    let mut first = egress.tunnel(&echo).await.unwrap();
    let refusal = egress.tunnel(&echo).await.err().unwrap();
    assert!(refusal.starts_with("HTTP/1.1 503"), "{refusal}");
    assert_eq!(
        first.rest().await,
        "hello",
        "it is cut once nothing is said"
    );
    // Its place is free again as soon as the egress has noticed.
    let second = async {
        while egress.tunnel(&echo).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    soon(second).await;
}

#[tokio::test]
async fn heads_without_end_are_refused() {
    let cache = tempfile::tempdir().unwrap();
    let egress = Running::start(config(Policy::None, cache.path())).await;
    let mut raw = egress.connect().await;
    let filler = "x".repeat(64 * 1_024);
    raw.send(&format!(
        "GET /npm/a HTTP/1.1\r\nHost: a\r\nX-Filler: {filler}"
    ))
    .await;
    assert!(raw.head().await.starts_with("HTTP/1.1 431"));
    let mut quick = config(Policy::None, cache.path());
    quick.limits.header_read = Duration::from_millis(100);
    let egress = Running::start(quick).await;
    let mut raw = egress.connect().await;
    raw.send("GET /npm/a HTTP/1.1\r\n").await;
    let cut = raw.rest().await;
    assert!(cut.is_empty() || cut.starts_with("HTTP/1.1 408"), "{cut}");
}

/// A server that tells what it was sent.
async fn mirror() -> SocketAddr {
    async fn answer(request: Request) -> Response {
        let said = format!(
            "{} {} {:?}",
            request.method(),
            request.uri(),
            request.headers()
        );
        let body = request.into_body();
        let mut response = Response::new(body);
        if response.headers().is_empty() && said.contains("GET") {
            response = Response::new(Body::from(said));
        }
        let headers = response.headers_mut();
        headers.insert("keep-alive", HeaderValue::from_static("timeout=5"));
        headers.insert("x-kept", HeaderValue::from_static("1"));
        response
    }
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    address
}

#[tokio::test]
async fn requests_are_passed_on_without_what_is_the_proxys() {
    let cache = tempfile::tempdir().unwrap();
    let mirror = mirror().await;
    let egress = Running::start(config(Policy::RegistriesAndGit, cache.path())).await;
    let mut raw = egress.connect().await;
    raw.send(&format!(
        "GET http://{mirror}/repo.git/info/refs?service=x HTTP/1.1\r\nHost: elsewhere.test\r\nProxy-Authorization: Basic x\r\n\
         Proxy-Connection: keep-alive\r\nAuthorization: Basic y\r\nConnection: x-private\r\nX-Private: 1\r\n\r\n"
    ))
    .await;
    let head = raw.head().await;
    assert!(
        head.starts_with("HTTP/1.1 200") && head.contains("x-kept: 1"),
        "{head}"
    );
    assert!(!head.contains("timeout=5"), "{head}");
    let length: usize = head
        .split("content-length: ")
        .nth(1)
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let said = raw.read(length).await;
    assert!(
        said.starts_with("GET /repo.git/info/refs?service=x"),
        "{said}"
    );
    assert!(said.contains(&format!("\"host\": \"{mirror}\"")), "{said}");
    assert!(
        said.contains("Basic y"),
        "what the project sends to the host itself is its own: {said}"
    );
    for word in ["proxy", "Basic x", "x-private", "elsewhere"] {
        assert!(!said.contains(word), "{word} in {said}");
    }
}

#[tokio::test]
async fn bodies_stream_both_ways() {
    let cache = tempfile::tempdir().unwrap();
    let mirror = mirror().await;
    let egress = Running::start(config(Policy::RegistriesAndGit, cache.path())).await;
    let mut raw = egress.connect().await;
    let head = format!(
        "POST http://{mirror}/ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    raw.send(&head).await;
    assert!(raw.head().await.starts_with("HTTP/1.1 100"));
    raw.send("5\r\nfirst\r\n").await;
    assert!(raw.head().await.starts_with("HTTP/1.1 200"));
    // The first part is back before the second one is sent.
    assert_eq!(raw.read(10).await, "5\r\nfirst\r\n");
    raw.send("6\r\nsecond\r\n0\r\n\r\n").await;
    assert_eq!(
        raw.read(16).await,
        "6\r\nsecond\r\n0\r\n\r\n".get(..16).unwrap()
    );
}

#[tokio::test]
async fn requests_that_may_not_be_passed_on_are_refused() {
    let cache = tempfile::tempdir().unwrap();
    let egress = Running::start(config(Policy::Open, cache.path())).await;
    let answers = [
        ("http://10.0.0.1/", "403"),
        ("http://169.254.169.254/latest/meta-data/", "403"),
        ("http://[::1]:2440/", "403"),
        ("https://github.com/", "400"),
        ("http://bob:secret@github.com/", "400"),
    ];
    for (url, status) in answers {
        let mut raw: Raw = egress.connect().await;
        raw.send(&format!("GET {url} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        let head = raw.head().await;
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status}")),
            "{url}: {head}"
        );
    }
}
