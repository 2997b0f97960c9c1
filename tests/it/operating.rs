//! What runs, and what it prints, as who looks after a Firefly sees it on the command line.

use firefly_tests::docker::{containers, kill as kill_container};
use firefly_tests::processes::kill;
use firefly_tests::{Firefly, Live, Runtime, wait_for};
use rustix::process::Signal;
use serde_json::Value;

use crate::samples::LocalRepository;

on_both_runtimes! {
    containers_are_listed_while_they_run_and_after_a_crash,
    output_is_followed_through_an_installation_and_a_restart,
    output_is_followed_through_a_restart_of_firefly,
}

async fn listed(firefly: &Firefly, arguments: &[&str]) -> Vec<Value> {
    let said = firefly
        .command(&[&["containers", "--json"], arguments].concat())
        .await;
    assert!(said.success, "{said:?}");
    let lines = said.output.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

async fn containers_are_listed_while_they_run_and_after_a_crash(runtime: Runtime) {
    let repository = LocalRepository::plain();
    let firefly = Firefly::start(runtime).await;
    let none = firefly.command(&["containers"]).await;
    assert_eq!(
        none.output,
        "no containers; --all shows those that were removed\n"
    );
    let api = firefly.api().await;
    let project = api.open_ready(&repository.source()).await;
    let key = project["key"].as_str().unwrap();

    let running = listed(&firefly, &[]).await;
    assert_eq!(running.len(), 1, "{running:#?}");
    assert_eq!(running[0]["key"], key);
    assert_eq!(running[0]["state"], "running");
    assert_eq!(running[0]["generation"], 1);
    assert!(running[0]["endpoint"].is_string(), "{:#}", running[0]);
    let line = firefly.command(&["containers"]).await.output;
    assert!(
        line.starts_with("running  local/path/plain-pages "),
        "{line}"
    );
    assert!(
        line.contains(" #1 ") && line.contains(running[0]["image"].as_str().unwrap()),
        "{line}"
    );
    // The one whose machine it is may look at others, of whom there are none.
    assert_eq!(
        listed(&firefly, &["--user", "nobody"]).await,
        [] as [Value; 0]
    );

    let mut live = Live::follow(&api).await;
    match runtime {
        Runtime::Docker => kill_container(&containers(&firefly.instance())[0].id),
        Runtime::Process => kill(firefly.project_servers()[0], Signal::KILL),
    }
    live.until_state("closed").await;
    let all = wait_for("the container to be listed as stopped", async || {
        let all = listed(&firefly, &["--all"]).await;
        (all[0]["state"] == "stopped").then_some(all)
    })
    .await;
    assert_eq!(all.len(), 1, "{all:#?}");
    assert_eq!(all[0]["exit_code"], 137, "{all:#?}");
    assert_eq!(all[0]["endpoint"], Value::Null);
    // It is kept for the next opening, and does not run.
    assert_eq!(listed(&firefly, &[]).await, [] as [Value; 0]);
}

async fn output_is_followed_through_an_installation_and_a_restart(runtime: Runtime) {
    let firefly = Firefly::start(runtime).await;
    let api = firefly.api().await;
    let key = api.open("template:starter").await;
    let following = firefly.follow(&["logs", "template/starter", "--follow"]);
    let added = following.until_said(" packages in ").await;
    let (time, said) = added
        .split_once(" npm    ")
        .unwrap_or_else(|| panic!("{added}"));
    assert!(
        time.len() == "00:00:00".len() && time.matches(':').count() == 2,
        "{added}"
    );
    assert!(said.starts_with("added "), "{added}");
    following.until_said(" npm    npm http ").await;
    following.until_said(" git    checked out, main at ").await;
    assert_eq!(api.settled(&key).await["state"], "ready");

    let before = firefly.command(&["logs", &key, "--json"]).await;
    assert!(before.success, "{before:?}");
    let lines: Vec<Value> = before
        .output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let is_whole = |line: &Value| line["time"].is_string() && line["generation"] == 1;
    assert!(lines.iter().all(is_whole), "{before:?}");
    let last = firefly.command(&["logs", &key, "--tail", "1"]).await;
    assert_eq!(last.output.lines().count(), 1, "{last:?}");

    assert_eq!(api.done(&key, "restart").await["generation"], 2);
    following.until_said("the container of opening 2").await;
    following
        .until_said(" git    the workspace is there, main at ")
        .await;
    api.done(&key, "close").await;
    // A container that is kept can still be read; of a process, as long as it is remembered.
    let closed = firefly.command(&["logs", &key]).await;
    let told = closed.output.contains("the workspace is there");
    assert!(
        closed.success && (told || runtime == Runtime::Process),
        "{closed:?}"
    );
    let said = following.said();
    let added = said.iter().filter(|line| line.contains(" packages in "));
    assert_eq!(added.count(), 1, "a line was told twice: {said:#?}");
}

async fn output_is_followed_through_a_restart_of_firefly(runtime: Runtime) {
    let repository = LocalRepository::plain();
    let mut firefly = Firefly::start(runtime).await;
    let api = firefly.api().await;
    let project = api.open_ready(&repository.source()).await;
    let key = project["key"].as_str().unwrap();
    let following = firefly.follow(&["logs", key, "-f"]);
    following.until_said(" git    fetching ").await;
    assert!(firefly.interrupt().success());
    firefly.restart_on_same_port().await;
    following.until_said(" git    the workspace is there").await;
    let fetching = following.said();
    let fetching = fetching.iter().filter(|line| line.contains(" fetching "));
    assert_eq!(fetching.count(), 1, "what was told is not told again");
}
