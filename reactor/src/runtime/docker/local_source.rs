//! What a container gets to see of a repository on this host: its history, once, and nothing beside it.
//!
//! The work tree of the original may hold what was never committed, such as an `.env` with passwords; a container
//! runs strangers' code. A workspace that has its files already needs nothing of the original, which may be gone.

use std::path::{Component, Path, PathBuf};

use super::super::directories::Error;
use super::spec::HOME;

/// What the image and the engine need where it is. Nothing is mounted on, in or around these.
const OF_THE_IMAGE: &[&str] = &[
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/npm-cache",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    HOME,
    "/usr",
    "/var/run",
    "/workspace",
];

/// An empty directory of every container's own: something in it may be mounted, but not on it.
const TEMPORARY: &str = "/tmp";

/// The directory to mount, if there is one and the workspace has no files yet.
///
/// A path with no repository is left to the source step, which says so.
pub(super) fn look(path: &Path, workspace: &Path) -> Result<Option<PathBuf>, Error> {
    if workspace.join(".git").symlink_metadata().is_ok() {
        return Ok(None);
    }
    let Some(directory) = git_directory(path) else {
        return Ok(None);
    };
    if is_mountable(path) {
        Ok(Some(directory))
    } else {
        Err(Error::InTheWay {
            path: path.to_owned(),
        })
    }
}

/// Where the history of a repository with a work tree is, or of a bare one.
fn git_directory(path: &Path) -> Option<PathBuf> {
    let is_repository = |it: &Path| {
        it.join("HEAD").is_file() && it.join("objects").is_dir() && it.join("refs").is_dir()
    };
    [path.join(".git"), path.to_owned()]
        .into_iter()
        .find(|it| is_repository(it))
}

fn is_mountable(path: &Path) -> bool {
    let is_plain = path
        .components()
        .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    let is_in_the_way = OF_THE_IMAGE
        .iter()
        .any(|taken| path.starts_with(taken) || Path::new(taken).starts_with(path));
    path.is_absolute() && is_plain && !is_in_the_way && path != Path::new(TEMPORARY)
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
        assert_eq!(look(&work), Some(work.join(".git")));
        assert_eq!(look(&bare), Some(bare.clone()));
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

    #[test]
    fn nothing_is_mounted_over_the_image() {
        for path in [
            "/",
            "/etc",
            "/etc/app",
            "/lib",
            "/npm-cache",
            "/proc/self/cwd",
            "/tmp",
            "/tmp/home",
            "/usr/src/app",
            "/var",
            "/workspace/app",
            "/srv/../etc",
            "app",
        ] {
            assert!(!is_mountable(Path::new(path)), "{path} was taken");
        }
        for path in ["/home/alice/app", "/tmp/app", "/library/app", "/srv/etc"] {
            assert!(is_mountable(Path::new(path)), "{path} was refused");
        }
    }
}
