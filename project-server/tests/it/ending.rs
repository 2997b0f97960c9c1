//! Nothing outlives what started it.

use std::time::Duration;

use firefly_domain::control::{ReportBody, Unsaved};
use firefly_project_server::SelfExe;
use futures::StreamExt;

use crate::git_server::GitServer;
use crate::support::{PAGE, Server, from_git, tool, wait_until};

#[tokio::test]
async fn shutdown_ends_a_silent_clone_its_process_and_the_server() {
    let remote = GitServer::start().await;
    let url = remote
        .repository("team/app", PAGE)
        .replace("/team/", "/silent/team/");
    let mut server = Server::start().await;
    server.assign(&from_git(&url)).await;
    let staging = server.workspace.clone();
    wait_until("the clone has begun", || {
        std::fs::read_dir(&staging).unwrap().count() > 0
    })
    .await;
    let reports = server.reports(0).await;
    let answer = server
        .control(reqwest::Method::POST, "shutdown")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.json::<Unsaved>().await.unwrap(), Unsaved::NONE);
    let rest: Vec<_> = tokio::time::timeout(Duration::from_secs(5), reports.collect())
        .await
        .unwrap();
    assert!(rest.is_empty(), "{rest:?}");
    assert!((&mut server.task).await.unwrap().is_ok());
    wait_until("the child is gone", || !runs_on(&staging)).await;
}

#[tokio::test]
async fn a_goodbye_that_nobody_waits_for_ends_the_server_all_the_same() {
    let workspace = tempfile::tempdir().unwrap();
    let server = Server::start_with(endless(), workspace.path()).await;
    let request = server.control(reqwest::Method::POST, "shutdown");
    let given_up = request.timeout(Duration::from_millis(500)).send().await;
    assert!(given_up.unwrap_err().is_timeout());
    let end = tokio::time::timeout(Duration::from_secs(15), server.task).await;
    assert!(end.unwrap().unwrap().is_ok());
}

#[tokio::test]
async fn an_inspection_without_end_does_not_hold_a_goodbye_for_ever() {
    let workspace = tempfile::tempdir().unwrap();
    let server = Server::start_with(endless(), workspace.path()).await;
    let request = server.control(reqwest::Method::POST, "shutdown");
    // As long as the reactor waits.
    let answer = request.timeout(Duration::from_secs(30)).send().await;
    assert_eq!(answer.unwrap().status(), 503);
    assert!(server.task.await.unwrap().is_ok());
}

#[tokio::test]
async fn the_end_of_standard_input_ends_the_server_and_its_children() {
    let remote = GitServer::start().await;
    let url = remote
        .repository("team/app", PAGE)
        .replace("/team/", "/silent/team/");
    let mut server = Server::start().await;
    server.assign(&from_git(&url)).await;
    let workspace = server.workspace.clone();
    wait_until("the child runs", || runs_on(&workspace)).await;
    drop(server.stdin.take());
    assert!((&mut server.task).await.unwrap().is_ok());
    wait_until("the child is gone", || !runs_on(&workspace)).await;
}

#[tokio::test]
async fn what_a_script_leaves_running_ends_with_the_installation() {
    let remote = GitServer::start().await;
    let script = "sleep 987654 >/dev/null 2>&1 & echo $! > pid.txt";
    let manifest =
        format!(r#"{{"name":"x","version":"1.0.0","scripts":{{"preinstall":"{script}"}}}}"#);
    let files = [("index.html", ""), ("package.json", manifest.as_str())];
    let url = remote.repository("team/app", &files);
    let server = Server::start().await;
    let outcomes = server.open(&from_git(&url)).await;
    assert!(
        matches!(outcomes.last(), Some(ReportBody::Ready { .. })),
        "{outcomes:?}"
    );
    let pid = std::fs::read_to_string(server.workspace.join("pid.txt")).unwrap();
    let command = std::path::Path::new("/proc")
        .join(pid.trim())
        .join("cmdline");
    wait_until("the script's process is gone", || {
        let line = std::fs::read(&command).unwrap_or_default();
        !String::from_utf8_lossy(&line).contains("987654")
    })
    .await;
}

#[tokio::test]
async fn a_child_whose_parent_is_gone_ends_itself_and_what_it_started() {
    use std::io::Write;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    let workspace = tempfile::tempdir().unwrap();
    // A package whose script never ends keeps npm busy.
    let manifest = r#"{"name":"x","version":"1.0.0","scripts":{"preinstall":"sleep 1000"}}"#;
    std::fs::write(workspace.path().join("package.json"), manifest).unwrap();
    let mut child = Command::new(tool())
        .args(["install".as_ref(), workspace.path().as_os_str()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"null\n").unwrap();
    wait_until("the script runs", || sleeps_in(workspace.path())).await;
    drop(stdin);
    assert!(!child.wait().unwrap().success());
    wait_until("the script is gone", || !sleeps_in(workspace.path())).await;
}

/// Children that never end.
fn endless() -> SelfExe {
    SelfExe {
        program: "sh".into(),
        args: vec!["-c".into(), "sleep 1000".into()],
    }
}

/// Whether a script of this workspace sleeps.
fn sleeps_in(workspace: &std::path::Path) -> bool {
    let workspace = workspace.canonicalize().unwrap();
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let place = std::fs::read_link(entry.path().join("cwd"));
        line.starts_with(b"sleep") && place.is_ok_and(|place| place == workspace)
    })
}

/// Whether a child of the tool works on this workspace.
fn runs_on(workspace: &std::path::Path) -> bool {
    let workspace = workspace.to_string_lossy().into_owned();
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains("examples/tool") && line.contains(&workspace)
    })
}
