//! Where Firefly and a running container meet: one directory for each container, in which its project-server makes its
//! socket, and which is gone once the container is.
//!
//! The directory belongs to the container's user, and what is in it to strangers. The one that they all lie in is
//! Firefly's, so nobody else can put another in the place of one of them.

use std::collections::HashSet;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::{Directories, Error, Owner, in_background, remove_all, tree};

/// Anybody may pass through to what is theirs, and nobody else looks around.
const HOLDER_MODE: u32 = 0o711;

/// Only the container's user, and root, enter.
const DIRECTORY_MODE: u32 = 0o700;

impl Directories {
    /// Where the run directory of a container is, or would be; its place never changes.
    pub fn run_directory(&self, place: &Uuid) -> PathBuf {
        self.containers.join(place.to_string())
    }

    /// Makes sure that a container has a run directory, which belongs to `owner`. One that is there stays,
    /// since a container may be using it.
    pub(in super::super) async fn make_run_directory(
        &self,
        place: &Uuid,
        owner: Owner,
    ) -> Result<PathBuf, Error> {
        let path = self.run_directory(place);
        let holder = self.containers.clone();
        in_background(&path, move |path| {
            make(&holder, HOLDER_MODE)?;
            make(&path, DIRECTORY_MODE)?;
            tree::give(&path, owner)
        })
        .await
        .map_err(Error::new("make the run directory", &path))?;
        Ok(path)
    }

    /// Deletes the run directory of a container, which must not run. One that is gone already is fine.
    pub(in super::super) async fn remove_run_directory(
        &self,
        place: &Uuid,
    ) -> Result<(), Error> {
        remove_all(&self.run_directory(place)).await
    }

    /// Deletes the run directories of all places but these.
    pub(in super::super) async fn keep_run_directories(
        &self,
        places: &HashSet<Uuid>,
    ) -> Result<(), Error> {
        let failed = |error| Error::new("list", &self.containers)(error);
        let mut entries = match tokio::fs::read_dir(&self.containers).await {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        while let Some(entry) = entries.next_entry().await.map_err(failed)? {
            let name = entry.file_name();
            let place: Option<Uuid> = name.to_str().and_then(|name| name.parse().ok());
            if place.is_some_and(|place| !places.contains(&place)) {
                remove_all(&entry.path()).await?;
            }
        }
        Ok(())
    }
}

/// Makes a directory with what is above it. The mode is for one that is made.
fn make(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(mode).create(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn what_no_container_uses_is_deleted_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let directories = Directories::new(
            &home.path().join("w"),
            &home.path().join("npm"),
            &home.path().join("run"),
        )
        .unwrap();
        let owner = Owner::this_process();
        directories
            .keep_run_directories(&HashSet::new())
            .await
            .unwrap();
        let (kept, gone) = (&Uuid::from_u128(1), &Uuid::from_u128(2));
        for place in [kept, gone] {
            let path = directories
                .make_run_directory(place, owner)
                .await
                .unwrap();
            let mode = path.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, DIRECTORY_MODE);
            std::fs::write(path.join("file"), "x").unwrap();
        }
        directories.make_run_directory(kept, owner).await.unwrap();
        let alive = HashSet::from([*kept]);
        directories.keep_run_directories(&alive).await.unwrap();
        assert!(directories.run_directory(kept).join("file").exists());
        assert!(!directories.run_directory(gone).exists());
        directories.remove_run_directory(kept).await.unwrap();
        directories.remove_run_directory(kept).await.unwrap();
        assert!(!directories.run_directory(kept).exists());
    }
}
