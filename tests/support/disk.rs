//! Small file systems of a test's own, to be filled and written no more. Mounting them takes root.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Bytes of a disk in memory.
const MEMORY_BYTES: u64 = 1024 * 1024;

/// Bytes that are taken beforehand, and given back to make room.
const BALLAST_BYTES: usize = 512 * 1024;

/// Bytes of a disk in a file.
const IMAGE_BYTES: u64 = 16 * 1024 * 1024;

/// A mounted file system; it is gone when this is dropped.
pub struct Disk {
    mounted: tempfile::TempDir,
    _image: Option<tempfile::TempDir>,
}

impl Disk {
    /// One in memory, half full, that is soon filled.
    pub fn small() -> Self {
        let mounted = directory();
        run(Command::new("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={MEMORY_BYTES}"),
                "tmpfs",
            ])
            .arg(mounted.path()));
        let disk = Self {
            mounted,
            _image: None,
        };
        let ballast = std::fs::write(disk.ballast(), vec![1; BALLAST_BYTES]);
        ballast.expect("the ballast has room");
        disk
    }

    /// One whose files can be [frozen](Frozen).
    pub fn freezable() -> Self {
        let (mounted, home) = (directory(), directory());
        let image = home.path().join("image");
        let file = File::create(&image).expect("an image can be made");
        file.set_len(IMAGE_BYTES).expect("an image has its length");
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image));
        run(Command::new("mount")
            .args(["-o", "loop"])
            .args([image.as_path(), mounted.path()]));
        Self {
            mounted,
            _image: Some(home),
        }
    }

    /// A file on it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.mounted.path().join(name)
    }

    /// Gives back what was taken.
    ///
    /// # Panics
    ///
    /// There was nothing to give back.
    pub fn make_room(&self) {
        std::fs::remove_file(self.ballast()).expect("the ballast is there");
    }

    fn ballast(&self) -> PathBuf {
        self.path("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whoever still has a file open there keeps it to himself.
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.mounted.path())
            .status();
    }
}

/// Files that nobody can write, not even root or who has them open already, until this is dropped.
pub struct Frozen(Vec<PathBuf>);

impl Frozen {
    /// A SQLite database: the file and its write-ahead log.
    pub fn database(path: &Path) -> Self {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let files = vec![path.to_owned(), log.into()];
        run(Command::new("chattr").arg("+i").args(&files));
        Self(files)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // If this fails, the test that waits for it says so.
        let _ = Command::new("chattr").arg("-i").args(&self.0).status();
    }
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory can be made")
}

fn run(command: &mut Command) {
    let status = command.status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "this test makes a file system of its own and needs root for it; this failed: {command:?}"
    );
}
