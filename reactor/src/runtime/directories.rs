//! The directories on this host that containers use: workspaces and npm's caches, which outlive them, and run
//! directories, which do not.
//!
//! A workspace is named by its project's id, so that it can be found and removed when nothing else is known of the
//! project. npm's cache is one for each user: its index is writable by whatever runs in a container, so a cache
//! shared between users would let one plant packages for another.

use std::io;
use std::path::{Path, PathBuf};

use firefly_domain::{ProjectId, Segment};

mod pool;
mod run;
mod tree;

/// The beginning of a workspace's name while it is being deleted.
const REMOVED_PREFIX: &str = ".removed-";

/// The user that owns what containers write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
}

impl Owner {
    /// The user Firefly itself runs as.
    pub fn this_process() -> Self {
        Self {
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
        }
    }
}

/// Where workspaces, caches and run directories are.
#[derive(Clone, Debug)]
pub struct Directories {
    workspaces: PathBuf,
    npm_caches: PathBuf,
    containers: PathBuf,
}

/// A directory could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused.
    #[error("could not {operation} {}; look at its permissions and at the space on its disk", .path.display())]
    Refused {
        /// What was tried.
        operation: &'static str,
        /// Which directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A repository to clone from is closed to Firefly.
    #[error("the repository {} may not be read by the user that Firefly runs as", .path.display())]
    Unreadable {
        /// The repository.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Error {
    fn new(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Refused {
            operation,
            path,
            source,
        }
    }
}

impl Directories {
    /// Takes the three parent directories; they are made when they are first needed.
    pub fn new(workspaces: &Path, npm_caches: &Path, containers: &Path) -> Result<Self, Error> {
        let absolute = |path: &Path| {
            std::path::absolute(path).map_err(Error::new("find the absolute path of", path))
        };
        Ok(Self {
            workspaces: absolute(workspaces)?,
            npm_caches: absolute(npm_caches)?,
            containers: absolute(containers)?,
        })
    }

    /// Where a project's workspace is, or would be.
    pub fn workspace(&self, project: ProjectId) -> PathBuf {
        self.workspaces.join(project.to_string())
    }

    /// Makes sure that a project's workspace is there and belongs to `owner`.
    pub(super) async fn make_workspace(
        &self,
        project: ProjectId,
        owner: Owner,
    ) -> Result<PathBuf, Error> {
        make(self.workspace(project), owner).await
    }

    /// Makes sure that a user's npm cache is there and belongs to `owner`.
    pub(super) async fn make_npm_cache(
        &self,
        user: &Segment,
        owner: Owner,
    ) -> Result<PathBuf, Error> {
        make(self.npm_caches.join(user.as_str()), owner).await
    }

    /// The workspace of a project, if it has one with anything in it. It belongs to `owner` from then on.
    pub(super) async fn filled_workspace(
        &self,
        project: ProjectId,
        owner: Owner,
    ) -> Result<Option<PathBuf>, Error> {
        let path = self.workspace(project);
        let failed = |error| Error::new("list", &path)(error);
        let mut entries = match tokio::fs::read_dir(&path).await {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        match entries.next_entry().await.map_err(failed)? {
            Some(_) => make(path, owner).await.map(Some),
            None => Ok(None),
        }
    }

    /// Deletes a project's workspace.
    ///
    /// It is renamed first: a deletion that is cut short leaves nothing that looks like a workspace. What a deletion
    /// that fails has left is put back, where the project and its owner look for it.
    pub(super) async fn remove_workspace(&self, project: ProjectId) -> Result<(), Error> {
        let path = self.workspace(project);
        let doomed = self.workspaces.join(format!("{REMOVED_PREFIX}{project}"));
        let removed = remove_as(&path, &doomed).await;
        if removed.is_err() {
            put_back(&doomed, &path).await;
        }
        removed
    }
}

async fn remove_as(path: &Path, doomed: &Path) -> Result<(), Error> {
    remove_all(doomed).await?;
    match tokio::fs::rename(path, doomed).await {
        Ok(()) => remove_all(doomed).await,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::new("remove", path)(error)),
    }
}

/// The system refuses to put it over anything but an empty directory.
async fn put_back(doomed: &Path, path: &Path) {
    match tokio::fs::rename(doomed, path).await {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(%error, path = %doomed.display(), "what is left of a workspace stays aside");
        }
    }
}

