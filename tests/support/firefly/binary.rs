//! The binary under test, and where it is.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Runtime, Settings};
use crate::output::Output;

/// Starts `firefly up` with a home of its own.
pub(super) fn spawn(
    home: &Path,
    settings: &Settings,
    port: u16,
    output: &Output,
    errors: &Output,
) -> Child {
    let for_remotes = settings.reaches_this_host && settings.runtime == Runtime::Docker;
    let allowed = for_remotes.then(|| format!("--egress-allow={}", Runtime::Docker.host_address()));
    let mut child = Command::new(program(home))
        .args(["up", "--listen"])
        .arg(format!("127.0.0.1:{port}"))
        .args(["--runtime", settings.runtime.as_str(), "--data-dir"])
        .arg(home.join("data"))
        .args(settings.json.then_some("--json"))
        .args(allowed)
        .args(&settings.arguments)
        .env("XDG_CACHE_HOME", home.join("cache"))
        .env("FIREFLY_LOG", "info")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary can be run");
    output.read(child.stdout.take().expect("standard output is piped"));
    errors.read(child.stderr.take().expect("standard error is piped"));
    child
}

/// The binary of the same build as the running test.
///
/// It is linked to the home where that is possible, so that all lives of a Firefly and its children are of one build,
/// also while somebody builds.
pub(super) fn program(home: &Path) -> PathBuf {
    let program = profile_directory().join("firefly");
    assert!(
        program.exists(),
        "{} is not there; build it first: cargo build --workspace",
        program.display()
    );
    let linked = home.join("firefly");
    if linked.exists() || std::fs::hard_link(&program, &linked).is_ok() {
        linked
    } else {
        program
    }
}

/// Where cargo puts everything.
pub(crate) fn target_directory() -> PathBuf {
    let profile = profile_directory();
    profile.parent().unwrap_or(&profile).to_owned()
}

/// The test's own executable is in `<target>/<profile>/deps`.
fn profile_directory() -> PathBuf {
    let test = std::env::current_exe().expect("a program knows its own file");
    let profile = test.ancestors().nth(2);
    profile
        .expect("a test is inside the target directory")
        .to_owned()
}
