//! Writes a bundled template into a new repository.
//!
//! The first commit is marked by the ref `refs/firefly/base`: nobody made it, so nobody would lose it.

use std::path::{Path, PathBuf};
use std::process::Command;

use firefly_domain::output::Tool;
use firefly_domain::{Failure, FailureCode, Segment, Step};
use include_dir::{Dir, include_dir};

use super::{disk_failure, said};

static TEMPLATES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/templates");

/// The ref that marks the commit a workspace began with.
const BASE_REF: &str = "refs/firefly/base";

/// What git is told for every command here: an author, no hooks, no configuration of this machine.
const GIT_OPTIONS: [&str; 8] = [
    "-c",
    "user.name=Firefly",
    "-c",
    "user.email=firefly@localhost",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "commit.gpgSign=false",
];

/// Writes the files of the template and commits them.
pub(super) fn write(name: &Segment, checkout: &Path) -> Result<(), Failure> {
    let template = TEMPLATES.get_dir(name.as_str()).ok_or_else(|| {
        let mut known: Vec<_> = TEMPLATES
            .dirs()
            .map(|dir| dir.path().display().to_string())
            .collect();
        known.sort();
        Failure::new(
            Step::Source,
            FailureCode::TemplateUnknown,
            format!(
                "Firefly has no template {name}; it has {}",
                known.join(", ")
            ),
        )
    })?;
    std::fs::create_dir(checkout)
        .and_then(|()| extract(template, checkout))
        .map_err(|error| disk_failure(Step::Source, "write the template to", checkout, &error))?;
    git(
        checkout,
        &["init", "--quiet", "--template=", "--initial-branch=main"],
    )?;
    git(checkout, &["add", "--all"])?;
    git(
        checkout,
        &["commit", "--quiet", "--message=Start from the template"],
    )?;
    git(checkout, &["update-ref", BASE_REF, "HEAD"])
}

fn extract(dir: &Dir<'_>, target: &Path) -> std::io::Result<()> {
    for file in dir.files() {
        std::fs::write(below(target, file.path()), file.contents())?;
    }
    for inner in dir.dirs() {
        let target = below(target, inner.path());
        std::fs::create_dir(&target)?;
        extract(inner, &target)?;
    }
    Ok(())
}

/// The place of a bundled file or directory, whose path is the one inside the bundle.
fn below(target: &Path, bundled: &Path) -> PathBuf {
    target.join(bundled.file_name().unwrap_or_default())
}

fn git(checkout: &Path, arguments: &[&str]) -> Result<(), Failure> {
    let failed = |reason: String| {
        Failure::new(
            Step::Source,
            FailureCode::WorkspaceFailed,
            format!("git {} failed: {reason}", arguments[0]),
        )
    };
    let output = Command::new("git")
        .args(GIT_OPTIONS)
        .args(arguments)
        .current_dir(checkout)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|error| failed(format!("the program cannot be run: {error}")))?;
    said::say_all(Tool::Git, &output.stdout);
    said::say_all(Tool::Git, &output.stderr);
    if output.status.success() {
        Ok(())
    } else {
        Err(failed(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ))
    }
}
