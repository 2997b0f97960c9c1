//! Changing whole trees that a project's programs may be changing at the same moment.
//!
//! Every step goes from an open directory to a name in it and never through a link, so nobody can swap a directory
//! for a link and have root change what lies behind it.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, DirEntry, FileType, Gid, Mode, OFlags, Uid, chmod, chownat, fchown, fstat,
    openat,
};
use rustix::io::Errno;
use rustix::path::Arg;

use super::Owner;

/// Directories within one another; each costs a descriptor while those in it are visited. Real trees reach some 60.
const DEPTH_MAX: usize = 256;

/// How a directory is opened to be read: itself and no link to it.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// How one is opened to be changed; this needs no permission on the directory itself.
const TOUCH: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Gives a directory and all below it to `owner`, unless the directory is theirs already.
///
/// The directory itself comes last, so that an interrupted run is taken up again.
pub(super) fn give(root: &Path, owner: Owner) -> io::Result<()> {
    let directory = openat(CWD, root, READ, Mode::empty())?;
    let stat = fstat(&directory)?;
    if (stat.st_uid, stat.st_gid) == (owner.uid, owner.gid) {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
    walk(directory.try_clone()?, |parent, entry| {
        let name = entry.file_name();
        match chownat(
            parent,
            name,
            Some(uid),
            Some(gid),
            AtFlags::SYMLINK_NOFOLLOW,
        ) {
            Ok(()) => open_directory(parent, entry),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    })?;
    Ok(fchown(&directory, Some(uid), Some(gid))?)
}

/// Lets the owner of a directory and of all directories below it change what is in them.
pub(super) fn unlock(root: &Path) -> io::Result<()> {
    walk(unlocked(CWD, root)?, |parent, entry| {
        match entry.file_type() {
            FileType::Directory | FileType::Unknown => match unlocked(parent, entry.file_name()) {
                Ok(directory) => Ok(Some(directory)),
                Err(error) => is_no_directory(error),
            },
            _ => Ok(None),
        }
    })
}

/// Visits everything below a directory. `visit` opens what is to be descended into.
fn walk(
    root: OwnedFd,
    mut visit: impl FnMut(BorrowedFd<'_>, &DirEntry) -> rustix::io::Result<Option<OwnedFd>>,
) -> io::Result<()> {
    let mut path = vec![Dir::new(root)?];
    while let Some(current) = path.last_mut() {
        let Some(entry) = current.next() else {
            path.pop();
            continue;
        };
        let entry = entry?;
        if matches!(entry.file_name().to_bytes(), b"." | b"..") {
            continue;
        }
        if let Some(directory) = visit(current.fd()?, &entry)? {
            if path.len() == DEPTH_MAX {
                let text =
                    format!("there are more than {DEPTH_MAX} directories within one another");
                return Err(io::Error::other(text));
            }
            path.push(Dir::new(directory)?);
        }
    }
    Ok(())
}

fn open_directory(parent: BorrowedFd<'_>, entry: &DirEntry) -> rustix::io::Result<Option<OwnedFd>> {
    match entry.file_type() {
        FileType::Directory | FileType::Unknown => {
            match openat(parent, entry.file_name(), READ, Mode::empty()) {
                Ok(directory) => Ok(Some(directory)),
                Err(error) => is_no_directory(error),
            }
        }
        _ => Ok(None),
    }
}

/// Opens a directory for reading after its owner was allowed everything in it.
fn unlocked(parent: impl std::os::fd::AsFd, name: impl Arg) -> rustix::io::Result<OwnedFd> {
    let handle = openat(parent, name, TOUCH, Mode::empty())?;
    // A handle of this kind cannot be changed directly, but its entry here means the very same directory.
    chmod(format!("/proc/self/fd/{}", handle.as_raw_fd()), Mode::RWXU)?;
    openat(&handle, c".", READ, Mode::empty())
}

/// What is gone by now, or no directory (any more), is not descended into.
fn is_no_directory(error: Errno) -> rustix::io::Result<Option<OwnedFd>> {
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => Ok(None),
        error => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    /// A tree with a link out of it, and what the link leads to.
    fn tree() -> (tempfile::TempDir, tempfile::TempDir) {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir_all(root.path().join("a/b")).unwrap();
        std::fs::write(root.path().join("a/b/file"), "x").unwrap();
        std::fs::create_dir(outside.path().join("inner")).unwrap();
        symlink(outside.path(), root.path().join("a/link")).unwrap();
        (root, outside)
    }

    /// Only root can give things away; everyone else proves that nothing is done without need.
    fn someone() -> Owner {
        let this_process = Owner::this_process();
        match this_process.uid {
            0 => Owner {
                uid: 1000,
                gid: 1000,
            },
            _ => this_process,
        }
    }

    #[test]
    fn a_tree_is_given_away_and_what_links_lead_to_is_not() {
        let (root, outside) = tree();
        let owner = someone();
        give(root.path(), owner).unwrap();
        let owner_of = |path: &Path| std::fs::symlink_metadata(path).unwrap().uid();
        for name in ["", "a", "a/b", "a/b/file", "a/link"] {
            assert_eq!(owner_of(&root.path().join(name)), owner.uid, "{name:?}");
        }
        let this_process = Owner::this_process().uid;
        assert_eq!(owner_of(outside.path()), this_process);
        assert_eq!(owner_of(&outside.path().join("inner")), this_process);
    }

    #[test]
    fn a_link_in_the_place_of_the_tree_is_refused() {
        let (root, _outside) = tree();
        assert!(give(&root.path().join("a/link"), someone()).is_err());
        assert!(unlock(&root.path().join("a/link")).is_err());
    }

    /// What a project's program does to have root change the files of the host.
    #[test]
    fn a_directory_that_is_swapped_for_a_link_leads_nowhere() {
        let (root, outside) = tree();
        let directory = openat(CWD, root.path().join("a"), READ, Mode::empty()).unwrap();
        let mut listed: Vec<DirEntry> = Dir::new(directory.try_clone().unwrap())
            .unwrap()
            .map(Result::unwrap)
            .collect();
        listed.retain(|entry| entry.file_name() == c"b");
        std::fs::remove_dir_all(root.path().join("a/b")).unwrap();
        symlink(outside.path(), root.path().join("a/b")).unwrap();
        let parent = std::os::fd::AsFd::as_fd(&directory);
        assert!(open_directory(parent, &listed[0]).unwrap().is_none());
    }

    #[test]
    fn directories_are_unlocked_and_what_links_lead_to_is_not() {
        let (root, outside) = tree();
        let seal = |path: &Path| {
            let mode = std::fs::Permissions::from_mode(0o000);
            std::fs::set_permissions(path, mode).unwrap();
        };
        seal(outside.path());
        for name in ["a/b", "a"] {
            seal(&root.path().join(name));
        }
        unlock(root.path()).unwrap();
        let mode_of = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
        for name in ["", "a", "a/b"] {
            assert_eq!(mode_of(&root.path().join(name)), 0o700, "{name:?}");
        }
        assert_eq!(mode_of(outside.path()), 0);
    }

    #[test]
    fn a_tree_without_end_is_given_up() {
        let (root, _outside) = tree();
        let mut path = root.path().to_owned();
        for _ in 0..DEPTH_MAX {
            path.push("d");
        }
        std::fs::create_dir_all(path).unwrap();
        assert!(unlock(root.path()).is_err());
    }
}
