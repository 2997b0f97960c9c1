//! Runs npm and understands what it prints.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use firefly_domain::control::Progress;
use firefly_domain::output::Tool;
use firefly_domain::{Failure, FailureCode, Step};

use super::home::Home;
use crate::tool::protocol::{self, Line};
use crate::tool::{disk_failure, read_limited, said};

/// The last lines of npm's output that may say why it failed.
const ERROR_LINES_MAX: usize = 30;

/// How npm marks its errors since version 10, and before.
const ERROR_PREFIXES: [&str; 2] = ["npm error ", "npm ERR! "];

/// Real ones have a few lines.
const SETTINGS_BYTES_MAX: u64 = 64 * 1024;

/// Often enough for a moving bar.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(150);

/// How long npm's last lines are waited for once it has ended. What a script has left running may hold its output open
/// for ever.
const LAST_LINES_LIMIT: Duration = Duration::from_secs(1);

/// The layout and the silence that every installation has.
const FLAGS: [&str; 8] = [
    "install",
    "--install-strategy=nested",
    "--no-save",
    "--no-audit",
    "--no-fund",
    "--no-update-notifier",
    "--no-progress",
    "--loglevel=http",
];

/// The command line of npm; a lock that is in Montage's way is left aside.
pub(super) fn flags(ignore_lock: bool) -> Vec<&'static str> {
    let mut flags = FLAGS.to_vec();
    if ignore_lock {
        flags.push("--no-package-lock");
    }
    flags
}

/// The project's own settings for npm; empty without any.
pub(super) fn settings(workspace: &Path) -> Result<Vec<u8>, Failure> {
    let path = workspace.join(".npmrc");
    match read_limited(&path, SETTINGS_BYTES_MAX) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        result => result.map_err(|error| disk_failure(Step::Install, "read", &path, &error)),
    }
}

/// What Node says its version is; nothing if it cannot be asked, which npm will then explain better.
pub(super) fn node_version() -> Vec<u8> {
    let mut node = Command::new("node");
    node.arg("--version").stdin(Stdio::null());
    node.output().map_or(Vec::new(), |output| output.stdout)
}

/// Runs npm to its end; it shares this process's group, and dies with it.
pub(super) fn install(workspace: &Path, flags: &[&str]) -> Result<(), Failure> {
    let home = Home::make(workspace)?;
    let failed = |detail: String| Failure::new(Step::Install, FailureCode::InstallFailed, detail);
    let mut npm = Command::new("npm")
        .args(flags)
        .current_dir(workspace)
        .env("HOME", home.path())
        .env("npm_config_logs_max", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            failed(format!(
                "npm cannot be run; install Node with npm ({error})"
            ))
        })?;
    let last_lines = Arc::new(Mutex::new(VecDeque::new()));
    let (at_end, ended) = mpsc::channel::<()>();
    if let Some(output) = npm.stdout.take() {
        let at_end = at_end.clone();
        std::thread::spawn(move || {
            said::follow(Tool::Npm, output, |_| {});
            drop(at_end);
        });
    }
    if let Some(output) = npm.stderr.take() {
        let last_lines = Arc::clone(&last_lines);
        std::thread::spawn(move || {
            follow(output, &last_lines);
            drop(at_end);
        });
    }
    let status = npm
        .wait()
        .map_err(|error| failed(format!("npm cannot be waited for: {error}")))?;
    // Either answer will do: what npm has said by now is all that counts.
    let _ = ended.recv_timeout(LAST_LINES_LIMIT);
    if status.success() {
        return Ok(());
    }
    let last_lines = last_lines.lock().unwrap_or_else(PoisonError::into_inner);
    Err(failed(explain(&last_lines, &status.to_string())))
}

/// Passes npm's complaints on to their end, reports progress, and keeps the last lines.
fn follow(output: impl Read, last_lines: &Mutex<VecDeque<String>>) {
    let mut fetched = 0;
    let mut reported = Instant::now();
    said::follow(Tool::Npm, output, |text| {
        if let Some(package) = fetched_package(text) {
            fetched += 1;
            if fetched == 1 || reported.elapsed() >= PROGRESS_INTERVAL {
                reported = Instant::now();
                // Without a reader there is nobody to report to; the server's end ends this process too.
                let _ = protocol::print(&Line::Progress(progress(fetched, package)));
            }
            return;
        }
        let mut last_lines = last_lines.lock().unwrap_or_else(PoisonError::into_inner);
        last_lines.push_back(text.to_owned());
        if last_lines.len() > ERROR_LINES_MAX {
            last_lines.pop_front();
        }
    });
}

fn progress(fetched: u64, package: &str) -> Progress {
    Progress {
        step: Step::Install,
        done: fetched,
        total: None,
        text: format!("fetching {package}"),
    }
}

/// The end of the URL in a line such as `npm http fetch GET 200 https://registry/montage 12ms (cache hit)`.
fn fetched_package(line: &str) -> Option<&str> {
    let url = line
        .strip_prefix("npm http ")?
        .split(' ')
        .find(|word| word.starts_with("http://") || word.starts_with("https://"))?;
    url.trim_end_matches('/').rsplit('/').next()
}

/// npm's own error lines without its prefix and without its advice about log files.
fn explain(lines: &VecDeque<String>, status: &str) -> String {
    let told: Vec<&str> = lines
        .iter()
        .filter_map(|line| {
            ERROR_PREFIXES
                .iter()
                .find_map(|prefix| line.strip_prefix(prefix))
        })
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .filter(|line| !line.contains("log of this run") && !line.starts_with("Log files were not"))
        .collect();
    if !told.is_empty() {
        return format!("npm install failed: {}", told.join("\n"));
    }
    let rest: Vec<&str> = lines.iter().map(String::as_str).collect();
    format!("npm install failed ({status}): {}", rest.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_lines(output: &str) -> VecDeque<String> {
        let lines = Mutex::default();
        follow(output.as_bytes(), &lines);
        lines.into_inner().unwrap()
    }

    #[test]
    fn npms_error_is_told_without_its_noise() {
        let output = "npm http fetch GET 404 https://registry.test/nope 5ms\n\
            npm error code E404\n\
            npm error 404 Not Found - GET https://registry.test/nope\n\
            npm error A complete log of this run can be found in: /x\n";
        let lines = last_lines(output);
        assert_eq!(
            explain(&lines, "exit status: 1"),
            "npm install failed: code E404\n404 Not Found - GET https://registry.test/nope"
        );
    }

    #[test]
    fn older_npms_are_understood_too() {
        let lines = last_lines("npm ERR! code E404\nnpm ERR! \n");
        assert_eq!(
            explain(&lines, "exit status: 1"),
            "npm install failed: code E404"
        );
    }

    #[test]
    fn a_silent_death_is_told_by_its_status() {
        let lines = last_lines("Killed\n");
        assert_eq!(
            explain(&lines, "signal: 9"),
            "npm install failed (signal: 9): Killed"
        );
    }

    #[test]
    fn fetches_are_recognised() {
        assert_eq!(
            fetched_package(
                "npm http fetch GET 200 https://registry.test/montage 12ms (cache hit)"
            ),
            Some("montage")
        );
        assert_eq!(fetched_package("npm warn old https://x.test/y"), None);
    }
}
