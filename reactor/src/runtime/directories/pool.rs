//! Workspaces of containers that are started ahead. A container's mounts cannot be changed later, so it gets an empty
//! directory, and that becomes the workspace of the project which claims it.
//!
//! A link stays where the directory was: the engine looks there whenever the container is started again.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;

use firefly_domain::ProjectId;

use super::super::Slot;
use super::{Directories, Error, Owner, make, remove_all};

/// The beginning of the name of a directory that waits for a project.
const PREFIX: &str = ".pool-";

impl Directories {
    fn pool_workspace(&self, slot: Slot) -> PathBuf {
        self.workspaces.join(format!("{PREFIX}{slot}"))
    }

    /// Makes an empty directory that belongs to `owner`.
    pub(in super::super) async fn make_pool_workspace(
        &self,
        slot: Slot,
        owner: Owner,
    ) -> Result<PathBuf, Error> {
        make(self.pool_workspace(slot), owner).await
    }

    /// Makes it a project's workspace; not if the project has one with anything in it. Doing it again is fine.
    pub(in super::super) async fn claim_workspace(
        &self,
        slot: Slot,
        project: ProjectId,
    ) -> Result<bool, Error> {
        let (from, to) = (self.pool_workspace(slot), self.workspace(project));
        if tokio::fs::read_link(&from).await.is_ok_and(|link| link == to) {
            return Ok(true);
        }
        // The system puts a directory in the place of an empty one only.
        match tokio::fs::rename(&from, &to).await {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => return Ok(false),
            Err(error) => return Err(Error::new("move", &from)(error)),
        }
        tokio::fs::symlink(&to, &from)
            .await
            .map_err(Error::new("link", &from))?;
        Ok(true)
    }

    /// Removes what is left of it once its container is gone; a project's workspace stays.
    pub(in super::super) async fn forget_pool_workspace(&self, slot: Slot) -> Result<(), Error> {
        let path = self.pool_workspace(slot);
        match tokio::fs::remove_file(&path).await {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(_) => remove_all(&path).await,
        }
    }

    /// Removes those of all places but these.
    pub(in super::super) async fn keep_pool_workspaces(
        &self,
        slots: &HashSet<Slot>,
    ) -> Result<(), Error> {
        let failed = |error| Error::new("list", &self.workspaces)(error);
        let mut entries = match tokio::fs::read_dir(&self.workspaces).await {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        while let Some(entry) = entries.next_entry().await.map_err(failed)? {
            let name = entry.file_name();
            let slot = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse().ok());
            let slot = slot.map(Slot::from_uuid);
            if let Some(slot) = slot.filter(|slot| !slots.contains(slot)) {
                self.forget_pool_workspace(slot).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use firefly_domain::ProjectKey;
    use uuid::Uuid;

    use super::super::tests::directories;
    use super::*;

    fn slot(number: u128) -> Slot {
        Slot::from_uuid(Uuid::from_u128(number))
    }

    fn project() -> ProjectId {
        ProjectKey::new("alice", "montage", "app").unwrap().id()
    }

    #[tokio::test]
    async fn a_claimed_directory_is_the_projects_and_found_in_both_places() {
        let (_home, directories) = directories();
        let owner = Owner::this_process();
        let pooled = directories.make_pool_workspace(slot(1), owner).await.unwrap();
        // The project was opened once and has no files.
        directories.make_workspace(project(), owner).await.unwrap();
        for _ in 0..2 {
            assert!(directories.claim_workspace(slot(1), project()).await.unwrap());
        }
        let workspace = directories.workspace(project());
        std::fs::write(workspace.join("file"), "x").unwrap();
        assert!(pooled.join("file").exists());
        directories.forget_pool_workspace(slot(1)).await.unwrap();
        assert!(workspace.join("file").exists());
        assert!(!pooled.exists());
    }

    #[tokio::test]
    async fn files_of_a_project_are_not_replaced() {
        let (_home, directories) = directories();
        let owner = Owner::this_process();
        directories.make_pool_workspace(slot(1), owner).await.unwrap();
        let workspace = directories.make_workspace(project(), owner).await.unwrap();
        std::fs::write(workspace.join("precious"), "x").unwrap();
        assert!(!directories.claim_workspace(slot(1), project()).await.unwrap());
        assert!(workspace.join("precious").exists());
    }

    #[tokio::test]
    async fn what_no_container_uses_is_removed_and_workspaces_stay() {
        let (_home, directories) = directories();
        let owner = Owner::this_process();
        let mut pooled = Vec::new();
        for number in 1..4 {
            pooled.push(directories.make_pool_workspace(slot(number), owner).await.unwrap());
        }
        directories.claim_workspace(slot(1), project()).await.unwrap();
        let used = HashSet::from([slot(2)]);
        directories.keep_pool_workspaces(&used).await.unwrap();
        let left: Vec<bool> = pooled.iter().map(|path| path.exists()).collect();
        assert_eq!(left, [false, true, false]);
        assert!(directories.workspace(project()).exists());
    }
}
