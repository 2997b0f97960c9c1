//! The source step: the workspace gets its files, unless it has them already.
//!
//! A workspace is finished exactly when it has a `.git`, which is why [`staging`] moves that last. A file in there says
//! what the workspace was made from (see [`origin`]); the branch is whichever was left checked out.

use std::path::Path;

use firefly_domain::{Failure, FailureCode, Source, Step};

use super::protocol::{Outcome, SourceRequest};
use super::staging::{Found, Staging};
use super::{clone, origin, repository, staging, template};

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
    Ok(Outcome::Resumed {
        branch: head.branch,
        commit: head.commit,
    })
}

fn fill(staging: &Staging, request: &SourceRequest) -> Result<(), Failure> {
    let checkout = staging.checkout();
    match &request.source {
        Source::Git(url) => clone::from_remote(url, request.branch.as_ref(), &checkout)?,
        Source::Path(path) => clone::from_path(path, request.branch.as_ref(), &checkout)?,
        Source::Template(name) => template::write(name, &checkout)?,
    }
    origin::record(&checkout, &request.source)?;
    repository::exclude_our_files(&checkout)
}

fn describe(workspace: &Path, request: &SourceRequest) -> Result<Outcome, Failure> {
    let head = repository::head(workspace)?;
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
    fn a_complete_checkout_of_another_source_is_not_taken() {
        let workspace = tempfile::tempdir().unwrap();
        let request = SourceRequest {
            source: Source::Template(Segment::parse("starter").unwrap()),
            branch: None,
        };
        let staging = Staging::create(workspace.path()).unwrap();
        fill(&staging, &request).unwrap();
        staging.mark_complete().unwrap();
        let other = SourceRequest {
            source: Source::Path("/somewhere/else".to_owned()),
            branch: None,
        };
        let failure = run(workspace.path(), &other).unwrap_err();
        assert_eq!(failure.code, FailureCode::WorkspaceFailed);
        assert!(run(workspace.path(), &request).is_ok());
    }
}
