//! What tests install from registries, once for each machine and version: the first test that asks installs it, the others
//! wait.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FlockOperation, flock};

/// A directory that is there once and for all; `fill` makes it where it is not.
///
/// `name` tells its content: another version has another name.
///
/// # Panics
///
/// The target directory cannot be written.
pub fn directory(name: &str, fill: impl FnOnce(&Path)) -> PathBuf {
    let home = crate::firefly::target_directory().join("tmp/installed");
    std::fs::create_dir_all(&home).expect("the target directory can be written");
    let (whole, lock) = (home.join(name), home.join(format!("{name}.lock")));
    let lock = File::create(lock).expect("the target directory can be written");
    flock(&lock, FlockOperation::LockExclusive).expect("a file can be locked");
    let filled = whole.join(".filled");
    if !filled.exists() {
        // What a killed run left is not trusted.
        let _ = std::fs::remove_dir_all(&whole);
        std::fs::create_dir(&whole).expect("the target directory can be written");
        fill(&whole);
        File::create(filled).expect("the target directory can be written");
    }
    whole
}

/// Runs a program that must succeed.
///
/// # Panics
///
/// It is not installed, or fails; the message says what it said.
pub fn run(command: &mut Command) -> String {
    let output = command.output().expect("the program is installed");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{command:?} failed:\n{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said.into_owned()
}
