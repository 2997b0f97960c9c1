//! What cannot be opened says so: with a step, a code and a sentence, in the API, in history and on the preview's page.

use std::net::TcpListener;

use firefly_tests::{Api, Firefly, GitServer, Runtime, wait_for};
use serde_json::{Value, json};

use crate::samples::{PLAIN, git_server};

on_both_runtimes! {
    what_cannot_be_opened_fails_with_a_reason_and_can_be_put_away,
    a_corrected_address_opens_what_failed,
    a_corrected_file_opens_what_failed,
}

/// A package of this name would have to be ours.
const NO_SUCH_PACKAGE: &str = r#"{"name": "app", "dependencies": {"firefly-end-to-end-tests-have-no-such-package": "1.0.0"}}"#;

/// What npm says beyond these lines differs from version to version.
const DETAIL_LINES: usize = 2;

/// What is opened, and the branch named with it.
type Opened = (String, Option<&'static str>);

async fn what_cannot_be_opened_fails_with_a_reason_and_can_be_put_away(runtime: Runtime) {
    let server = git_server(runtime).await;
    let firefly = Firefly::start(runtime).await;
    let api = firefly.api().await;
    let mut keys = Vec::new();
    for (source, branch) in sources(&server) {
        let body = json!({"source": source, "branch": branch});
        let opened = api.post("projects/open", body).await;
        assert_eq!(opened.status, 202, "{opened:?}");
        keys.push(opened.json()["project"]["key"].as_str().unwrap().to_owned());
    }

    let mut told = String::new();
    for key in &keys {
        let project = api.settled(key).await;
        assert_eq!(project["state"], "failed", "{project:#}");
        told.push_str(&describe(&project));
        shown_everywhere(&api, key, &project).await;
    }
    insta::with_settings!({filters => vec![
        (r"\(failed to lookup address[^)]*\)", "(the resolver's words)"),
        (r"https?://[^\s]+/firefly-end", "https://[registry]/firefly-end"),
        (r"\b(127|172)(\.\d+){3}:\d+", "[host]"),
    ], omit_expression => true}, {
        insta::assert_snapshot!(format!("failures_in_{}", runtime.as_str()), told);
    });

    for key in &keys {
        let closed = api.done(key, "close").await;
        assert_eq!(closed["state"], "closed", "{closed:#}");
        let deleted = api.done(key, "delete").await;
        assert_eq!(deleted["state"], "deleted", "{deleted:#}");
        assert!(!firefly.workspace(&deleted).exists(), "{deleted:#}");
    }
    assert_eq!(firefly.running(), [0; 0]);
}

/// One of each kind.
fn sources(server: &GitServer) -> Vec<Opened> {
    let plain = |source: String| (source, None);
    let empty = server.empty("tests/empty");
    assert!(empty.is_dir());
    let repository = |name: &str, files: &[(&str, &str)]| plain(server.repository(name, files));
    vec![
        plain("http://no-such-host.invalid/tests/nowhere.git".to_owned()),
        plain(format!(
            "http://{}/tests/closed-port.git",
            closed_port(server)
        )),
        plain(server.url("tests/missing")),
        plain(server.url("private/app")),
        plain(server.url("tests/empty")),
        (server.repository("tests/no-branch", PLAIN), Some("gone")),
        repository(
            "tests/broken-package",
            &[("index.html", "<p>"), ("package.json", "{ \"name\": ")],
        ),
        repository(
            "tests/no-such-package",
            &[("index.html", "<p>"), ("package.json", NO_SUCH_PACKAGE)],
        ),
        repository("tests/no-index", &[("README", "nothing to see\n")]),
        plain("template:no-such-template".to_owned()),
        plain("/no/such/directory".to_owned()),
    ]
}

/// An address that nobody listens on, on the host of the server.
fn closed_port(server: &GitServer) -> String {
    let listener = TcpListener::bind((server.address.ip(), 0)).unwrap();
    listener.local_addr().unwrap().to_string()
}

fn describe(project: &Value) -> String {
    let failure = &project["failure"];
    let part = |name: &str| failure[name].as_str().unwrap();
    let detail: Vec<&str> = part("detail").lines().take(DETAIL_LINES).collect();
    format!(
        "{}: {} {}\n  {}\n",
        project["key"].as_str().unwrap(),
        part("step"),
        part("code"),
        detail.join("\n  ")
    )
}

/// History and the preview's page tell the same as the project's view.
async fn shown_everywhere(api: &Api, key: &str, project: &Value) {
    let failure = &project["failure"];
    let (code, detail) = (
        failure["code"].as_str().unwrap(),
        failure["detail"].as_str().unwrap(),
    );
    let history = api.history(key).await;
    let failed = history
        .iter()
        .find(|event| event["type"] == "ProjectOpenFailed")
        .unwrap();
    for part in ["step", "code", "detail"] {
        assert_eq!(failed["data"][part], failure[part], "{failed:#}");
    }

    let path = format!("{key}/index.html");
    let page = api.preview(&path, &[("accept", "text/html")]).await;
    assert_eq!(page.status, 503, "{key}");
    assert!(page.header("content-type").starts_with("text/html"));
    for part in ["could not be opened", code] {
        assert!(page.text.contains(part), "{part} is not in {}", page.text);
    }
    let problem = api.preview(&path, &[]).await;
    assert_eq!(problem.problem(), (503, "preview-failed".to_owned()));
    let told = problem.json()["detail"].as_str().unwrap().to_owned();
    assert!(told.contains(detail), "{told}");
}

async fn a_corrected_address_opens_what_failed(runtime: Runtime) {
    let server = git_server(runtime).await;
    let good = server.repository("tests/there", PLAIN);
    let firefly = Firefly::start(runtime).await;
    let api = firefly.api().await;
    let key = api.open(&server.url("tests/here")).await;
    assert_eq!(api.settled(&key).await["state"], "failed");

    let body = json!({"source": good});
    let opened = api.post(&format!("projects/{key}/open"), body).await;
    assert_eq!(opened.status, 202, "{opened:?}");
    let project = api.settled(&key).await;
    assert_eq!(project["state"], "ready", "{project:#}");
    assert_eq!(project["source"], good);
}

async fn a_corrected_file_opens_what_failed(runtime: Runtime) {
    let server = git_server(runtime).await;
    let url = server.repository("tests/mended", &[("README", "no page yet\n")]);
    let firefly = Firefly::start(runtime).await;
    let api = firefly.api().await;
    let key = api.open(&url).await;
    let failed = api.settled(&key).await;
    assert_eq!(failed["failure"]["code"], "no-index-page", "{failed:#}");

    std::fs::write(firefly.workspace(&failed).join("index.html"), "<p>mended").unwrap();
    let project = api.done(&key, "restart").await;
    assert_eq!(project["state"], "ready", "{project:#}");
    // The list may know it before live state does, which the gateway asks.
    let preview = format!("{key}/index.html");
    let page = wait_for("the mended page", async || {
        let page = api.preview(&preview, &[]).await;
        (page.status == 200).then_some(page)
    });
    let page = page.await;
    assert!(page.text.starts_with("<p>mended"), "{}", page.text);
}
