//! The TypeScript client, built as it is published.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cached::run;
use crate::npm;

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../clients/filament");

/// What a package is made from; what was built beside it is none of it.
const PARTS: [&str; 7] = [
    "LICENSE",
    "README.md",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "src",
    "test",
];

/// A copy of the client's sources with what is needed to build it. It is gone when dropped.
pub struct ClientPackage {
    folder: tempfile::TempDir,
}

impl ClientPackage {
    /// Copies and builds it.
    ///
    /// # Panics
    ///
    /// It cannot be built; the message says why.
    pub fn build() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        let sources = Path::new(SOURCES);
        let installed = npm::installed("filament", sources);
        run(Command::new("cp")
            .arg("--recursive")
            .args(PARTS.map(|part| sources.join(part)))
            .arg(folder.path()));
        // Programs find what they need beside the file that they were started from, wherever a link leads.
        std::os::unix::fs::symlink(
            installed.join("node_modules"),
            folder.path().join("node_modules"),
        )
        .expect("a link can be made");
        let package = Self { folder };
        package.run("npm", &["run", "build"]);
        package
    }

    /// Runs a program in it that must succeed, and answers what it says.
    ///
    /// # Panics
    ///
    /// It fails; the message says what it said.
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let quiet = ("npm_config_loglevel", "error");
        run(Command::new(program)
            .args(arguments)
            .env(quiet.0, quiet.1)
            .env("npm_config_update_notifier", "false")
            .current_dir(self.path()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The files of its sources, without their suffix.
    pub fn modules(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.path().join("src")).expect("there are sources");
        let names = files.filter_map(|file| file.ok()?.file_name().into_string().ok());
        let modules = names.filter_map(|name| Some(name.strip_suffix(".ts")?.to_owned()));
        modules.collect()
    }

    /// The file of types that are made from the API's documentation, as the sources have it.
    pub fn generated_types() -> PathBuf {
        Path::new(SOURCES).join("src/openapi.ts")
    }
}
