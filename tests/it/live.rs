//! The live socket and reading one's own writes, against a Firefly whose projects come and go.

use firefly_tests::{Api, Firefly, Live, Runtime};
use serde_json::{Value, json};

use crate::samples::LocalRepository;

/// How often a write is read back at once.
const OWN_WRITES: usize = 20;

on_both_runtimes! {
    a_follower_that_was_cut_off_gets_exactly_what_it_missed,
}

async fn a_follower_that_was_cut_off_gets_exactly_what_it_missed(runtime: Runtime) {
    let repository = LocalRepository::plain();
    let firefly = Firefly::start(runtime).await;
    let api = firefly.api().await;
    let mut whole = Live::follow(&api).await;
    let mut first = Live::follow(&api).await;
    let key = api.open(&repository.source()).await;
    let mut pieces = first.until_event("ContainerStarted").await;
    let seen = first.position();
    drop(first);

    api.settled(&key).await;
    api.done(&key, "close").await;
    let mut second = Live::resume(&api, seen).await;
    let reopened = api.done(&key, "open").await;
    let last = reopened["position"].as_u64().unwrap();
    pieces.extend(second.until_position(last).await);

    let expected = whole.until_position(last).await;
    assert_eq!(outline(&pieces), outline(&expected));
    // What a resumption tells of the project, too, is what was told at the time.
    assert_eq!(pieces, expected);
    let mut history = api.history(&key).await;
    history.retain(|event| event["position"].as_u64() <= Some(last));
    let events: Vec<Value> = expected
        .iter()
        .map(|change| change["event"].clone())
        .collect();
    assert_eq!(events, history);
    let snapshot = Live::follow(&api).await.snapshot()["projects"][0].clone();
    assert_eq!(snapshot["state"], "ready");
}

fn outline(changes: &[Value]) -> Vec<(u64, String)> {
    changes
        .iter()
        .map(|change| {
            let event_type = change["event"]["type"].to_string();
            (change["position"].as_u64().unwrap_or_default(), event_type)
        })
        .collect()
}

#[tokio::test]
async fn a_follower_of_another_log_or_without_a_good_token_is_refused() {
    let firefly = Firefly::start(Runtime::Process).await;
    let api = firefly.api().await;
    let token = &api.token;
    let ahead = api.head().await + 1;
    let refusal = async |query: String| Live::refusal(&api, &query).await;
    assert_eq!(refusal(format!("token={token}&after={ahead}")).await, 400);
    assert_eq!(refusal(format!("token={token}&after=x")).await, 400);
    assert_eq!(refusal(format!("token={token}x")).await, 401);
    assert_eq!(refusal("token=".to_owned()).await, 401);
    assert_eq!(refusal(String::new()).await, 401);
}

#[tokio::test]
async fn nobody_gets_at_the_projects_of_others() {
    let firefly = Firefly::start(Runtime::Process).await;
    let api = firefly.api().await;
    let head = api.head().await;
    for command in ["open", "close", "restart", "delete"] {
        let answer = api.command("bob/x/y", command).await;
        assert_eq!(answer.problem().0, 403, "{command}: {answer:?}");
    }
    // The local user may look at everything, so only that there is none is said.
    for path in ["projects/bob/x/y", "projects/bob/x/y/history"] {
        let answer = api.get(path).await;
        assert_eq!(answer.problem().0, 404, "{path}: {answer:?}");
    }
    assert_eq!(api.head().await, head);
}

#[tokio::test]
async fn a_write_is_seen_at_once_by_who_insists_on_it() {
    let firefly = Firefly::start(Runtime::Process).await;
    let api = firefly.api().await;
    for number in 0..OWN_WRITES {
        let project = format!("local/writes/number-{number}");
        let body = json!({"source": "template:starter"});
        let opened = api.post(&format!("projects/{project}/open"), body).await;
        assert_eq!(opened.status, 202, "{opened:?}");
        seen(&api, &project, opened.position(), &["opening"]).await;
        let closed = api.command(&project, "close").await;
        assert_eq!(closed.status, 202, "{closed:?}");
        seen(&api, &project, closed.position(), &["closing", "closed"]).await;
    }
}

/// One question, and the write is in its answer.
async fn seen(api: &Api, project: &str, position: u64, states: &[&str]) {
    let position = position.to_string();
    let headers = [
        ("firefly-min-position", position.as_str()),
        ("prefer", "wait=2"),
    ];
    let answer = api.get_with(&format!("projects/{project}"), &headers).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("preference-applied"), "wait=2");
    let found = answer.json();
    let state = found["state"].as_str().unwrap();
    assert!(states.contains(&state), "{found:#}");
    assert!(found["position"].as_u64() >= position.parse().ok());
}

/// Who does not want to wait is told so where the write is not there yet, and never shown what was before it.
#[tokio::test]
async fn a_write_is_never_missing_from_an_answer_to_who_insists_on_it() {
    let firefly = Firefly::start(Runtime::Process).await;
    let api = firefly.api().await;
    for number in 0..OWN_WRITES {
        let project = format!("local/writes/number-{number}");
        let body = json!({"source": "template:starter"});
        let opened = api.post(&format!("projects/{project}/open"), body).await;
        let position = opened.position();
        let insisting = [("firefly-min-position", &*position.to_string())];
        let answer = api
            .get_with(&format!("projects/{project}"), &insisting)
            .await;
        if answer.status == 200 {
            assert!(answer.json()["position"].as_u64() >= Some(position));
        } else {
            assert_eq!(answer.problem(), (503, "projection-behind".to_owned()));
            assert_eq!(answer.header("retry-after"), "1");
        }
    }
}

#[tokio::test]
async fn who_insists_on_what_the_log_does_not_have_is_refused() {
    let firefly = Firefly::start(Runtime::Process).await;
    let api = firefly.api().await;
    let ahead = (api.head().await + 1_000).to_string();
    for (position, code) in [(&*ahead, "position-unknown"), ("-1", "malformed")] {
        let insisting = [("firefly-min-position", position), ("prefer", "wait=2")];
        let answer = api.get_with("projects", &insisting).await;
        assert_eq!(answer.problem(), (400, code.to_owned()), "{position}");
    }
}
