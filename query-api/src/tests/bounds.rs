//! What is refused, and how soon.

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;

/// Read models that never take in anything.
struct NeverFresh;

impl Freshness for NeverFresh {
    fn reached(&self, _position: Position) -> BoxFuture<'static, ()> {
        std::future::pending().boxed()
    }
}

impl Live {
    /// The status and the body, which must come soon.
    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = async {
            let request = request.body(Body::empty()).unwrap();
            let response = self.router.clone().oneshot(request).await.unwrap();
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            (status, String::from_utf8(body.to_vec()).unwrap())
        };
        tokio::time::timeout(Duration::from_secs(5), answer)
            .await
            .expect("no answer came")
    }
}

fn code(body: &str) -> String {
    let problem: Value = serde_json::from_str(body).unwrap();
    problem["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn read_models_that_are_behind_are_not_ready() {
    for (freshness, status, mark) in [
        (Arc::new(AlwaysFresh) as Arc<dyn Freshness>, 200, "[+]"),
        (Arc::new(NeverFresh), 503, "[-]"),
    ] {
        let live = Live::with(freshness, LIVE_SOCKETS_MAX).await;
        live.open(&app()).await;
        let (answered, checks) = live.get("/readyz", &[]).await;
        assert_eq!(answered, status, "{checks}");
        assert!(
            checks.contains(&format!("{mark} read models\n")),
            "{checks}"
        );
        assert!(checks.contains("[+] live state\n"), "{checks}");
    }
}

#[tokio::test]
async fn strangers_and_made_up_positions_are_not_waited_for() {
    let live = Live::with(Arc::new(NeverFresh), LIVE_SOCKETS_MAX).await;
    let position = live.open(&app()).await;
    let waiting = [("firefly-min-position", "1"), ("prefer", "wait=10")];
    for stranger in [("x", "x"), ("authorization", "Bearer x")] {
        let headers = [waiting[0], waiting[1], stranger];
        let (status, _) = live.get("/api/v1/projects", &headers).await;
        assert_eq!(status, 401, "{headers:?}");
    }
    let token = format!("Bearer {}", live.token("alice"));
    let beyond = (position + 1).to_string();
    let headers = [
        ("authorization", token.as_str()),
        ("firefly-min-position", beyond.as_str()),
        waiting[1],
    ];
    let (status, body) = live.get("/api/v1/projects", &headers).await;
    assert_eq!((status, code(&body)), (400, "position-unknown".to_owned()));

    let known = position.to_string();
    let headers = [headers[0], ("firefly-min-position", known.as_str())];
    let (status, body) = live.get("/api/v1/projects", &headers).await;
    assert_eq!((status, code(&body)), (503, "projection-behind".to_owned()));
}

#[tokio::test]
async fn a_socket_without_a_token_is_refused_as_a_problem() {
    let live = Live::start().await;
    let (status, body) = live.get("/api/v1/live", &[]).await;
    assert_eq!((status, code(&body)), (401, "token-missing".to_owned()));
    let (status, body) = live.get("/api/v1/live?after=x", &[]).await;
    assert_eq!((status, code(&body)), (400, "malformed".to_owned()));
}

#[tokio::test]
async fn no_more_sockets_are_served_than_may_be() {
    let live = Live::with(Arc::new(AlwaysFresh), 1).await;
    let mut first = live.alice("").await;
    first.next().await;
    let query = format!("token={}", live.token("alice"));
    match live.connect(&query).await {
        Err(SocketError::Http(response)) => {
            assert_eq!(response.status().as_u16(), 503);
            assert_eq!(response.headers()["retry-after"], "1");
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("a second socket was served"),
    }
    drop(first);
    let again = async { while live.connect(&query).await.is_err() {} };
    tokio::time::timeout(DEADLINE, again).await.unwrap();
}
