//! What the documentation of the API says, held against the real server by programs that know nothing of either.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use firefly_tests::cached::run;
use firefly_tests::{Firefly, Live, Runtime, Settings, npm, schemathesis};
use serde_json::Value;

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

/// Each message that a follower of these tests receives is held against the document; here are all kinds that can be had
/// without waiting.
#[tokio::test]
async fn live_messages_are_as_documented() {
    let firefly = Firefly::start(Runtime::Process).await;
    let api = firefly.api().await;
    let mut live = Live::follow(&api).await;
    api.open("template:starter").await;
    live.until_state("ready").await;
    let mut again = Live::resume(&api, 0).await;
    again.until_state("ready").await;
    let kinds: BTreeSet<&String> = live.kinds().union(again.kinds()).collect();
    for kind in ["snapshot", "progress", "change"] {
        assert!(
            kinds.contains(&kind.to_owned()),
            "no {kind} was received, only {kinds:?}"
        );
    }
}