/// Deletes a directory with all in it. A project may have made directories in which nothing can be deleted, as some
/// of npm's and Go's caches are; their owner can change that.
async fn remove_all(path: &Path) -> Result<(), Error> {
    let removed = match tokio::fs::remove_dir_all(path).await {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            in_background(path, |path| tree::unlock(&path))
                .await
                .map_err(Error::new("make removable", path))?;
            tokio::fs::remove_dir_all(path).await
        }
        other => other,
    };
    match removed {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::new("remove", path)(error)),
    }
}

async fn make(path: PathBuf, owner: Owner) -> Result<PathBuf, Error> {
    tokio::fs::create_dir_all(&path)
        .await
        .map_err(Error::new("make", &path))?;
    in_background(&path, move |path| tree::give(&path, owner))
        .await
        .map_err(Error::new("change the owner of", &path))?;
    Ok(path)
}

async fn in_background(
    path: &Path,
    work: impl FnOnce(PathBuf) -> io::Result<()> + Send + 'static,
) -> io::Result<()> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || work(path))
        .await
        .unwrap_or_else(|panic| Err(io::Error::other(panic)))
}

#[cfg(test)]
mod tests {
    use firefly_domain::ProjectKey;

    use super::*;

    pub(super) fn directories() -> (tempfile::TempDir, Directories) {
        let home = tempfile::tempdir().unwrap();
        let [workspaces, npm, run] = ["w", "npm", "run"].map(|name| home.path().join(name));
        let made = Directories::new(&workspaces, &npm, &run).unwrap();
        (home, made)
    }

    fn project() -> ProjectId {
        ProjectKey::new("alice", "montage", "app").unwrap().id()
    }

    #[tokio::test]
    async fn a_workspace_counts_once_it_holds_something() {
        let (_home, directories) = directories();
        let owner = Owner::this_process();
        assert_eq!(
            directories
                .filled_workspace(project(), owner)
                .await
                .unwrap(),
            None
        );
        let path = directories.make_workspace(project(), owner).await.unwrap();
        assert_eq!(
            directories
                .filled_workspace(project(), owner)
                .await
                .unwrap(),
            None
        );
        std::fs::write(path.join("file"), "x").unwrap();
        assert_eq!(
            directories
                .filled_workspace(project(), owner)
                .await
                .unwrap(),
            Some(path)
        );
    }

    #[tokio::test]
    async fn removing_a_workspace_twice_is_fine_and_follows_no_link() {
        let (home, directories) = directories();
        let outside = home.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("precious"), "x").unwrap();
        let owner = Owner::this_process();
        let path = directories.make_workspace(project(), owner).await.unwrap();
        std::os::unix::fs::symlink(&outside, path.join("link")).unwrap();
        directories.remove_workspace(project()).await.unwrap();
        directories.remove_workspace(project()).await.unwrap();
        assert!(!path.exists());
        assert!(outside.join("precious").exists());
    }

    #[tokio::test]
    async fn what_cannot_be_removed_is_where_its_project_looks_for_it() {
        let (_home, directories) = directories();
        let owner = Owner::this_process();
        let path = directories.make_workspace(project(), owner).await.unwrap();
        std::fs::write(path.join("file"), "x").unwrap();
        // The removal takes directories only, so this fails for anybody.
        let doomed = path.with_file_name(format!("{REMOVED_PREFIX}{}", project()));
        std::fs::write(&doomed, "left").unwrap();
        assert!(directories.remove_workspace(project()).await.is_err());
        assert!(path.join("file").exists() && doomed.exists());

        std::fs::remove_dir_all(&path).unwrap();
        assert!(directories.remove_workspace(project()).await.is_err());
        assert_eq!(std::fs::read_to_string(path).unwrap(), "left");
    }

    /// Root may do anything; run by anyone else, this needs the second try.
    #[tokio::test]
    async fn directories_that_allow_no_change_are_removed_all_the_same() {
        let (_home, directories) = directories();
        let owner = Owner::this_process();
        let path = directories.make_workspace(project(), owner).await.unwrap();
        let sealed = path.join("sealed");
        std::fs::create_dir_all(sealed.join("inner")).unwrap();
        std::fs::write(sealed.join("inner/file"), "x").unwrap();
        for directory in [sealed.join("inner"), sealed] {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o555);
            std::fs::set_permissions(directory, mode).unwrap();
        }
        directories.remove_workspace(project()).await.unwrap();
        let left = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(left, 0);
    }
}
