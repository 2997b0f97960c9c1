//! What the documentation of the API says, held against the real server by programs that know nothing of either.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use firefly_tests::api::text;
use firefly_tests::cached::run;
use firefly_tests::{Firefly, Follower, Runtime, Settings, Transport, npm, schemathesis};
use serde_json::{Value, json};

/// A port where nobody listens: what is opened from GitHub fails at once.
const NO_GITHUB: &str = "http://127.0.0.1:9";

#[tokio::test]
async fn every_operation_answers_as_documented_whatever_it_is_asked() {
    let mut settings = Settings::new(Runtime::Process);
    settings
        .arguments
        .extend(["--github-url".to_owned(), NO_GITHUB.to_owned()]);
    let firefly = Firefly::start_with(settings).await;
    let api = firefly.api().await;
    api.open_ready("template:starter").await;
    let url = format!("{}/openapi.json", firefly.url());
    let said = schemathesis::examine(&url, &[]).await;

    let document: Value = reqwest::get(&url).await.unwrap().json().await.unwrap();
    let paths = document["paths"].as_object().unwrap().values();
    let operations: usize = paths.map(|item| item.as_object().unwrap().len()).sum();
    assert!(
        said.contains(&format!("Tested: {operations}")),
        "not all {operations} operations were asked:\n{said}"
    );
    for phase in ["Coverage", "Fuzzing", "Stateful"] {
        assert!(
            said.contains(&format!("✅ {phase}")),
            "{phase} did not run:\n{said}"
        );
    }
}

#[test]
fn the_asyncapi_document_is_one_in_the_eyes_of_its_own_parser() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let installed = npm::installed("asyncapi", &here.join("asyncapi"));
    let said = run(Command::new("node")
        .arg(here.join("asyncapi/check.js"))
        .arg(installed)
        .arg(here.join("../docs/asyncapi.json")));
    assert_eq!(said.trim(), "change closing heartbeat progress snapshot");
}

/// Each message that a follower of these tests receives is held against the document; here are all kinds, in every scope.
#[tokio::test]
async fn live_messages_are_as_documented() {
    let mut firefly = Firefly::start(Runtime::Process).await;
    let api = firefly.api().await;
    let session = format!("session={}", api.session);
    let scopes = ["", "project=local/template/starter", &session, "log=true"];
    let mut followers = Vec::new();
    for transport in Transport::ALL {
        for scope in scopes {
            followers.push(Follower::start(&api, transport, scope).await);
        }
    }
    api.open_ready("template:starter").await;
    let project = json!({"project": "local/template/starter"});
    let joined = api.post("sessions/join", project).await;
    assert_eq!(joined.status, 200, "{joined:?}");
    let mut heard = BTreeSet::new();
    while !heard.contains("heartbeat") {
        let message = followers[0].message().await.unwrap();
        heard.insert(text(&message["type"]));
    }
    firefly.interrupt();
    for mut follower in followers {
        let mut last = String::new();
        while let Some(message) = follower.message().await {
            last = text(&message["type"]);
            heard.insert(last.clone());
        }
        assert_eq!(last, "closing", "{follower:?}");
    }
    let kinds: Vec<&str> = heard.iter().map(String::as_str).collect();
    assert_eq!(kinds, ["change", "closing", "heartbeat", "progress"]);
}
