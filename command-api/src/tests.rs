//! Commands over HTTP, against a real log.

mod projections;

use axum::body::Body;
use firefly_domain::project::{Command, Outcome};
use firefly_domain::{Actor, Generation, Project, ProjectKey, Segment};
use firefly_event_store::sqlite::SqliteEventStore;
use firefly_event_store::{Context, Position, handle};
use firefly_identity::Secret;
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

use super::*;

struct Api {
    router: Router,
    store: Arc<dyn EventStore>,
    token: String,
    _home: tempfile::TempDir,
}

/// Read models that no projection fills.
async fn read_models(home: &std::path::Path) -> Database {
    let url = format!("sqlite:{}", home.join("read-models.db").display());
    firefly_read_models::open(&url).await.unwrap()
}

struct Answer {
    status: u16,
    headers: http::HeaderMap,
    body: Value,
}

impl Api {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(&Secret::load_or_create(&home.path().join("secret")).unwrap());
        let store: Arc<dyn EventStore> = Arc::new(
            SqliteEventStore::open(&home.path().join("events.db"))
                .await
                .unwrap(),
        );
        let local = LocalSignIn::new(
            Segment::parse("alice").unwrap(),
            "127.0.0.1:0".parse().unwrap(),
        )
        .unwrap();
        let config = Config {
            authenticator: Authenticator::new(tokens.clone()),
            tokens,
            local: Some(local),
            github_url: GITHUB_URL.into(),
            read_models: read_models(home.path()).await,
            projections: vec![],
        };
        let router = router(config, Arc::clone(&store));
        let mut api = Self {
            router,
            store,
            token: String::new(),
            _home: home,
        };
        let started = api.post("sessions/start", json!({"client": "test"})).await;
        assert_eq!(started.status, 201);
        api.token = started.body["token"].as_str().unwrap().to_owned();
        api
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(path, body.to_string(), &[]).await
    }

    async fn send(&self, path: &str, body: impl Into<Body>, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::post(format!("/api/v1/{path}"))
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", self.token));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self
            .router
            .clone()
            .oneshot(request.body(body.into()).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: serde_json::from_slice(&bytes)
                .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&bytes))),
        }
    }

    fn head(&self) -> Position {
        *self.store.head().borrow()
    }
}

#[tokio::test]
async fn opening_answers_where_the_event_stands() {
    let api = Api::new().await;
    let opened = api
        .post("projects/open", json!({"source": "template:starter"}))
        .await;
    assert_eq!(opened.status, 202);
    assert_eq!(opened.body["project"]["key"], "alice/template/starter");
    assert_eq!(opened.body["project"]["state"], "opening");
    assert_eq!(
        opened.headers["firefly-position"],
        api.head().to_string().as_str()
    );
    assert_eq!(opened.headers["etag"], "\"rev-0\"");

    let again = api
        .post("projects/alice/template/starter/open", json!({}))
        .await;
    assert_eq!(
        (again.status, again.headers["etag"].to_str().unwrap()),
        (202, "\"rev-0\"")
    );
    assert_eq!(
        again.headers["firefly-position"],
        opened.headers["firefly-position"]
    );
}

#[tokio::test]
async fn a_project_named_by_owner_and_repository_comes_from_github() {
    let api = Api::new().await;
    let opened = api.post("projects/alice/montage/app/open", json!({})).await;
    assert_eq!(
        opened.body["project"]["source"],
        "https://github.com/montage/app.git"
    );
}

#[tokio::test]
async fn a_deleted_project_is_opened_again_from_where_it_came() {
    let api = Api::new().await;
    api.post("projects/open", json!({"source": "template:starter"}))
        .await;
    let project = "projects/alice/template/starter";
    api.post(&format!("{project}/delete"), json!({})).await;
    let key = ProjectKey::new("alice", "template", "starter").unwrap();
    let gone = Command::Report {
        generation: Generation::new(1),
        outcome: Outcome::WorkspaceDeleted,
    };
    let context = Context::new(Actor::Anonymous, Uuid::nil());
    handle::<Project>(&*api.store, key.id().as_uuid(), gone, &context)
        .await
        .unwrap();

    let restarted = api.post(&format!("{project}/restart"), json!({})).await;
    assert_eq!(restarted.status, 404);
    let opened = api.post(&format!("{project}/open"), json!({})).await;
    assert_eq!(opened.body["project"]["source"], "template:starter");
    assert_eq!(opened.body["project"]["generation"], 2);
}

