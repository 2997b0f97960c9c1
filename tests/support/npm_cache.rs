//! One warm npm cache for all tests of a machine, so that only those that are about the network wait for it.
//!
//! It is filled once from npm's registry, by a real installation of what the starter template needs. Each Firefly gets
//! a copy: npm checks what it takes out of it, and a shared one would let tests meet in it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FlockOperation, flock};

const PACKAGE_JSON: &str = include_str!("../../project-server/templates/starter/package.json");

/// Copies the cache to where a Firefly looks for that of its local user.
pub(crate) fn copy_to(cache: &Path) {
    let parent = cache.parent().expect("a cache is in a data directory");
    std::fs::create_dir_all(parent).expect("a data directory can be written");
    run(Command::new("cp")
        .args(["--recursive", "--reflink=auto"])
        .arg(filled())
        .arg(cache));
}

/// The cache; the first test that asks fills it, the others wait.
fn filled() -> PathBuf {
    let home = crate::firefly::target_directory().join("tmp/npm-cache");
    std::fs::create_dir_all(&home).expect("the target directory can be written");
    let (cache, lock) = (home.join("filled"), home.join("lock"));
    let lock = File::create(lock).expect("the target directory can be written");
    flock(&lock, FlockOperation::LockExclusive).expect("a file can be locked");
    if !cache.exists() {
        fill(&home, &cache);
    }
    cache
}

fn fill(home: &Path, cache: &Path) {
    let draft = tempfile::tempdir_in(home).expect("a temporary directory can be made");
    let project = draft.path().join("project");
    std::fs::create_dir(&project).expect("a directory can be made");
    std::fs::write(project.join("package.json"), PACKAGE_JSON).expect("a file can be written");
    let half_filled = draft.path().join("cache");
    run(Command::new("npm")
        .args([
            "install",
            "--install-strategy=nested",
            "--no-audit",
            "--no-fund",
            "--cache",
        ])
        .arg(&half_filled)
        .current_dir(&project));
    std::fs::rename(half_filled, cache).expect("a directory can be renamed");
}

fn run(command: &mut Command) {
    let output = command.output().expect("the program is installed");
    assert!(
        output.status.success(),
        "{command:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
