//! What the machine gives: room on disks, watches, open files, and the programs that child processes need.

mod disk;
mod workspaces;

use std::process::{Command, Stdio};

use rustix::process::{Resource, getrlimit};

use super::Patient;
use super::check::Check;

pub use disk::check as disk;

const DISK: &str = "disk";
const INOTIFY: &str = "file watches";
const OPEN_FILES: &str = "open files";
const PROGRAMS: &str = "programs";

/// Each project is watched through one instance of the user that it runs as.
const INSTANCES_MIN: u64 = 128;

/// A checkout with its packages left out has some hundred directories.
const WATCHES_MIN: u64 = 65_536;

/// What the gateway may hold at once, each connection with one behind it (`firefly_gateway::Limits`).
const OPEN_FILES_MIN: u64 = 16_384;

/// The oldest Node.js that Firefly works with.
const NODE_MAJOR_MIN: u32 = 18;

/// What a child process needs besides node.
const NEEDED: [&str; 2] = ["npm", "git"];

pub fn checks(patient: &Patient) -> Vec<Check> {
    let mut checks = vec![disk(DISK, patient.data_dir())];
    checks.extend(workspaces::check(patient.data_dir(), patient.quick));
    checks.push(judge_watches(&Watches::look()));
    checks.push(judge_open_files(getrlimit(Resource::Nofile).maximum));
    let programs = judge_programs(&Programs::look());
    // Containers bring their own.
    checks.push(if patient.needs_docker() {
        programs.at_most_a_warning()
    } else {
        programs
    });
    checks
}

/// What the kernel lets a user watch; nothing where it does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Watches {
    instances: Option<u64>,
    watches: Option<u64>,
}

impl Watches {
    fn look() -> Self {
        let read = |name: &str| {
            let text = std::fs::read_to_string(format!("/proc/sys/fs/inotify/{name}"));
            text.ok()?.trim().parse().ok()
        };
        Self {
            instances: read("max_user_instances"),
            watches: read("max_user_watches"),
        }
    }
}

fn judge_watches(found: &Watches) -> Check {
    let (Some(instances), Some(watches)) = (found.instances, found.watches) else {
        return Check::warning(
            INOTIFY,
            "the kernel does not say how many files may be watched",
            "previews refresh by watching files; look whether they do",
        );
    };
    let said = format!("{instances} projects and {watches} directories of a user can be watched");
    if instances >= INSTANCES_MIN && watches >= WATCHES_MIN {
        return Check::fine(INOTIFY, said);
    }
    Check::warning(
        INOTIFY,
        format!("{said}; previews of more do not refresh"),
        format!(
            "`sysctl fs.inotify.max_user_instances={} fs.inotify.max_user_watches={}`, and the same in /etc/sysctl.d",
            INSTANCES_MIN * 8,
            WATCHES_MIN * 8
        ),
    )
}

/// `None` is no limit.
fn judge_open_files(limit: Option<u64>) -> Check {
    match limit {
        None => Check::fine(OPEN_FILES, "as many as there may be"),
        Some(limit) if limit >= OPEN_FILES_MIN => {
            Check::fine(OPEN_FILES, format!("{limit} at once"))
        }
        Some(limit) => Check::warning(
            OPEN_FILES,
            format!("{limit} at once, and each connection is one"),
            format!("allow {OPEN_FILES_MIN}: `ulimit -Hn`, or LimitNOFILE= of the service"),
        ),
    }
}

/// What child processes run with.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Programs {
    /// As `node --version` says it; nothing if it cannot be run.
    node: Option<String>,
    missing: Vec<&'static str>,
}

impl Programs {
    fn look() -> Self {
        let is_missing = |name: &&str| version(name).is_none();
        Self {
            node: version("node"),
            missing: NEEDED.into_iter().filter(is_missing).collect(),
        }
    }
}

/// What a program says its version is.
fn version(program: &str) -> Option<String> {
    let said = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    said.status.success().then_some(text)
}

fn judge_programs(found: &Programs) -> Check {
    let major = |version: &str| -> Option<u32> {
        version
            .trim_start_matches('v')
            .split('.')
            .next()?
            .parse()
            .ok()
    };
    let mut wrong: Vec<String> = found
        .missing
        .iter()
        .map(|name| format!("no {name}"))
        .collect();
    match &found.node {
        None => wrong.insert(0, "no node".to_owned()),
        Some(version) if major(version).is_none_or(|major| major < NODE_MAJOR_MIN) => {
            wrong.insert(0, format!("node {version}"));
        }
        Some(_) => {}
    }
    match &found.node {
        Some(node) if wrong.is_empty() => Check::fine(
            PROGRAMS,
            format!("node {node}, npm and git are there for child processes"),
        ),
        _ => Check::broken(
            PROGRAMS,
            format!("child processes find {}", wrong.join(", ")),
            format!("install Node.js {NODE_MAJOR_MIN} or newer with npm, and git"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    #[test]
    fn too_few_watches_are_warned_of() {
        let of = |instances, watches| judge_watches(&Watches { instances, watches }).verdict;
        assert_eq!(of(Some(128), Some(65_536)), Verdict::Fine);
        assert_eq!(of(Some(127), Some(65_536)), Verdict::Warning);
        assert_eq!(of(Some(128), Some(8_192)), Verdict::Warning);
        assert_eq!(of(None, Some(65_536)), Verdict::Warning);
    }

    #[test]
    fn too_few_open_files_are_warned_of() {
        assert_eq!(judge_open_files(None).verdict, Verdict::Fine);
        assert_eq!(judge_open_files(Some(16_384)).verdict, Verdict::Fine);
        assert_eq!(judge_open_files(Some(1_024)).verdict, Verdict::Warning);
    }

    #[test]
    fn programs_that_are_missing_or_old_are_named() {
        let of = |node: Option<&str>, missing: &[&'static str]| {
            judge_programs(&Programs {
                node: node.map(str::to_owned),
                missing: missing.to_vec(),
            })
        };
        assert_eq!(of(Some("v18.0.0"), &[]).verdict, Verdict::Fine);
        for (node, missing, said) in [
            (None, &["npm"][..], "child processes find no node, no npm"),
            (
                Some("v16.1.0"),
                &[][..],
                "child processes find node v16.1.0",
            ),
            (Some("v20.1.0"), &["git"][..], "child processes find no git"),
        ] {
            let check = of(node, missing);
            assert_eq!(
                (check.verdict, check.said.as_str()),
                (Verdict::Broken, said)
            );
        }
    }
}
