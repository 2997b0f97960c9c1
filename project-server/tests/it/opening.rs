//! The steps of an opening that goes well.

use firefly_domain::control::{ReportBody, Unsaved};
use firefly_domain::{FailureCode, Source};

use crate::git_server::{GitServer, git};
use crate::support::{PAGE, Server, assignment, from_git, from_template, on_branch};

#[tokio::test]
async fn a_repository_is_cloned_installed_and_served() {
    let remote = GitServer::start().await;
    let url = remote.repository("team/app", PAGE);
    let server = Server::start().await;
    let outcomes = server.open(&from_git(&url)).await;
    let [
        ReportBody::Cloned { branch, commit, .. },
        ReportBody::Installed {
            packages: 0,
            reused: false,
            ..
        },
        ReportBody::Ready { .. },
    ] = outcomes.as_slice()
    else {
        panic!("unexpected outcomes: {outcomes:?}");
    };
    assert_eq!((branch.as_str(), commit.len()), ("main", 40));
    let page = server.get("/static/index.html").await.text().await.unwrap();
    assert!(page.contains("hello"));
    assert_eq!(server.unsaved().await, Unsaved::NONE);
    // git itself agrees that the clone is whole, clean and knows where it came from.
    git(&server.workspace, &["fsck", "--strict"]);
    git(
        &server.workspace,
        &["diff", "--exit-code", "origin/main", "--"],
    );
    git(
        &server.workspace,
        &["rev-parse", "--abbrev-ref", "main@{upstream}"],
    );
    let entries: Vec<_> = std::fs::read_dir(&server.workspace)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        !entries
            .iter()
            .any(|name| name.to_string_lossy().starts_with(".firefly-")),
        "{entries:?}"
    );
}

#[tokio::test]
async fn the_branch_asked_for_is_checked_out() {
    let remote = GitServer::start().await;
    let url = remote.repository("team/app", PAGE);
    remote.commit("team/app", "feature/x", &[("index.html", "<p>feature")]);
    let server = Server::start().await;
    let outcomes = server.open(&on_branch(from_git(&url), "feature/x")).await;
    assert!(matches!(&outcomes[0], ReportBody::Cloned { branch, .. } if branch == "feature/x"));
    let page = server.get("/static/index.html").await.text().await.unwrap();
    assert!(page.starts_with("<p>feature"), "{page}");
    assert_eq!(server.unsaved().await, Unsaved::NONE);
}

#[tokio::test]
async fn a_template_is_written_and_nothing_in_it_is_unsaved() {
    let server = Server::start().await;
    // Its installation needs the network, which is not what is tried here.
    let response = server.assign(&from_template("starter")).await;
    assert_eq!(response.status(), 204);
    let outcomes = server
        .outcomes_until(|body| matches!(body, ReportBody::TemplateApplied { .. }))
        .await;
    let ReportBody::TemplateApplied {
        template, commit, ..
    } = &outcomes[0]
    else {
        panic!("unexpected outcomes: {outcomes:?}");
    };
    assert_eq!((template.as_str(), commit.len()), ("starter", 40));
    assert_eq!(server.unsaved().await, Unsaved::NONE);
    assert!(server.workspace.join("ui/main.reel/main.js").exists());
    assert!(server.workspace.join(".gitignore").exists());
}

