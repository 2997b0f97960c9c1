//! What the documentation of the API says, held against the real server by programs that know nothing of either.

use firefly_tests::{Firefly, Runtime, Settings, schemathesis};
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
