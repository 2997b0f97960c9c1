//! schemathesis, which makes up requests from an API's documentation and holds the answers against it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cached::{directory, run};

/// Everything that is installed, in exact versions.
const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemathesis.txt");

/// What it looks for, and how much of it.
const CONFIGURATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemathesis.toml");

/// What it had better not ask.
const HOOKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemathesis_hooks.py");

/// Asks a server everything that its documentation allows, and much that it does not; answers what it says about it.
///
/// # Panics
///
/// It cannot be installed, or an answer is not as documented; the message has all of them.
pub async fn examine(document_url: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program());
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    command
        .args(["--config-file", CONFIGURATION, "run", document_url])
        .args(arguments)
        .current_dir(folder.path())
        .env("SCHEMATHESIS_HOOKS", HOOKS)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NO_COLOR", "1")
        .env("NO_PROXY", "*");
    let examined = tokio::task::spawn_blocking(move || run(&mut command)).await;
    match examined {
        Ok(said) => said,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

fn program() -> PathBuf {
    let wanted = std::fs::read_to_string(REQUIREMENTS).expect("the requirements are there");
    let version = wanted
        .lines()
        .find_map(|line| line.strip_prefix("schemathesis=="));
    let version = version.expect("the requirements name schemathesis");
    let home = directory(&format!("schemathesis-{version}"), install);
    home.join("bin/schemathesis")
}

fn install(home: &Path) {
    run(Command::new("python3").args(["-m", "venv"]).arg(home));
    run(Command::new(home.join("bin/pip"))
        .args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--requirement",
        ])
        .arg(REQUIREMENTS));
}
