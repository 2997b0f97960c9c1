//! An empty home for npm and the scripts it runs, so that nothing of the person who started Firefly leaks to them.
//!
//! It is inside the workspace, where one that a killed step has left is found and removed by the next.

use std::path::{Path, PathBuf};

use firefly_domain::{Failure, Step};

use crate::tool::{disk_failure, removal};

/// Its name begins as all of ours do: git, previews and watches pass it over.
const NAME: &str = ".firefly-npm-home";

/// The home; it goes when this is dropped.
pub(super) struct Home {
    path: PathBuf,
}

impl Home {
    /// Makes a new one, and removes one from before.
    pub(super) fn make(workspace: &Path) -> Result<Self, Failure> {
        let path = workspace.join(NAME);
        removal::remove(&path)
            .and_then(|()| std::fs::create_dir(&path))
            .map_err(|error| {
                disk_failure(Step::Install, "make a home for npm at", &path, &error)
            })?;
        Ok(Self { path })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // What cannot be removed now, the next installation removes.
        let _ = removal::remove(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_step_has_left_is_not_seen_by_the_next() {
        let workspace = tempfile::tempdir().unwrap();
        let left = workspace.path().join(NAME);
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join(".npmrc"), "x").unwrap();
        let home = Home::make(workspace.path()).unwrap();
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
        drop(home);
        assert!(!left.exists());
    }
}
