//! Closing keeps work, reopening finds it, and deleting never loses it unasked.

use firefly_tests::{Api, Firefly, Live, Runtime};
use serde_json::{Value, json};

use crate::samples::{LocalRepository, edit};

on_both_runtimes! {
    a_closed_project_keeps_its_files_and_goes_on_with_them,
    a_project_with_unsaved_work_is_deleted_only_by_force,
    a_file_saved_at_the_last_moment_keeps_its_workspace,
    a_project_without_unsaved_work_is_deleted_at_once,
}

async fn a_closed_project_keeps_its_files_and_goes_on_with_them(runtime: Runtime) {
    let repository = LocalRepository::plain();
    let firefly = Firefly::start(runtime).await;
    let api = firefly.api().await;
    let project = api.open_ready(&repository.source()).await;
    let key = project["key"].as_str().unwrap();
    let notes = firefly.workspace(&project).join("notes.txt");
    edit(&notes, "first line", "first line, better");

    let closed = api.done(key, "close").await;
    assert_eq!(closed["state"], "closed");
    assert_eq!(closed["closed_reason"], "user");
    assert_eq!(closed["unsaved"], json!({"files": 1, "commits": 0}));
    assert!(firefly.running().is_empty());
    let gone = api.preview(&format!("{key}/notes.txt"), &[]).await;
    assert_eq!(gone.problem(), (404, "preview-unavailable".to_owned()));
    assert_eq!(
        std::fs::read_to_string(&notes).unwrap(),
        "first line, better\n"
    );

    let reopened = api.done(key, "open").await;
    assert_eq!(reopened["state"], "ready", "{reopened:#}");
    assert_eq!(reopened["generation"], 2);
    assert_eq!(reopened["unsaved"]["files"], 1);
    let notes = api.preview(&format!("{key}/notes.txt"), &[]).await;
    assert_eq!(notes.text, "first line, better\n");
    let types = api.event_types(key).await;
    assert!(types.contains(&"WorkspaceResumed".to_owned()), "{types:?}");
}

async fn a_project_with_unsaved_work_is_deleted_only_by_force(runtime: Runtime) {
    let repository = LocalRepository::plain();
    let firefly = Firefly::start(runtime).await;
    let api = firefly.api().await;
    let mut live = Live::follow(&api).await;
    let project = api.open_ready(&repository.source()).await;
    let key = project["key"].as_str().unwrap();
    let workspace = firefly.workspace(&project);
    std::fs::write(workspace.join("new.txt"), "not committed\n").unwrap();
    live.until(|change| change["project"]["unsaved"]["files"] == 1)
        .await;

    let refused = api.command(key, "delete").await;
    assert_eq!(refused.problem(), (409, "unsaved-work".to_owned()));
    assert_eq!(api.project(key).await["state"], "ready");

    let forced = api
        .post(&format!("projects/{key}/delete"), json!({"force": true}))
        .await;
    assert_eq!(forced.status, 202, "{forced:?}");
    live.until_state("deleted").await;
    is_gone(&firefly, &api, key, &project).await;
}

/// The watcher looks once a workspace is quiet; the deletion must look for itself.
async fn a_file_saved_at_the_last_moment_keeps_its_workspace(runtime: Runtime) {
    let repository = LocalRepository::plain();
    let firefly = Firefly::start(runtime).await;
    let api = firefly.api().await;
    let project = api.open_ready(&repository.source()).await;
    let key = project["key"].as_str().unwrap();
    let workspace = firefly.workspace(&project);

    std::fs::write(workspace.join("new.txt"), "saved just now\n").unwrap();
    let answer = api.command(key, "delete").await;
    if answer.status == 202 {
        let kept = api.settled(key).await;
        assert_eq!(kept["state"], "closed", "{kept:#}");
        let types = api.event_types(key).await;
        assert_eq!(types.last().unwrap(), "WorkspaceKept", "{types:?}");
        assert!(firefly.running().is_empty());
    } else {
        assert_eq!(answer.problem(), (409, "unsaved-work".to_owned()));
    }
    let saved = std::fs::read_to_string(workspace.join("new.txt")).unwrap();
    assert_eq!(saved, "saved just now\n");
    let reopened = api.open_ready(&repository.source()).await;
    assert_eq!(reopened["unsaved"]["files"], 1, "{reopened:#}");
}

async fn a_project_without_unsaved_work_is_deleted_at_once(runtime: Runtime) {
    let repository = LocalRepository::plain();
    let firefly = Firefly::start(runtime).await;
    let api = firefly.api().await;
    let project = api.open_ready(&repository.source()).await;
    let key = project["key"].as_str().unwrap();

    let deleted = api.done(key, "delete").await;
    assert_eq!(deleted["state"], "deleted", "{deleted:#}");
    is_gone(&firefly, &api, key, &project).await;

    let again = api.command(key, "delete").await;
    assert_eq!(again.problem(), (404, "project-not-found".to_owned()));
    let anew = api.open_ready(&repository.source()).await;
    assert_eq!(anew["generation"], 2);
}

/// No trace is left but history.
async fn is_gone(firefly: &Firefly, api: &Api, key: &str, project: &Value) {
    assert!(!firefly.workspace(project).exists());
    assert!(firefly.running().is_empty());
    let types = api.event_types(key).await;
    assert_eq!(types.last().unwrap(), "WorkspaceDeleted", "{types:?}");
    let history = api.get(&format!("projects/{key}/history")).await.json();
    let position = history["position"].to_string();
    let seen = [
        ("firefly-min-position", position.as_str()),
        ("prefer", "wait=10"),
    ];
    let listed = api.get_with("projects", &seen).await.json();
    assert_eq!(listed["projects"], json!([]));
}
