//! SIGKILL in the middle of everything: nothing acknowledged is lost, everything goes on, nothing is left behind.

use std::cell::Cell;
use std::time::Duration;

use firefly_tests::waiting::wait_within;
use firefly_tests::{Api, Firefly, Live, Runtime, wait_for};
use serde_json::Value;

use crate::samples::LocalRepository;

/// How soon after its parent's death a project-server has ended with all that it runs.
const ORPHAN_DEADLINE: Duration = Duration::from_secs(10);

/// How often a Firefly is killed in a row, each time one event later in its life.
const KILLS: usize = 4;

on_both_runtimes! {
    a_kill_right_after_the_opening_was_recorded_loses_nothing,
    a_kill_while_the_files_come_loses_nothing,
    a_kill_during_npm_install_loses_nothing,
    a_kill_before_the_preview_is_ready_loses_nothing,
    a_kill_of_a_ready_project_loses_nothing,
    a_kill_while_a_project_closes_loses_nothing,
    a_kill_while_a_project_is_deleted_loses_nothing,
    a_firefly_that_is_killed_again_and_again_still_gets_there,
    an_interrupt_leaves_nothing_running_and_the_next_start_resumes,
}

async fn a_kill_right_after_the_opening_was_recorded_loses_nothing(runtime: Runtime) {
    killed_after("ProjectOpened", runtime).await;
}

async fn a_kill_while_the_files_come_loses_nothing(runtime: Runtime) {
    killed_after("ContainerStarted", runtime).await;
}

async fn a_kill_during_npm_install_loses_nothing(runtime: Runtime) {
    killed_after("TemplateApplied", runtime).await;
}

async fn a_kill_before_the_preview_is_ready_loses_nothing(runtime: Runtime) {
    killed_after("DependenciesInstalled", runtime).await;
}

async fn a_kill_of_a_ready_project_loses_nothing(runtime: Runtime) {
    killed_after("ProjectReady", runtime).await;
}

/// Kills Firefly as soon as an event is seen, and looks at what the next start makes of it.
async fn killed_after(event_type: &str, runtime: Runtime) {
    let mut firefly = Firefly::start(runtime).await;
    let api = firefly.api().await;
    let mut live = Live::follow(&api).await;
    let key = api.open("template:starter").await;
    let seen = live.until_event(event_type).await;
    firefly.kill();
    orphans_end(&firefly).await;
    firefly.restart().await;

    let api = firefly.api().await;
    let project = comes_back(&api, &key).await;
    begins_with(&api.history(&key).await, &seen);
    runs_once(&firefly, &project);
    let montage = api
        .preview(&format!("{key}/node_modules/montage/montage.js"), &[])
        .await;
    assert_eq!(montage.status, 200, "{montage:?}");
}

async fn a_kill_while_a_project_closes_loses_nothing(runtime: Runtime) {
    let closed = killed_during("close", runtime).await;
    assert_eq!(closed["state"], "closed", "{closed:#}");
}

async fn a_kill_while_a_project_is_deleted_loses_nothing(runtime: Runtime) {
    let deleted = killed_during("delete", runtime).await;
    assert_eq!(deleted["state"], "deleted", "{deleted:#}");
}

/// Kills Firefly when a command was acknowledged, and answers what became of the project after the next start.
async fn killed_during(command: &str, runtime: Runtime) -> Value {
    let repository = LocalRepository::plain();
    let mut firefly = Firefly::start(runtime).await;
    let api = firefly.api().await;
    let ready = api.open_ready(&repository.source()).await;
    let key = ready["key"].as_str().unwrap();
    let answer = api.command(key, command).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    firefly.kill();
    orphans_end(&firefly).await;
    firefly.restart().await;

    let api = firefly.api().await;
    let project = api.settled(key).await;
    let acknowledged = answer.position();
    let history = api.history(key).await;
    let found = history
        .iter()
        .find(|event| event["position"] == acknowledged);
    assert_eq!(found.unwrap()["type"], "ProjectClosed", "{history:#?}");
    assert!(firefly.running().is_empty());
    let workspace = firefly.workspace(&ready);
    assert_eq!(workspace.exists(), project["state"] != "deleted");
    project
}

