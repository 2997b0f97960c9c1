//! Whatever is sent, the answer is a problem that programs can read, and nothing is appended to the log.

use firefly_tests::{Answer, Api, Firefly, Runtime, raw};
use reqwest::Method;
use serde_json::json;

/// Larger than any command may be.
const TOO_LARGE_BYTES: usize = 70 * 1024;

const JSON: (&str, &str) = ("content-type", "application/json");

/// Posts a body as it is.
async fn post(api: &Api, path: &str, body: &[u8]) -> Answer {
    api.send(Method::POST, path, &[JSON], Some(body)).await
}

#[tokio::test]
async fn malformed_bodies_are_refused() {
    let firefly = Firefly::start(Runtime::Process).await;
    let api = firefly.api().await;
    let head = api.head().await;
    for body in [
        "",
        "{",
        "null",
        "[]",
        "\"template:starter\"",
        "{\"source\":\"template:starter\"}x",
        "{\"source\":7}",
        "{\"source\":null}",
        "{\"branch\":\"main\"}",
        "{\"source\":\"template:starter\",\"more\":1}",
        "{\"source\":\"template:starter\",\"source\":\"template:starter\"}",
        "{\"source\":\"template:starter\",\"branch\":\"-x\"}",
        "{\"source\":\"template:starter\",\"branch\":\"a..b\"}",
        "\u{feff}{\"source\":\"template:starter\"}",
    ] {
        let answer = post(&api, "projects/open", body.as_bytes()).await;
        assert_eq!(answer.problem(), (400, "malformed".to_owned()), "{body}");
    }
    let bytes = b"{\"source\":\"\xff\xfe\"}";
    let answer = post(&api, "projects/open", bytes).await;
    assert_eq!(answer.problem().0, 400);
    for (path, body) in [
        ("projects/local/a/b/close", "{\"force\":true}"),
        ("projects/local/a/b/delete", "{\"force\":1}"),
        ("projects/local/a/b/restart", "[1]"),
        ("sessions/start", "{}"),
        ("sessions/start", "{\"client\":\"\"}"),
        ("sessions/start", "{\"client\":\"a\\u0000b\"}"),
        ("sessions/join", "{\"project\":\"local/../x\"}"),
    ] {
        let answer = post(&api, path, body.as_bytes()).await;
        assert_eq!(answer.problem().0, 400, "{path} {body}: {answer:?}");
    }
    assert_eq!(api.head().await, head);
}

#[tokio::test]
async fn hostile_names_and_addresses_are_refused() {
    let firefly = Firefly::start(Runtime::Process).await;
    let api = firefly.api().await;
    let head = api.head().await;
    let long = "a".repeat(3_000);
    for source in [
        "",
        " ",
        "app",
        "../..",
        "../../etc",
        "a/b/c",
        "-option/x",
        "owner/-option",
        "template:",
        "template:../starter",
        "template:-x",
        "file:///etc/passwd",
        "ssh://host/owner/repo",
        "git@host:owner/repo",
        "git://host/owner/repo",
        "ext::sh -c true",
        "javascript:alert(1)",
        "https://host",
        "https://user:secret@host/owner/repo",
        "https://-option/owner/repo",
        "https://host/owner/repo name",
        "https://host/owner/repo\nx",
        "https://host/owner/repo\0",
        "/etc/../etc",
        "/a\0b",
        "/",
        "приложение/x",
        "a\u{202e}b/x",
        &format!("https://host/owner/{long}"),
        &format!("{long}/x"),
        &format!("/{}", long.repeat(2)),
    ] {
        let answer = api.post("projects/open", json!({"source": source})).await;
        assert_eq!(
            answer.problem(),
            (400, "malformed".to_owned()),
            "{source:?}"
        );
    }
    for path in [
        "projects/local/..%2f..%2fetc/x/open",
        "projects/local/%2e%2e/x/open",
        "projects/local/owner/-option/open",
        "projects/local/owner/%00/open",
        "projects/local/owner/%D0%B6/open",
        "projects/local/owner/%ff/open",
        "projects/local/owner/a%20b/open",
        &format!("projects/local/owner/{long}/open"),
    ] {
        let answer = post(&api, path, b"{}").await;
        assert_eq!(answer.problem().0 / 100, 4, "{path}: {answer:?}");
    }
    assert_eq!(api.head().await, head);
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused() {
    let firefly = Firefly::start(Runtime::Process).await;
    let api = firefly.api().await;
    let head = api.head().await;
    let body = format!("{{\"source\":\"{}\"}}", "x".repeat(TOO_LARGE_BYTES));
    let answer = post(&api, "projects/open", body.as_bytes()).await;
    assert_eq!(answer.problem(), (413, "body-too-large".to_owned()));
    // Announced alone is enough: nobody waits for a body that is not going to be read.
    let headers = [
        "Host: localhost",
        "Content-Type: application/json",
        "Content-Length: 99999999999",
        &format!("Authorization: Bearer {}", api.token),
    ];
    let line = "POST /api/v1/projects/open HTTP/1.1";
    let answer = raw::send(firefly.port(), line, &headers).await;
    assert_eq!(answer.status, 413, "{answer:?}");
    assert_eq!(api.head().await, head);
}

#[tokio::test]
async fn wrong_methods_types_and_paths_are_refused() {
    let firefly = Firefly::start(Runtime::Process).await;
    let api = firefly.api().await;
    let head = api.head().await;
    let body = br#"{"source":"template:starter"}"#;
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH] {
        let answer = api
            .send(method.clone(), "projects/open", &[JSON], Some(body))
            .await;
        assert_eq!(answer.problem().0, 405, "{method}: {answer:?}");
    }
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "",
    ] {
        let answer = api
            .send(
                Method::POST,
                "projects/open",
                &[("content-type", kind)],
                Some(body),
            )
            .await;
        assert_eq!(answer.problem().0, 415, "{kind}: {answer:?}");
    }
    let answer = api
        .send(Method::POST, "projects/open", &[], Some(body))
        .await;
    assert_eq!(answer.problem().0, 415);
    for path in [
        "",
        "nothing",
        "projects/open/open",
        "projects/a",
        "../v2/projects",
    ] {
        let answer = api.get(path).await;
        assert_eq!(answer.problem().0, 404, "{path}: {answer:?}");
    }
    for query in [
        "projects?nothing=1",
        "projects?state=nothing",
        "projects?state=ready,",
        "projects?owner=a/b",
        "containers?state=ready",
        "workspaces?state=ready",
    ] {
        let answer = api.get(query).await;
        assert_eq!(answer.problem(), (400, "malformed".to_owned()), "{query}");
    }
    // A method that is not taken is told first, whatever else the request says.
    for header in [("idempotency-key", "k"), ("firefly-min-position", "x")] {
        for (method, path) in [(Method::PUT, "projects/open"), (Method::PATCH, "projects")] {
            let headers = [header, ("authorization", "")];
            let answer = api.send(method, path, &headers, None).await;
            assert_eq!(answer.problem().0, 405, "{path} with {header:?}");
            assert!(!answer.header("allow").is_empty(), "{path}: {answer:?}");
        }
    }
    assert_eq!(api.head().await, head);
}

