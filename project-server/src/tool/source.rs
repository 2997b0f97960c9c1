//! The source step: the workspace gets its files, unless it has them already.
//!
//! A workspace is finished exactly when it has a `.git`, which is why [`staging`] moves that last. A file in there says
//! what the workspace was made from (see [`origin`]); the branch is whichever was left checked out.

use std::path::Path;

use firefly_domain::output::Tool;
use firefly_domain::{Failure, FailureCode, Source, Step};

use super::protocol::{Outcome, SourceRequest};
use super::staging::{Found, Staging};
use super::{clone, origin, repository, said, staging, template};

/// Finds, clones or writes the files.
pub(super) fn run(workspace: &Path, request: &SourceRequest) -> Result<Outcome, Failure> {
    match staging::look(workspace)? {
        Found::Checkout => {
            origin::check(workspace, &request.source)?;
            resume(workspace)
        }
        Found::Complete(staging) => {
            origin::check(&staging.checkout(), &request.source)?;
            staging.move_into_place(workspace)?;
            describe(workspace, request)
        }
        Found::Nothing => {
            let staging = Staging::create(workspace)?;
            fill(&staging, request)?;
            staging.mark_complete()?;
            staging.move_into_place(workspace)?;
            describe(workspace, request)
        }
        Found::Strangers => Err(Failure::new(
            Step::Source,
            FailureCode::WorkspaceFailed,
            "the workspace holds files but no git repository, and nothing is overwritten; \
             save what is needed, delete the project and open it again",
        )),
    }
}

fn resume(workspace: &Path) -> Result<Outcome, Failure> {
    let head = repository::head(workspace)?;
    said::say(Tool::Git, &format!("the workspace is there, {}", at(&head)));
    Ok(Outcome::Resumed {
        branch: head.branch,
        commit: head.commit,
    })
}

fn fill(staging: &Staging, request: &SourceRequest) -> Result<(), Failure> {
    let checkout = staging.checkout();
    said::say(Tool::Git, &format!("fetching {}", request.source));
    match &request.source {
        Source::Git(url) => clone::from_remote(url, request.branch.as_ref(), &checkout)?,
        Source::Path(path) => {
            let place = request.local_source.as_deref();
            let place = place.unwrap_or_else(|| Path::new(path));
            clone::from_path(path, place, request.branch.as_ref(), &checkout)?;
        }
        Source::Template(name) => template::write(name, &checkout)?,
    }
    origin::record(&checkout, &request.source)?;
    repository::exclude_our_files(&checkout)
}

/// Where a checkout stands, for people.
fn at(head: &repository::Head) -> String {
    let branch = head.branch.as_deref().unwrap_or("no branch");
    match &head.commit {
        Some(commit) => format!("{branch} at {commit}"),
        None => format!("{branch} without a commit"),
    }
}

fn describe(workspace: &Path, request: &SourceRequest) -> Result<Outcome, Failure> {
    let head = repository::head(workspace)?;
    said::say(Tool::Git, &format!("checked out, {}", at(&head)));
    let commit = head.commit.unwrap_or_default();
    Ok(match &request.source {
        Source::Template(name) => Outcome::TemplateApplied {
            template: name.to_string(),
            commit,
        },
        Source::Git(_) | Source::Path(_) => Outcome::Cloned {
            branch: head.branch.unwrap_or_default(),
            commit,
        },
    })
}

#[cfg(test)]
mod tests {
    use firefly_domain::Segment;

    use super::*;

    #[test]
    fn a_repository_that_is_read_elsewhere_keeps_its_path_as_origin() {
        let home = tempfile::tempdir().unwrap();
        let written = home.path().join("written");
        template::write(&Segment::parse("starter").unwrap(), &written).unwrap();
        // As one with a work tree is mounted, and as a bare one is.
        for (name, place) in [("one", written.clone()), ("other", written.join(".git"))] {
            let workspace = home.path().join(name);
            std::fs::create_dir(&workspace).unwrap();
            let request = |local_source| SourceRequest {
                source: Source::Path("/nonexistent/app".to_owned()),
                branch: None,
                local_source,
            };
            let missing = run(&workspace, &request(None)).unwrap_err();
            assert_eq!(missing.code, FailureCode::RepositoryNotFound);
            run(&workspace, &request(Some(place))).unwrap();
            let config = std::fs::read_to_string(workspace.join(".git/config")).unwrap();
            assert!(config.contains("url = /nonexistent/app"), "{config}");
            assert!(!config.contains("written"), "{config}");
        }
    }

    #[test]
    fn a_complete_checkout_of_another_source_is_not_taken() {
        let workspace = tempfile::tempdir().unwrap();
        let request = SourceRequest {
            source: Source::Template(Segment::parse("starter").unwrap()),
            local_source: None,
            branch: None,
        };
        let staging = Staging::create(workspace.path()).unwrap();
        fill(&staging, &request).unwrap();
        staging.mark_complete().unwrap();
        let other = SourceRequest {
            source: Source::Path("/somewhere/else".to_owned()),
            local_source: None,
            branch: None,
        };
        let failure = run(workspace.path(), &other).unwrap_err();
        assert_eq!(failure.code, FailureCode::WorkspaceFailed);
        assert!(run(workspace.path(), &request).is_ok());
    }
}