async fn a_firefly_that_is_killed_again_and_again_still_gets_there(runtime: Runtime) {
    let mut firefly = Firefly::start(runtime).await;
    let key = firefly.api().await.open("template:starter").await;
    let mut seen = Vec::new();
    for changes in 1..=KILLS {
        let api = firefly.api().await;
        let mut live = Live::follow(&api).await;
        let ready = |project: &Value| project["state"] == "ready";
        let left = Cell::new(changes);
        if !ready(&live.snapshot()["projects"][0]) {
            let told = live.until(|change| {
                left.set(left.get() - 1);
                left.get() == 0 || ready(&change["project"])
            });
            seen.extend(told.await);
        }
        firefly.kill();
        orphans_end(&firefly).await;
        firefly.restart().await;
    }
    let api = firefly.api().await;
    let project = comes_back(&api, &key).await;
    runs_once(&firefly, &project);
    let history = api.history(&key).await;
    for change in &seen {
        assert!(history.contains(&change["event"]), "{change:#} is lost");
    }
}

async fn an_interrupt_leaves_nothing_running_and_the_next_start_resumes(runtime: Runtime) {
    let repository = LocalRepository::plain();
    let mut firefly = Firefly::start(runtime).await;
    let api = firefly.api().await;
    let ready = api.open_ready(&repository.source()).await;
    let key = ready["key"].as_str().unwrap();
    let before = api.history(key).await;

    let status = firefly.interrupt();
    assert!(status.success(), "{status}");
    assert!(firefly.running().is_empty());
    assert_eq!(firefly.processes_in_workspaces(), [0; 0]);
    if runtime == Runtime::Docker {
        let networks = firefly_tests::docker::networks(&firefly.instance());
        assert_eq!(networks, [""; 0]);
    }

    firefly.restart_on_same_port().await;
    // The token of before is still good.
    let project = comes_back(&api, key).await;
    assert_eq!(project["generation"], 2);
    let after = api.history(key).await;
    assert_eq!(after[..before.len()], before);
    let types: Vec<&str> = after[before.len()..]
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    let expected = [
        "ContainerExited",
        "ProjectOpened",
        "ContainerStarted",
        "WorkspaceResumed",
        "DependenciesInstalled",
        "ProjectReady",
    ];
    assert_eq!(types, expected);
    assert_eq!(after[before.len() + 1]["data"]["cause"], "interrupted");
    runs_once(&firefly, &project);
}

/// Waits until a project is ready and its preview answers: one that was ready before a kill may still seem so.
async fn comes_back(api: &Api, key: &str) -> Value {
    let page = format!("{key}/index.html");
    wait_for(&format!("{key} to come back"), async || {
        if api.preview(&page, &[]).await.status != 200 {
            return None;
        }
        let project = api.settled(key).await;
        assert_eq!(project["state"], "ready", "{project:#}");
        Some(project)
    })
    .await
}

/// Children end with Firefly by themselves; containers wait for the next start.
async fn orphans_end(firefly: &Firefly) {
    if firefly.runtime() == Runtime::Process {
        wait_within(ORPHAN_DEADLINE, "all children to end", async || {
            firefly.processes_in_workspaces().is_empty().then_some(())
        })
        .await;
    }
}

/// Everything that was seen is still there, as it was.
fn begins_with(history: &[Value], seen: &[Value]) {
    for (found, seen) in history.iter().zip(seen) {
        assert_eq!(*found, seen["event"]);
    }
    assert!(history.len() >= seen.len(), "{history:#?}");
}

/// One container or child runs for the project, and it is the one that its state names.
fn runs_once(firefly: &Firefly, project: &Value) {
    let running = firefly.running();
    assert_eq!(running.len(), 1, "{running:?}");
    let container = project["container"].as_str().unwrap();
    assert!(
        container.starts_with(&running[0]),
        "{running:?}, {container}"
    );
}
