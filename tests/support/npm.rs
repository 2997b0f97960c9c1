//! Packages from npm's registry, as a lock file names them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cached::{directory, run};

/// A directory with what the `package-lock.json` of another one asks for in its `node_modules`.
///
/// # Panics
///
/// It cannot be installed; the message says what npm said.
pub fn installed(name: &str, package: &Path) -> PathBuf {
    let mut content = DefaultHasher::new();
    let files = ["package.json", "package-lock.json"];
    for file in files {
        let text = std::fs::read(package.join(file)).expect("a package has a lock file");
        text.hash(&mut content);
    }
    directory(&format!("{name}-{:016x}", content.finish()), |home| {
        for file in files {
            std::fs::copy(package.join(file), home.join(file)).expect("a file can be copied");
        }
        run(Command::new("npm")
            .args([
                "ci",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--loglevel=error",
            ])
            .current_dir(home));
    })
}
