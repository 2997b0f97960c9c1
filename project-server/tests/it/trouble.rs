//! The ways in which an opening fails, each with its code and its sentence.

use firefly_domain::control::{Assignment, ReportBody};
use firefly_domain::{FailureCode, Source, Step};

use crate::git_server::GitServer;
use crate::support::{PAGE, Server, assignment, from_git, from_template, on_branch};

async fn failure_of(server: &Server, assignment: &Assignment) -> (Step, FailureCode, String) {
    let outcomes = server.open(assignment).await;
    let Some(ReportBody::Failed(failure)) = outcomes.last() else {
        panic!("it did not fail: {outcomes:?}");
    };
    (failure.step, failure.code, failure.detail.clone())
}

#[tokio::test]
async fn each_trouble_with_a_remote_has_its_code_and_a_sentence() {
    let remote = GitServer::start().await;
    let url = remote.repository("team/app", PAGE);
    remote.empty("team/empty");
    let elsewhere = url.replace("/team/", "/elsewhere/team/");
    let private = url.replace("/team/", "/private/team/");
    let missing = remote.url("team/nothing");
    for (assignment, code, words) in [
        (
            from_git(&missing),
            FailureCode::RepositoryNotFound,
            "no repository",
        ),
        (
            from_git(&private),
            FailureCode::AccessDenied,
            "private or does not exist",
        ),
        (
            from_git(&elsewhere),
            FailureCode::CloneFailed,
            "not followed",
        ),
        (
            from_git(&remote.url("team/empty")),
            FailureCode::RepositoryEmpty,
            "no commit",
        ),
        (
            on_branch(from_git(&url), "nope"),
            FailureCode::BranchNotFound,
            "no branch nope",
        ),
        (
            from_git("http://nowhere.invalid/a/b"),
            FailureCode::RemoteUnreachable,
            "nowhere.invalid",
        ),
        (
            from_git("http://127.0.0.1:1/a/b"),
            FailureCode::RemoteUnreachable,
            "127.0.0.1:1",
        ),
        (
            assignment(Source::Path("/nonexistent/app".to_owned())),
            FailureCode::RepositoryNotFound,
            "absolute path",
        ),
        (
            from_template("nope"),
            FailureCode::TemplateUnknown,
            "starter",
        ),
    ] {
        let server = Server::start().await;
        let (step, found, detail) = failure_of(&server, &assignment).await;
        assert_eq!((step, found), (Step::Source, code), "{detail}");
        assert!(detail.contains(words), "{detail}");
        let left: Vec<_> = std::fs::read_dir(&server.workspace).unwrap().collect();
        assert!(left.len() <= 1, "{left:?}");
    }
}

#[tokio::test]
async fn a_remote_that_redirects_once_it_is_trusted_is_not_followed() {
    let remote = GitServer::start().await;
    let url = remote
        .repository("team/app", PAGE)
        .replace("/team/", "/turncoat/team/");
    let server = Server::start().await;
    let (_, code, detail) = failure_of(&server, &from_git(&url)).await;
    assert_eq!(code, FailureCode::CloneFailed, "{detail}");
}

#[tokio::test]
async fn what_cannot_be_installed_or_shown_says_so() {
    let remote = GitServer::start().await;
    for (name, files, step, code, words) in [
        (
            "a/json",
            &[("index.html", ""), ("package.json", "{\n oops")][..],
            Step::Install,
            FailureCode::PackageJsonInvalid,
            "line 2",
        ),
        (
            "a/npm",
            &[
                ("index.html", ""),
                (
                    "package.json",
                    r#"{"name":"x","version":"1.0.0","dependencies":{"y":"file:./no.tgz"}}"#,
                ),
            ],
            Step::Install,
            FailureCode::InstallFailed,
            "ENOENT",
        ),
        (
            "a/page",
            &[("readme.txt", "no page")],
            Step::Preview,
            FailureCode::NoIndexPage,
            "index.html",
        ),
    ] {
        let server = Server::start().await;
        let (found_step, found, detail) =
            failure_of(&server, &from_git(&remote.repository(name, files))).await;
        assert_eq!((found_step, found), (step, code), "{detail}");
        assert!(detail.contains(words), "{detail}");
    }
}