#[tokio::test]
async fn a_repository_on_this_machine_is_cloned_by_its_path() {
    let remote = GitServer::start().await;
    remote.repository("team/app", PAGE);
    let path = remote.directory("team/app");
    // Another owner, as seen from inside a container.
    std::os::unix::fs::chown(&path, Some(12345), Some(12345)).unwrap();
    let server = Server::start().await;
    let source = Source::Path(path.to_string_lossy().into_owned());
    let outcomes = server.open(&assignment(source)).await;
    assert!(
        matches!(outcomes.last(), Some(ReportBody::Ready { .. })),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn reopening_finds_uncommitted_work_as_it_was() {
    let remote = GitServer::start().await;
    let url = remote.repository("team/app", PAGE);
    let first = Server::start().await;
    first.open(&from_git(&url)).await;
    first.write("index.html", "<p>changed");
    first.write("new.txt", "mine");
    let workspace = first.workspace.clone();
    let answer = first
        .control(reqwest::Method::POST, "shutdown")
        .send()
        .await
        .unwrap();
    let unsaved: Unsaved = answer.json().await.unwrap();
    assert_eq!(
        unsaved,
        Unsaved {
            files: 2,
            commits: 0
        }
    );
    assert_eq!(
        firefly_project_server::inspect(&workspace).unwrap(),
        unsaved
    );

    let second = Server::start_in(&workspace).await;
    let outcomes = second.open(&from_git(&url)).await;
    assert!(
        matches!(&outcomes[0], ReportBody::Resumed { branch: Some(branch), commit: Some(_), .. } if branch == "main")
    );
    assert!(matches!(
        &outcomes[1],
        ReportBody::Installed { reused: true, .. }
    ));
    let page = second.get("/static/index.html").await.text().await.unwrap();
    assert!(page.starts_with("<p>changed"), "{page}");
    assert_eq!(second.unsaved().await, unsaved);
}

#[tokio::test]
async fn a_workspace_is_resumed_for_its_own_source_only_and_on_the_branch_it_was_left_at() {
    let remote = GitServer::start().await;
    let url = remote.repository("team/app", PAGE);
    let other = remote.repository("team/other", PAGE);
    remote.commit("team/app", "feature", &[("index.html", "<p>feature")]);
    let workspace = tempfile::tempdir().unwrap();
    let first = Server::start_in(workspace.path()).await;
    first.open(&from_git(&url)).await;

    let second = Server::start_in(workspace.path()).await;
    let outcomes = second.open(&from_git(&other)).await;
    let [ReportBody::Failed(failure)] = outcomes.as_slice() else {
        panic!("unexpected outcomes: {outcomes:?}");
    };
    assert_eq!(failure.code, FailureCode::WorkspaceFailed);
    assert!(
        failure.detail.contains(&url) && failure.detail.contains(&other),
        "{}",
        failure.detail
    );

    let third = Server::start_in(workspace.path()).await;
    let outcomes = third.open(&on_branch(from_git(&url), "feature")).await;
    assert!(
        matches!(&outcomes[0], ReportBody::Resumed { branch: Some(branch), .. } if branch == "main"),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn a_killed_clone_leaves_nothing_that_the_next_one_trips_over() {
    let remote = GitServer::start().await;
    let url = remote.repository("team/app", PAGE);
    let workspace = tempfile::tempdir().unwrap();
    let leftover = workspace.path().join(".firefly-clone-1/checkout");
    std::fs::create_dir_all(leftover.join(".git")).unwrap();
    std::fs::write(leftover.join("index.html"), "half").unwrap();
    assert_eq!(
        firefly_project_server::inspect(workspace.path()).unwrap(),
        Unsaved::NONE
    );
    let server = Server::start_in(workspace.path()).await;
    let outcomes = server.open(&from_git(&url)).await;
    assert!(matches!(&outcomes[0], ReportBody::Cloned { .. }));
    assert!(!workspace.path().join(".firefly-clone-1").exists());
}

#[tokio::test]
async fn a_redirect_on_the_same_host_is_followed() {
    let remote = GitServer::start().await;
    let url = remote
        .repository("team/app", PAGE)
        .replace("/team/", "/moved/team/");
    let server = Server::start().await;
    let outcomes = server.open(&from_git(&url)).await;
    assert!(
        matches!(outcomes.last(), Some(ReportBody::Ready { .. })),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn a_tracked_lock_file_is_respected_and_stays_as_it_is() {
    let remote = GitServer::start().await;
    let lock = r#"{"name":"app","version":"1.0.0","lockfileVersion":3,"requires":true,"packages":{"":{"name":"app","version":"1.0.0","dependencies":{"inner":"file:inner"}},"inner":{"version":"1.0.0"},"node_modules/inner":{"resolved":"inner","link":true}}}"#;
    let url = remote.repository(
        "team/app",
        &[
            ("index.html", ""),
            (
                "package.json",
                r#"{"name":"app","version":"1.0.0","dependencies":{"inner":"file:inner"}}"#,
            ),
            (
                "inner/package.json",
                r#"{"name":"inner","version":"1.0.0"}"#,
            ),
            ("package-lock.json", lock),
        ],
    );
    let server = Server::start().await;
    let outcomes = server.open(&from_git(&url)).await;
    assert!(
        matches!(&outcomes[1], ReportBody::Installed { packages: 2, .. }),
        "{outcomes:?}"
    );
    assert_eq!(
        std::fs::read_to_string(server.workspace.join("package-lock.json")).unwrap(),
        lock
    );
    assert_eq!(server.unsaved().await, Unsaved::NONE);
}