#[tokio::test]
async fn a_refusal_by_a_rule_is_409_and_an_unknown_project_404() {
    let api = Api::new().await;
    let unknown = api
        .post("projects/alice/template/starter/close", json!({}))
        .await;
    assert_eq!(
        (unknown.status, &unknown.body["code"]),
        (404, &json!("project-not-found"))
    );
    api.post("projects/open", json!({"source": "template:starter"}))
        .await;
    api.post("projects/alice/template/starter/close", json!({}))
        .await;
    let closing = api
        .post("projects/alice/template/starter/open", json!({}))
        .await;
    assert_eq!(
        (closing.status, &closing.body["code"]),
        (409, &json!("project-closing"))
    );
    assert_eq!(closing.headers["content-type"], "application/problem+json");
}

#[tokio::test]
async fn a_command_for_an_older_revision_is_412() {
    let api = Api::new().await;
    api.post("projects/open", json!({"source": "template:starter"}))
        .await;
    let close = "projects/alice/template/starter/close";
    let stale = api.send(close, "{}", &[("if-match", "\"rev-7\"")]).await;
    assert_eq!(
        (stale.status, &stale.body["code"]),
        (412, &json!("stale-revision"))
    );
    assert_eq!(
        api.send(close, "{}", &[("if-match", "seven")]).await.status,
        400
    );
    assert_eq!(
        api.send(close, "{}", &[("if-match", "\"rev-0\"")])
            .await
            .status,
        202
    );
}

