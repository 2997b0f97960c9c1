//! Where Firefly itself has to use a proxy; another egress plays it.

use std::sync::atomic::Ordering;

use firefly_egress::{Policy, UpstreamProxy};

use crate::registry::Registry;
use crate::support::{Names, Running, config, echo};

#[tokio::test]
async fn names_go_through_the_proxy_as_they_are() {
    let caches = tempfile::tempdir().unwrap();
    let echo = echo().await;
    let far = Names::new(&[&["127.0.0.1"]]);
    let proxy = Running::start_with(
        config(Policy::Open, &caches.path().join("proxy")),
        far.clone(),
    )
    .await;
    let mut chained = config(Policy::Open, &caches.path().join("chained"));
    chained.allow.clear();
    let url = format!("http://bob:secret@{}", proxy.address);
    chained.upstream_proxy = Some(UpstreamProxy::parse(&url, "127.0.0.2").unwrap());
    let near = Names::new(&[]);
    let egress = Running::start_with(chained, near.clone()).await;

    let mut tunnel = egress
        .tunnel(&format!("far.test:{}", echo.port()))
        .await
        .unwrap();
    assert_eq!(tunnel.read(5).await, "hello");
    tunnel.send("there").await;
    assert_eq!(tunnel.read(5).await, "there");
    assert_eq!(far.lookups.load(Ordering::SeqCst), 1);
    assert_eq!(near.lookups.load(Ordering::SeqCst), 0);

    // What the proxy would take for its own is refused here, and so is what it refuses.
    for target in [
        "127.0.0.1:443",
        "10.0.0.1:443",
        "localhost:443",
        "metadata.google.internal:80",
    ] {
        let refusal = egress.tunnel(target).await.err().unwrap();
        assert!(refusal.starts_with("HTTP/1.1 403"), "{refusal}");
    }
    let refusal = egress.tunnel("far.test:25").await.err().unwrap();
    assert!(refusal.starts_with("HTTP/1.1 403"), "{refusal}");
    // Beside the proxy addresses are judged as always.
    let refusal = egress.tunnel("127.0.0.2:443").await.err().unwrap();
    assert!(refusal.contains("loopback"), "{refusal}");
}

#[tokio::test]
async fn plain_requests_and_the_registry_go_through_it_too() {
    let caches = tempfile::tempdir().unwrap();
    let registry = Registry::start().await;
    registry.publish("a", "1.0.0", b"files");
    let far = Names::new(&[&["127.0.0.1"]]);
    let proxy = Running::start_with(
        config(Policy::Open, &caches.path().join("proxy")),
        far.clone(),
    )
    .await;
    let mut chained = config(Policy::Open, &caches.path().join("chained"));
    chained.registry = format!("http://registry.test:{}", registry.address.port())
        .parse()
        .unwrap();
    chained.upstream_proxy =
        Some(UpstreamProxy::parse(&format!("http://{}", proxy.address), "").unwrap());
    let egress = Running::start_with(chained, Names::new(&[])).await;

    let tarball = egress.npm("a/-/a-1.0.0.tgz").send().await.unwrap();
    assert_eq!(tarball.bytes().await.unwrap(), "files");
    assert!(far.lookups.load(Ordering::SeqCst) > 0);

    let mut raw = egress.connect().await;
    let url = format!("http://plain.test:{}/a", registry.address.port());
    raw.send(&format!("GET {url} HTTP/1.1\r\nHost: x\r\n\r\n"))
        .await;
    let head = raw.head().await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}
