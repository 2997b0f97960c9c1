//! What a container gets to see of a repository on this host: its history, once, and nothing beside it.
//!
//! The work tree of the original may hold what was never committed, such as an `.env` with passwords; a container
//! runs strangers' code. A workspace that has its files already needs nothing of the original, which may be gone.

use std::io;
use std::path::{Path, PathBuf};

use super::super::directories::Error;

/// The history of a repository on this host.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct History {
    /// Where it is, with no link in the way.
    pub(super) directory: PathBuf,
    /// Whether there is no work tree around it.
    pub(super) bare: bool,
}

/// What to mount, if there is anything and the workspace has no files yet.
///
/// A path with no repository is left to the source step, which says so.
pub(super) fn look(path: &Path, workspace: &Path) -> Result<Option<History>, Error> {
    if workspace.join(".git").symlink_metadata().is_ok() {
        return Ok(None);
    }
    let inside = path.join(".git");
    for (directory, bare) in [(inside.as_path(), false), (path, true)] {
        let unreadable = |source| Error::Unreadable {
            path: path.to_owned(),
            source,
        };
        if is_repository(directory).map_err(unreadable)? {
            let directory = directory.canonicalize().map_err(unreadable)?;
            return Ok(Some(History { directory, bare }));
        }
    }
    Ok(None)
}

fn is_repository(directory: &Path) -> io::Result<bool> {
    let found =
        |name: &str, is_it: fn(&std::fs::Metadata) -> bool| match directory.join(name).metadata() {
            Ok(found) => Ok(is_it(&found)),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
            Err(_) => Ok(false),
        };
    Ok(found("HEAD", std::fs::Metadata::is_file)?
        && found("objects", std::fs::Metadata::is_dir)?
        && found("refs", std::fs::Metadata::is_dir)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make_repository(directory: &Path) {
        for inner in ["objects", "refs"] {
            std::fs::create_dir_all(directory.join(inner)).unwrap();
        }
        std::fs::write(directory.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    }

    #[test]
    fn only_the_history_of_a_repository_is_shown() {
        let home = tempfile::tempdir().unwrap();
        let (work, bare) = (home.path().join("work"), home.path().join("bare.git"));
        make_repository(&work.join(".git"));
        std::fs::write(work.join(".env"), "PASSWORD=x").unwrap();
        make_repository(&bare);
        let workspace = home.path().join("workspace");
        let look = |path: &Path| look(path, &workspace).unwrap();
        let history = |directory: PathBuf, bare| {
            let directory = directory.canonicalize().unwrap();
            Some(History { directory, bare })
        };
        assert_eq!(look(&work), history(work.join(".git"), false));
        assert_eq!(look(&bare), history(bare.clone(), true));
    }

    #[test]
    fn what_is_no_repository_is_left_to_the_source_step() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        std::fs::write(&file, "x").unwrap();
        let missing = home.path().join("missing");
        for path in [home.path(), &file, &missing, Path::new("/etc")] {
            assert_eq!(look(path, &missing).unwrap(), None, "{}", path.display());
        }
    }

    #[test]
    fn a_workspace_with_files_needs_no_original() {
        let home = tempfile::tempdir().unwrap();
        let (work, workspace) = (home.path().join("work"), home.path().join("workspace"));
        make_repository(&work.join(".git"));
        make_repository(&workspace.join(".git"));
        assert_eq!(look(&work, &workspace).unwrap(), None);
    }
}