#[tokio::test]
async fn bad_input_is_refused_and_records_nothing() {
    let api = Api::new().await;
    let before = api.head();
    let long = "x".repeat(300);
    let open = "projects/open";
    for (path, body, status) in [
        (open, "{".to_owned(), 400),
        (open, "[]".to_owned(), 400),
        (open, "{}".to_owned(), 400),
        (open, r#"["template:starter",null]"#.to_owned(), 400),
        (
            "projects/alice/template/starter/delete",
            "[true]".to_owned(),
            400,
        ),
        ("sessions/start", r#"["x"]"#.to_owned(), 400),
        (
            open,
            json!({"source": "template:starter", "more": 1}).to_string(),
            400,
        ),
        (open, json!({"source": 7}).to_string(), 400),
        (open, json!({"source": "ssh://host/a/b"}).to_string(), 400),
        (
            open,
            json!({"source": "--upload-pack=x/y"}).to_string(),
            400,
        ),
        (
            open,
            json!({"source": "https://u:p@host/a/b"}).to_string(),
            400,
        ),
        (open, json!({"source": "a/b\0"}).to_string(), 400),
        (
            open,
            json!({"source": format!("a/{long}")}).to_string(),
            400,
        ),
        (
            open,
            json!({"source": "a/b", "branch": "-x"}).to_string(),
            400,
        ),
        (
            open,
            json!({"source": "a/b", "branch": "a..b"}).to_string(),
            400,
        ),
        (
            open,
            format!("{{\"source\":\"{}\"}}", "x".repeat(70_000)),
            413,
        ),
        ("projects/alice/..%2f/x/open", "{}".to_owned(), 400),
        ("projects/alice/-o/x/open", "{}".to_owned(), 400),
        ("projects/alice/a%00/x/open", "{}".to_owned(), 400),
        ("projects/alice/%D0%B0/x/open", "{}".to_owned(), 400),
        ("projects/bob/montage/app/open", "{}".to_owned(), 403),
        ("projects/bob/montage/app/delete", "{}".to_owned(), 403),
        (
            "projects/alice/montage/app/delete",
            json!({"force": "yes"}).to_string(),
            400,
        ),
        ("sessions/start", json!({"client": ""}).to_string(), 400),
        ("sessions/start", json!({"client": "a\n"}).to_string(), 400),
        (
            "sessions/join",
            json!({"project": "bob/montage/app"}).to_string(),
            403,
        ),
        ("sessions/join", json!({"project": "x"}).to_string(), 400),
    ] {
        let answer = api.send(path, body.clone(), &[]).await;
        let shown: String = body.chars().take(80).collect();
        assert_eq!(answer.status, status, "{path} {shown}: {}", answer.body);
        assert_eq!(
            answer.headers["content-type"], "application/problem+json",
            "{path} {shown}"
        );
        assert!(
            answer.body["detail"]
                .as_str()
                .is_some_and(|detail| !detail.is_empty()),
            "{path} {shown}"
        );
    }
    assert_eq!(api.head(), before);
}

#[tokio::test]
async fn a_session_that_was_ended_is_over() {
    let api = Api::new().await;
    assert_eq!(
        api.post(
            "sessions/join",
            json!({"project": "alice/template/starter"})
        )
        .await
        .status,
        200
    );
    assert_eq!(
        api.post(
            "sessions/leave",
            json!({"project": "alice/template/starter"})
        )
        .await
        .status,
        200
    );
    assert_eq!(api.post("sessions/end", json!({})).await.status, 200);
    let over = api
        .post("projects/open", json!({"source": "template:starter"}))
        .await;
    assert_eq!(
        (over.status, &over.body["code"]),
        (401, &json!("session-over"))
    );
}

#[tokio::test]
async fn nobody_signs_in_locally_through_a_proxy() {
    let api = Api::new().await;
    let start = r#"{"client":"test"}"#;
    for header in ["forwarded", "via", "x-forwarded-for", "x-forwarded-host"] {
        let passed_on = api.send("sessions/start", start, &[(header, "x")]).await;
        assert_eq!(
            (passed_on.status, &passed_on.body["code"]),
            (403, &json!("local-sign-in-off")),
            "{header}"
        );
    }
    assert_eq!(api.send("sessions/start", start, &[]).await.status, 201);
}

#[tokio::test]
async fn without_a_loopback_address_nobody_signs_in_and_no_path_is_opened() {
    let api = Api::new().await;
    let tokens = Tokens::new(&Secret::load_or_create(&api._home.path().join("secret")).unwrap());
    let config = Config {
        authenticator: Authenticator::new(tokens.clone()),
        tokens,
        local: None,
        github_url: GITHUB_URL.into(),
        read_models: read_models(api._home.path()).await,
        projections: vec![],
    };
    let api = Api {
        router: router(config, Arc::clone(&api.store)),
        ..api
    };
    assert_eq!(
        api.post("sessions/start", json!({"client": "test"}))
            .await
            .status,
        403
    );
    assert_eq!(
        api.post("projects/open", json!({"source": "/etc"}))
            .await
            .status,
        400
    );
    assert_eq!(
        api.post("projects/open", json!({"source": "template:starter"}))
            .await
            .status,
        202
    );
}

const OPEN: &str = "projects/open";
const STARTER: &str = r#"{"source":"template:starter"}"#;

#[tokio::test]
async fn a_request_with_a_key_is_done_once() {
    let api = Api::new().await;
    let first = api
        .send(OPEN, STARTER, &[("idempotency-key", "\"k1\"")])
        .await;
    api.post("projects/alice/template/starter/restart", json!({}))
        .await;
    let head = api.head();
    let again = api.send(OPEN, STARTER, &[("idempotency-key", "k1")]).await;
    assert_eq!(
        (again.status, &again.body),
        (202, &first.body),
        "the first answer, not the state now"
    );
    assert_eq!(
        again.headers["firefly-position"],
        first.headers["firefly-position"]
    );
    assert_eq!(api.head(), head);
}

#[tokio::test]
async fn a_key_is_not_good_for_another_request() {
    let api = Api::new().await;
    api.send(OPEN, STARTER, &[("idempotency-key", "k1")]).await;
    let head = api.head();
    for (path, body) in [
        (OPEN, r#"{"source":"template:other"}"#),
        ("projects/alice/template/starter/close", "{}"),
        ("sessions/join", r#"{"project":"alice/template/starter"}"#),
    ] {
        let other = api.send(path, body, &[("idempotency-key", "k1")]).await;
        assert_eq!(
            (other.status, &other.body["code"]),
            (422, &json!("idempotency-key-reused")),
            "{path}"
        );
    }
    for malformed in ["", "\"\"", "a\"b", &"k".repeat(256)] {
        assert_eq!(
            api.send(OPEN, STARTER, &[("idempotency-key", malformed)])
                .await
                .status,
            400,
            "{malformed}"
        );
    }
    assert_eq!(api.head(), head);
}

#[tokio::test]
async fn the_same_request_at_the_same_time_is_done_once() {
    let api = Api::new().await;
    let before = api.head();
    let key = [("idempotency-key", "k1")];
    let answers = futures::future::join_all((0..20).map(|_| api.send(OPEN, STARTER, &key))).await;
    for answer in &answers {
        let in_flight = answer.status == 409 && answer.body["code"] == "idempotency-key-in-flight";
        assert!(answer.status == 202 || in_flight, "{}", answer.body);
    }
    assert!(answers.iter().any(|answer| answer.status == 202));
    assert_eq!(api.head().number(), before.number() + 1);
}