#[tokio::test]
async fn nobody_without_a_good_token_gets_anything() {
    let firefly = Firefly::start(Runtime::Process).await;
    let api = firefly.api().await;
    let head = api.head().await;
    let changed = format!("Bearer {}x", api.token);
    let cut = format!("Bearer {}", &api.token[..api.token.len() / 2]);
    for token in ["", "Bearer", "Bearer ", "Basic bG9jYWw6", &changed, &cut] {
        let headers = [("authorization", token), JSON];
        for path in [
            "projects",
            "projects?at=1",
            "projects/local/a/b",
            "projects/local/a/b/history",
            "projects/local/a/b/history/diff?from=1",
            "sessions",
            "sessions/00000000-0000-0000-0000-000000000000",
            "sessions/00000000-0000-0000-0000-000000000000/history",
            "containers",
            "projections",
            "history",
            "events",
        ] {
            let answer = api.get_with(path, &headers).await;
            assert_eq!(answer.problem().0, 401, "{path} with {token:?}");
        }
        let body = br#"{"source":"template:starter"}"#;
        let answer = api
            .send(Method::POST, "projects/open", &headers, Some(body))
            .await;
        assert_eq!(answer.problem().0, 401, "{token:?}");
    }
    assert_eq!(api.head().await, head);
}

#[tokio::test]
async fn other_hosts_and_pages_of_other_sites_are_refused() {
    let firefly = Firefly::start(Runtime::Process).await;
    let api = firefly.api().await;
    let head = api.head().await;
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.2",
        "x.project.localhost",
    ] {
        let answer = api.get_with("projects", &[("host", host)]).await;
        assert_eq!(answer.problem(), (421, "host-unknown".to_owned()), "{host}");
    }
    let port = firefly.port();
    for origin in [
        "http://evil.example".to_owned(),
        "null".to_owned(),
        format!("https://localhost:{port}"),
        format!("http://project.localhost:{port}"),
    ] {
        for path in ["projects/open", "sessions/start"] {
            let headers = [("origin", origin.as_str()), JSON];
            let answer = api.send(Method::POST, path, &headers, Some(b"{}")).await;
            assert_eq!(
                answer.problem(),
                (403, "origin-foreign".to_owned()),
                "{origin}"
            );
        }
    }
    for headers in [
        &[][..],
        &["Host:"][..],
        &["Host: a b"][..],
        &["Host: localhost", "Host: localhost"][..],
    ] {
        let answer = raw::send(port, "GET /api/v1/projects HTTP/1.1", headers).await;
        assert_eq!(answer.status, 400, "{headers:?}: {answer:?}");
    }
    assert_eq!(api.head().await, head);
}
