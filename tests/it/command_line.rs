//! The command line against a running Firefly: what it says, to people and to programs.

use firefly_tests::{Firefly, Runtime, Settings};
use serde_json::Value;

use crate::samples::LocalRepository;
use crate::transcript::{Transcript, assert_transcript};

on_both_runtimes! {
    a_project_is_opened_listed_closed_restarted_and_deleted,
    what_goes_wrong_is_said_in_a_sentence,
    a_start_that_opens_something_says_where_its_preview_is,
}

async fn a_project_is_opened_listed_closed_restarted_and_deleted(runtime: Runtime) {
    let repository = LocalRepository::plain();
    let source = repository.source();
    let firefly = Firefly::start(runtime).await;
    let mut terminal = Transcript::of(&firefly);
    terminal.run(&["projects"]).await;
    terminal.run(&["open", &source]).await;
    terminal.run(&["open", &source]).await;
    terminal.run(&["projects"]).await;
    terminal.run(&["close", "path/plain-pages"]).await;
    terminal.run(&["restart", &source]).await;
    terminal.run(&["history", "local/path/plain-pages"]).await;

    let api = firefly.api().await;
    let project = api.project("local/path/plain-pages").await;
    std::fs::write(firefly.workspace(&project).join("new.txt"), "unsaved").unwrap();
    firefly_tests::wait_for("the unsaved work to be noticed", async || {
        let project = api.project("local/path/plain-pages").await;
        (project["unsaved"]["files"] == 1).then_some(())
    })
    .await;
    terminal.run(&["delete", "path/plain-pages"]).await;
    terminal
        .run(&["delete", "path/plain-pages", "--force"])
        .await;
    assert_transcript!("a_project_from_open_to_delete", terminal);
}

async fn what_goes_wrong_is_said_in_a_sentence(runtime: Runtime) {
    let firefly = Firefly::start(runtime).await;
    let mut terminal = Transcript::of(&firefly);
    terminal.run(&["open", "nonsense"]).await;
    terminal.run(&["open", "template:unknown"]).await;
    terminal.run(&["close", "owner/never-opened"]).await;
    terminal
        .run(&["close", "https://host/owner/never-opened"])
        .await;
    terminal.run(&["history", "owner/never-opened"]).await;
    terminal.run(&["projects"]).await;
    assert_transcript!("what_goes_wrong", terminal);
}

async fn a_start_that_opens_something_says_where_its_preview_is(runtime: Runtime) {
    let repository = LocalRepository::plain();
    let settings = Settings::new(runtime).opening(&repository.source());
    let mut firefly = Firefly::start_with(settings.for_people()).await;
    let preview = firefly.preview("local/path/plain-pages", "index.html");
    firefly
        .until_said(|line| line.ends_with(&preview).then_some(()))
        .await;
    let page = firefly.api().await;
    let page = page.preview("local/path/plain-pages/index.html", &[]).await;
    assert!(page.text.contains("A plain page"), "{page:?}");

    let status = firefly.interrupt();
    assert!(status.success(), "{status}");
    let last = firefly.said().last().cloned();
    assert_eq!(
        last.unwrap(),
        "stopping; open projects come back with the next start"
    );
    assert_eq!(firefly.running(), [0; 0]);
}

#[tokio::test]
async fn programs_get_one_json_object_a_line() {
    let repository = LocalRepository::plain();
    let source = repository.source();
    let settings = Settings::new(Runtime::Process).opening(&source);
    let firefly = Firefly::start_with(settings).await;
    let preview = firefly.preview("local/path/plain-pages", "index.html");
    let done = firefly
        .until_said(|line| {
            let said: Value = serde_json::from_str(line).ok()?;
            (said["type"] == "done").then_some(said)
        })
        .await;
    assert_eq!(done["text"], preview);
    assert_eq!(done["project"], "local/path/plain-pages");

    let mut said = firefly.said();
    for arguments in [
        &["projects", "--json"][..],
        &["history", "path/plain-pages", "--json"],
        &["close", "path/plain-pages", "--json"],
        &["restart", "path/plain-pages", "--json"],
        &["delete", "path/plain-pages", "--json"],
        &["open", &source, "--json"],
    ] {
        let answer = firefly.command(arguments).await;
        assert!(answer.success, "{arguments:?}: {answer:?}");
        assert_eq!(answer.errors, "", "{arguments:?}");
        assert_ne!(answer.output, "", "{arguments:?}");
        said.extend(answer.output.lines().map(str::to_owned));
    }
    for line in said {
        let parsed: Value = serde_json::from_str(&line).unwrap();
        assert!(parsed.is_object(), "{line}");
    }
}

#[tokio::test]
async fn a_client_without_a_firefly_says_how_to_start_one() {
    let mut firefly = Firefly::start(Runtime::Process).await;
    firefly.interrupt();
    let mut terminal = Transcript::of(&firefly);
    terminal.run(&["projects"]).await;
    assert_transcript!("no_firefly_runs", terminal);
}
