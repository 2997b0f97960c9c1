//! Small reads and one small write on a finished repository.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use firefly_domain::{Failure, FailureCode, Step};

use super::disk_failure;
use super::protocol::chain;

/// What no repository should show as its own, even if its `.gitignore` forgets it.
const EXCLUDES: &str = "# Made by Firefly\nnode_modules/\n/.firefly-*\n";

/// The branch and commit that are checked out.
pub(super) struct Head {
    pub branch: Option<String>,
    pub commit: Option<String>,
}

/// Opens the repository in exactly this directory, without the user's and the system's configuration.
///
/// Trust is reduced on purpose: the workspace belongs to strangers, and its configuration may name programs (filters,
/// for one) that a mere look at the repository must not run.
pub(super) fn open(workspace: &Path) -> gix::Result<gix::Repository> {
    gix::open::Options::isolated()
        .with(gix::sec::Trust::Reduced)
        .open(workspace)
        .map(Into::into)
}

/// Reads what is checked out.
pub(super) fn head(workspace: &Path) -> Result<Head, Failure> {
    let read = || -> gix::Result<Head> {
        let repository = open(workspace)?;
        let head = repository.head()?;
        Ok(Head {
            branch: head.referent_name().map(|name| name.shorten().to_string()),
            commit: head.id().map(|id| id.to_string()),
        })
    };
    read().map_err(|error| {
        Failure::new(
            Step::Source,
            FailureCode::WorkspaceFailed,
            format!(
                "the git repository in the workspace cannot be read, repair it or delete the project: {}",
                chain(&error)
            ),
        )
    })
}

/// Says where the remote is that the repository was cloned from.
pub(super) fn name_origin(checkout: &Path, url: &str) -> Result<(), Failure> {
    let path = checkout.join(".git/config");
    let named = || -> gix::Result<gix::bstr::BString> {
        let mut config =
            gix::config::File::from_path_no_includes(path.clone(), gix::config::Source::Local)?;
        config.set_raw_value("remote.origin.url", url)?;
        Ok(config.to_bstring())
    };
    let config = named().map_err(|error| {
        let detail = format!("{} cannot be read: {}", path.display(), chain(&error));
        Failure::new(Step::Source, FailureCode::WorkspaceFailed, detail)
    })?;
    fs::write(&path, &*config).map_err(|error| disk_failure(Step::Source, "write", &path, &error))
}

/// Keeps installed packages and our own files out of `git status`.
pub(super) fn exclude_our_files(checkout: &Path) -> Result<(), Failure> {
    let info = checkout.join(".git/info");
    let path = info.join("exclude");
    fs::create_dir_all(&info)
        .and_then(|()| OpenOptions::new().create(true).append(true).open(&path))
        .and_then(|mut file| file.write_all(EXCLUDES.as_bytes()))
        .map_err(|error| disk_failure(Step::Source, "write", &path, &error))
}
