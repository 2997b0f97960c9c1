//! Endpoints of both forms, through hyper's client.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::serve::{Listener, ListenerExt};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::net::{TcpListener, UnixListener};

use super::*;

const LIMIT: Duration = Duration::from_secs(10);

type Body = Empty<&'static [u8]>;

/// Serves what it was asked, and counts its connections.
fn serve<L>(listener: L) -> Arc<AtomicUsize>
where
    L: Listener,
    L::Addr: std::fmt::Debug,
{
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let listener = listener.tap_io(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let asked = |request: axum::extract::Request| async move {
        let host = request.headers()[HOST].to_str().unwrap();
        format!("{host} {}", request.uri())
    };
    tokio::spawn(axum::serve(listener, Router::new().fallback(asked)).into_future());
    connections
}

async fn ask(client: &Client<Connector, Body>, endpoint: &Endpoint) -> String {
    let mut request = Request::new(Body::new());
    direct(&mut request, endpoint, "/a%20b/{c}?x=%2F").unwrap();
    let answer = client.request(request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn both_forms_are_asked_by_an_address_and_over_connections_of_their_own() {
    let home = tempfile::tempdir().unwrap();
    let client = Client::builder(TokioExecutor::new()).build(Connector::new(LIMIT));
    let mut counts = Vec::new();

    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = tcp.local_addr().unwrap().to_string();
    counts.push(serve(tcp));
    let mut asked = vec![(Endpoint::new(&authority), authority)];
    for name in ["one", "other"] {
        let directory = home.path().join(name);
        std::fs::create_dir(&directory).unwrap();
        let path = directory.join("server.sock");
        counts.push(serve(UnixListener::bind(&path).unwrap()));
        asked.push((Endpoint::unix(&path), UNIX_HOST.to_owned()));
    }
    for _ in 0..3 {
        for (endpoint, host) in &asked {
            let answer = ask(&client, endpoint).await;
            assert_eq!(answer, format!("{host} /a%20b/{{c}}?x=%2F"));
        }
    }
    for connections in counts {
        assert_eq!(connections.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test]
async fn what_is_no_endpoint_is_not_asked() {
    let mut request = Request::new(Body::new());
    let nowhere = direct(&mut request, &Endpoint::new("nowhere"), "/");
    assert!(matches!(nowhere, Err(Error::Endpoint(_))), "{nowhere:?}");
    let odd = direct(&mut request, &Endpoint::new("127.0.0.1:1"), "/a b");
    assert!(matches!(odd, Err(Error::Url(_))), "{odd:?}");
    let plain = Uri::from_static("http://127.0.0.1:1/");
    let plain = Connector::new(LIMIT).call(plain).await;
    assert!(matches!(plain, Err(Error::Url(_))), "{plain:?}");
}
