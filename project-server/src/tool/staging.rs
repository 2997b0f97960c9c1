//! Puts a checkout into the workspace so that a killed try is never taken for a finished one.
//!
//! Files are made in `.firefly-clone-<pid>/checkout` inside the workspace, which is the same file system. A marker
//! beside them says that they are all there; only then they are moved up, `.git` last. The next try completes a marked
//! directory and throws an unmarked one away, so it never has to guess about files in the workspace itself.

use std::fs;
use std::path::{Path, PathBuf};

use firefly_domain::{Failure, Step};

use super::{disk_failure, removal};

/// How the directories of unfinished work begin.
pub(super) const STAGING_PREFIX: &str = ".firefly-clone-";

/// The file that says the checkout beside it is complete.
const COMPLETE: &str = "complete";

/// What a workspace holds.
#[derive(Debug)]
pub(super) enum Found {
    /// A finished checkout.
    Checkout,
    /// A checkout that is complete, but was not wholly moved into place.
    Complete(Staging),
    /// Nothing that must be kept.
    Nothing,
    /// Files that no try of ours has left.
    Strangers,
}

/// A directory in which a checkout is made.
#[derive(Debug)]
pub(super) struct Staging {
    root: PathBuf,
}

/// Looks at the workspace and removes what killed tries have left.
pub(super) fn look(workspace: &Path) -> Result<Found, Failure> {
    let has_git = workspace.join(".git").symlink_metadata().is_ok();
    let mut strangers = false;
    let mut complete = None;
    for name in names(workspace)? {
        let path = workspace.join(&name);
        if !name
            .as_encoded_bytes()
            .starts_with(STAGING_PREFIX.as_bytes())
        {
            strangers = true;
        } else if !has_git && complete.is_none() && path.join(COMPLETE).exists() {
            complete = Some(Staging { root: path });
        } else {
            remove(&path)?;
        }
    }
    Ok(match (has_git, complete, strangers) {
        (true, _, _) => Found::Checkout,
        (false, Some(staging), _) => Found::Complete(staging),
        (false, None, false) => Found::Nothing,
        (false, None, true) => Found::Strangers,
    })
}

impl Staging {
    /// Makes an empty directory for this process.
    pub(super) fn create(workspace: &Path) -> Result<Self, Failure> {
        let root = workspace.join(format!("{STAGING_PREFIX}{}", std::process::id()));
        fs::create_dir(&root)
            .map_err(|error| disk_failure(Step::Source, "create", &root, &error))?;
        Ok(Self { root })
    }

    /// Where the checkout is made; nothing is there yet.
    pub(super) fn checkout(&self) -> PathBuf {
        self.root.join("checkout")
    }

    /// Declares that everything is there.
    pub(super) fn mark_complete(&self) -> Result<(), Failure> {
        let marker = self.root.join(COMPLETE);
        fs::write(&marker, b"")
            .map_err(|error| disk_failure(Step::Source, "write", &marker, &error))
    }

    /// Moves what is not yet moved, `.git` last, and removes the directory.
    pub(super) fn move_into_place(self, workspace: &Path) -> Result<(), Failure> {
        let checkout = self.checkout();
        let mut entries = names(&checkout)?;
        entries.sort_by_key(|name| name == ".git");
        for name in entries {
            let target = workspace.join(&name);
            fs::rename(checkout.join(&name), &target)
                .map_err(|error| disk_failure(Step::Source, "move into place", &target, &error))?;
        }
        remove(&self.root)
    }
}

fn names(directory: &Path) -> Result<Vec<std::ffi::OsString>, Failure> {
    fs::read_dir(directory)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.file_name()))
                .collect()
        })
        .map_err(|error| disk_failure(Step::Source, "list", directory, &error))
}

fn remove(path: &Path) -> Result<(), Failure> {
    removal::remove(path).map_err(|error| disk_failure(Step::Source, "remove", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn staged(workspace: &Path) -> Staging {
        let staging = Staging::create(workspace).unwrap();
        fs::create_dir_all(staging.checkout().join(".git")).unwrap();
        fs::write(staging.checkout().join("index.html"), "x").unwrap();
        staging
    }

    #[test]
    fn an_unmarked_try_is_thrown_away() {
        let workspace = tempfile::tempdir().unwrap();
        staged(workspace.path());
        assert!(matches!(look(workspace.path()).unwrap(), Found::Nothing));
        assert_eq!(names(workspace.path()).unwrap().len(), 0);
    }

    #[test]
    fn a_marked_try_is_completed_although_it_was_killed_while_moving() {
        let workspace = tempfile::tempdir().unwrap();
        let staging = staged(workspace.path());
        staging.mark_complete().unwrap();
        fs::rename(
            staging.checkout().join("index.html"),
            workspace.path().join("index.html"),
        )
        .unwrap();
        let Found::Complete(staging) = look(workspace.path()).unwrap() else {
            panic!("the complete checkout was not found");
        };
        staging.move_into_place(workspace.path()).unwrap();
        assert!(matches!(look(workspace.path()).unwrap(), Found::Checkout));
        assert_eq!(names(workspace.path()).unwrap().len(), 2);
    }

    #[test]
    fn files_of_unknown_origin_are_kept() {
        let workspace = tempfile::tempdir().unwrap();
        fs::write(workspace.path().join("notes.txt"), "mine").unwrap();
        assert!(matches!(look(workspace.path()).unwrap(), Found::Strangers));
        assert!(workspace.path().join("notes.txt").exists());
    }
}
