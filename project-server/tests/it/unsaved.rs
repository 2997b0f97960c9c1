//! Unsaved work: what counts, and when it is reported.

use firefly_domain::control::{ReportBody, Unsaved};
use firefly_project_server::inspect;
use futures::StreamExt;

use crate::git_server::{GitServer, git};
use crate::support::{Server, from_git};

const AUTHOR: [&str; 4] = ["-c", "user.name=Test", "-c", "user.email=test@localhost"];

fn commit_all(workspace: &std::path::Path) {
    git(workspace, &["add", "--all"]);
    git(
        workspace,
        &[&AUTHOR[..], &["commit", "--quiet", "--message=Mine"]].concat(),
    );
}

fn unsaved(files: u64, commits: u64) -> ReportBody {
    ReportBody::UnsavedWork(Unsaved { files, commits })
}

// git runs in the test's own thread, and its remote in another.
#[tokio::test(flavor = "multi_thread")]
async fn saved_and_unsaved_work_is_reported_when_it_flips() {
    let remote = GitServer::start().await;
    let url = remote.repository("team/app", &[("index.html", "x")]);
    let server = Server::start().await;
    server.open(&from_git(&url)).await;
    let reports = server.reports(0).await.map(|report| report.body);
    let flips = reports.filter(|body| {
        let flip = matches!(body, ReportBody::UnsavedWork(_));
        async move { flip }
    });
    let mut flips = std::pin::pin!(flips);
    assert_eq!(flips.next().await, Some(unsaved(0, 0)));
    server.write("new.txt", "x");
    assert_eq!(flips.next().await, Some(unsaved(1, 0)));
    commit_all(&server.workspace);
    assert_eq!(flips.next().await, Some(unsaved(0, 1)));
    git(&server.workspace, &["push", "--quiet", "origin", "main"]);
    assert_eq!(flips.next().await, Some(unsaved(0, 0)));
}

// git runs in the test's own thread, and its remote in another.
#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_change_counts_once() {
    let remote = GitServer::start().await;
    let url = remote.repository(
        "team/app",
        &[
            ("index.html", "x"),
            ("a.txt", "a"),
            ("b.txt", "b"),
            ("c/d.txt", "d"),
            (".gitignore", "ignored/\n"),
        ],
    );
    let server = Server::start().await;
    server.open(&from_git(&url)).await;
    let count = || {
        let counted = inspect(&server.workspace).unwrap();
        (counted.files, counted.commits)
    };
    assert_eq!(count(), (0, 0));
    server.write("a.txt", "changed");
    assert_eq!(count(), (1, 0));
    git(&server.workspace, &["add", "a.txt"]);
    server.write("a.txt", "changed again");
    assert_eq!(count(), (1, 0));
    std::fs::remove_file(server.workspace.join("b.txt")).unwrap();
    assert_eq!(count(), (2, 0));
    server.write("new/one.txt", "1");
    server.write("new/two.txt", "2");
    assert_eq!(count(), (4, 0));
    for ignored in [
        "ignored/x.txt",
        "node_modules/x/index.js",
        "c/node_modules/y.js",
        ".firefly-note",
    ] {
        server.write(ignored, "x");
    }
    assert_eq!(count(), (4, 0));
    commit_all(&server.workspace);
    assert_eq!(count(), (0, 1));
    git(&server.workspace, &["checkout", "--quiet", "-b", "feature"]);
    server.write("a.txt", "on the branch");
    commit_all(&server.workspace);
    assert_eq!(count(), (0, 2));
    git(&server.workspace, &["push", "--quiet", "origin", "feature"]);
    assert_eq!(count(), (0, 0));
    git(&server.workspace, &["checkout", "--quiet", "--detach"]);
    server.write("a.txt", "on no branch");
    commit_all(&server.workspace);
    assert_eq!(count(), (0, 1));
}

// git runs in the test's own thread, and its remote in another.
#[tokio::test(flavor = "multi_thread")]
async fn each_stash_counts_and_so_does_the_work_below_it() {
    let remote = GitServer::start().await;
    let url = remote.repository("team/app", &[("index.html", "x")]);
    let server = Server::start().await;
    server.open(&from_git(&url)).await;
    let stash = |arguments: &[&str]| {
        git(
            &server.workspace,
            &[&AUTHOR[..], &["stash"], arguments].concat(),
        );
    };
    let count = || {
        let counted = inspect(&server.workspace).unwrap();
        (counted.files, counted.commits)
    };
    server.write("index.html", "one");
    stash(&["--quiet"]);
    assert_eq!(count(), (0, 1));
    server.write("new.txt", "two");
    stash(&["--quiet", "--include-untracked"]);
    assert_eq!(count(), (0, 2));
    server.write("index.html", "three");
    commit_all(&server.workspace);
    server.write("index.html", "four");
    stash(&["--quiet"]);
    git(
        &server.workspace,
        &["reset", "--quiet", "--hard", "origin/main"],
    );
    assert_eq!(count(), (0, 4));
    stash(&["drop", "--quiet"]);
    assert_eq!(count(), (0, 2));
    stash(&["clear"]);
    assert_eq!(count(), (0, 0));
}

// git runs in the test's own thread, and its remote in another.
#[tokio::test(flavor = "multi_thread")]
async fn looking_at_a_workspace_runs_nothing_that_it_names() {
    let remote = GitServer::start().await;
    let url = remote.repository(
        "team/app",
        &[
            ("index.html", "x"),
            (".gitattributes", "*.txt filter=evil\n"),
            ("a.txt", "a"),
        ],
    );
    let server = Server::start().await;
    server.open(&from_git(&url)).await;
    let witness = server.workspace.join("node_modules/ran");
    std::fs::create_dir_all(witness.parent().unwrap()).unwrap();
    let program = format!("touch {}; cat", witness.display());
    for (key, value) in [
        ("filter.evil.clean", program.as_str()),
        ("filter.evil.process", program.as_str()),
        ("core.fsmonitor", program.as_str()),
        ("filter.evil.required", "true"),
    ] {
        git(&server.workspace, &["config", key, value]);
    }
    server.write("a.txt", "b");
    let counted = inspect(&server.workspace).unwrap();
    assert!(counted.files >= 1, "{counted:?}");
    assert!(!witness.exists(), "a program of the workspace was run");
}

#[test]
fn a_directory_without_a_repository_counts_its_files() {
    let workspace = tempfile::tempdir().unwrap();
    assert_eq!(inspect(workspace.path()).unwrap(), Unsaved::NONE);
    std::fs::create_dir_all(workspace.path().join("a/b")).unwrap();
    std::fs::write(workspace.path().join("a/b/c.txt"), "x").unwrap();
    std::fs::write(workspace.path().join("d.txt"), "x").unwrap();
    assert_eq!(inspect(workspace.path()).unwrap().files, 2);
    assert!(inspect(&workspace.path().join("missing")).is_err());
}
