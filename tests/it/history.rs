//! History as people and programs read it: what happened, how it was, what changed, and all of it in a file.

use cloudevents::{AttributesReader, Event as CloudEvent};
use firefly_tests::eventstoredb::{Behaviour, StandIn, free_port};
use firefly_tests::postgres::Postgres;
use firefly_tests::{Firefly, Runtime, Settings};
use serde_json::Value;

use crate::samples::LocalRepository;
use crate::transcript::{Transcript, assert_transcript};

#[tokio::test]
async fn people_read_what_happened_how_it_was_and_what_changed() {
    let repository = LocalRepository::plain();
    let firefly = Firefly::start(Runtime::Process).await;
    let mut terminal = Transcript::of(&firefly);
    let project = "path/plain-pages";
    for command in [
        &["open", &repository.source()][..],
        &["close", project],
        &["history", project],
        &["history"],
        &[
            "history",
            project,
            "--type",
            "ProjectOpened,ProjectReady",
            "--newest",
            "--limit",
            "1",
        ],
        &["history", "--actor", "system:reactor", "--from", "6"],
        &["history", "--user", "nobody"],
        &["projects", "--at", "4"],
        &["projects", "--at", "2"],
        &[
            "history", "diff", project, "--from", "rev-0", "--to", "rev-4",
        ],
        &["history", "diff", project, "--from", "7"],
        &["history", "diff", project, "--from", "8", "--to", "8"],
        &["history", "diff", project, "--from", "2", "--to", "3"],
        &["history", "diff", project, "--from", "0"],
        &["history", "diff", project, "--from", "2001-01-01T00:00:00Z"],
        &["history", "diff", project, "--from", "2999-01-01T00:00:00Z"],
        &["history", "diff", project, "--from", "99"],
        &["history", "diff", project, "--from", "rev-99"],
        &["history", "diff", project, "--from", "yesterday"],
        &["history", "diff", "owner/never-opened", "--from", "1"],
    ] {
        terminal.run(command).await;
    }
    assert_transcript!("history", terminal);
}

#[tokio::test]
async fn programs_read_what_was_exported() {
    let repository = LocalRepository::plain();
    let firefly = Firefly::start(Runtime::Process).await;
    firefly.command(&["open", &repository.source()]).await;
    let whole = firefly
        .command(&["history", "export", "-", "--format", "cloudevents"])
        .await;
    assert!(whole.success, "{whole:?}");
    let events: Vec<CloudEvent> = serde_json::from_str(&whole.output).unwrap();
    assert_eq!(events[0].ty(), "LeaseAcquired");
    assert_eq!(events[1].ty(), "SessionStarted");
    assert_eq!(events.last().unwrap().ty(), "ProjectReady");

    let of_project = ["history", "export", "-", "--project", "path/plain-pages"];
    let lines = firefly.command(&of_project).await.output;
    let types: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].to_string())
        .collect();
    assert_eq!(types.len(), 5, "{lines}");

    let file = firefly.data().join("history.json");
    let named = file.to_str().unwrap();
    let to_file = [
        "history", "export", named, "--format", "json", "--from", "3",
    ];
    let said = firefly.command(&to_file).await;
    assert!(said.output.starts_with("exported 5 events to "), "{said:?}");
    let document: Vec<Value> = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(document.len(), 5);
    let again = firefly.command(&to_file).await;
    assert!(!again.success, "{again:?}");
    assert!(again.errors.contains("is not overwritten"), "{again:?}");
}

#[tokio::test]
async fn the_past_is_found_in_a_log_on_postgres() {
    let server = Postgres::start();
    the_past_is_found(Settings::new(Runtime::Process).on_log(&server.url())).await;
}

#[tokio::test]
async fn the_past_is_found_in_a_log_on_an_eventstoredb_stand_in() {
    let server = StandIn::start_with(free_port(), Behaviour::default());
    let url = format!("esdb://127.0.0.1:{}?tls=false", server.port());
    the_past_is_found(Settings::new(Runtime::Process).on_log(&url)).await;
}

/// Positions have gaps on some engines, so each moment is named in every way there is.
async fn the_past_is_found(settings: Settings) {
    let repository = LocalRepository::plain();
    let firefly = Firefly::start_with(settings).await;
    let api = firefly.api().await;
    let project = api.open_ready(&repository.source()).await;
    let key = project["key"].as_str().unwrap();
    let closed = api.done(key, "close").await;
    let history = api.history(key).await;
    for event in &history {
        let time = event["recorded_at"].as_str().unwrap();
        let revision = format!("rev-{}", event["revision"]);
        for at in [time, &event["position"].to_string(), &revision] {
            let then = api.get(&format!("projects/{key}?at={at}")).await;
            assert_eq!(then.json()["revision"], event["revision"], "{then:?}");
            let list = api.get(&format!("projects?at={}", event["position"])).await;
            assert_eq!(list.json()["projects"][0]["revision"], event["revision"]);
        }
        let sessions = api.get(&format!("sessions?at={time}")).await;
        assert_eq!(sessions.json()["sessions"][0]["state"], "active");
        let from = api.get(&format!("history?project={key}&from={time}")).await;
        assert_eq!(from.json()["events"][0]["id"], event["id"], "{from:?}");
    }
    let now = format!("projects/{key}?at={}", api.head().await);
    assert_eq!(api.get(&now).await.json(), closed);
}
