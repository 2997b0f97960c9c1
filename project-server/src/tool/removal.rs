//! Removes directories that scripts of packages have filled, and perhaps closed against writing.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What an owner needs to list a directory and take things out of it.
const OWNER_RIGHTS: u32 = 0o700;

/// Removes what is at `path` with all that is in it; following no link, and content if there is nothing.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let result = match fs::symlink_metadata(path) {
        Ok(found) if !found.is_dir() => fs::remove_file(path),
        Ok(_) => fs::remove_dir_all(path),
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            open_up(path)?;
            fs::remove_dir_all(path)
        }
        result => result,
    }
}

/// Gives the owner all rights on every directory from `top` down.
fn open_up(top: &Path) -> io::Result<()> {
    let mut waiting = vec![top.to_owned()];
    while let Some(path) = waiting.pop() {
        let mode = fs::symlink_metadata(&path)?.permissions().mode();
        fs::set_permissions(&path, Permissions::from_mode(mode | OWNER_RIGHTS))?;
        for entry in fs::read_dir(&path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(directory: &Path) {
        fs::set_permissions(directory, Permissions::from_mode(0o555)).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn closed_directories_are_opened_and_links_lead_nowhere() {
        let top = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let inner = top.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("file"), "x").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), top.path().join("link")).unwrap();
        for directory in [&inner, &top.path().join("a"), elsewhere.path()] {
            close(directory);
        }
        open_up(top.path()).unwrap();
        assert_eq!(mode(&inner), 0o755);
        assert_eq!(mode(elsewhere.path()), 0o555);
        close(&inner);
        remove(&top.path().join("a")).unwrap();
        remove(&top.path().join("link")).unwrap();
        assert!(elsewhere.path().exists());
        assert!(remove(&top.path().join("a")).is_ok());
    }
}
