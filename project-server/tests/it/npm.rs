//! The install step by itself, with an npm that does what a test wants.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::support::tool;

/// A directory with these shell scripts as its programs.
fn programs(scripts: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, script) in scripts {
        let path = directory.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    directory
}

/// Runs the step in a workspace that asks for nothing, and answers its first line.
fn install(workspace: &Path, programs: &Path) -> String {
    std::fs::write(workspace.join("package.json"), "{}").unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut child = Command::new(tool())
        .args(["install".as_ref(), workspace.as_os_str()])
        .env("PATH", format!("{}:{path}", programs.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    // Open until the end: closing it ends the child.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"null\n").unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    kill_process_group(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    line
}

#[test]
fn what_holds_the_output_of_npm_open_does_not_hold_up_the_installation() {
    for (code, outcome) in [(0, "installed"), (1, "disk on fire")] {
        let npm = format!("echo npm error disk on fire >&2; sleep 1000 & exit {code}");
        let programs = programs(&[("npm", &npm)]);
        let workspace = tempfile::tempdir().unwrap();
        let begun = Instant::now();
        let line = install(workspace.path(), programs.path());
        assert!(line.contains(outcome), "{line}");
        assert!(begun.elapsed() < Duration::from_secs(60), "it was held up");
    }
}

#[test]
fn packages_of_another_node_are_not_reused() {
    let workspace = tempfile::tempdir().unwrap();
    for (version, reused) in [("v20.1.0", false), ("v20.1.0", true), ("v22.0.0", false)] {
        let node = format!("echo {version}");
        let programs = programs(&[("npm", "exit 0"), ("node", &node)]);
        let line = install(workspace.path(), programs.path());
        assert!(
            line.contains(&format!(r#""reused":{reused}"#)),
            "{version}: {line}"
        );
    }
}

#[test]
fn npm_sees_an_empty_home_that_is_gone_afterwards() {
    let workspace = tempfile::tempdir().unwrap();
    let npm = r#"test -z "$(ls -A "$HOME")" && echo x > "$HOME/.npmrc""#;
    let programs = programs(&[("npm", npm)]);
    let left = workspace.path().join(".firefly-npm-home");
    std::fs::create_dir(&left).unwrap();
    std::fs::write(left.join("left"), "by a killed step").unwrap();
    let line = install(workspace.path(), programs.path());
    assert!(line.contains("installed"), "{line}");
    assert!(!left.exists());
}
