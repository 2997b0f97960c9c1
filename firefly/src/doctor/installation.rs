//! The data directory: whose it is, who holds it, and what it was used with.

use std::fs::{File, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use firefly_reactor::runtime::choice::Kind;
use rustix::fs::{Access, FlockOperation, access, flock};
use rustix::io::Errno;

use super::Patient;
use super::check::Check;
use super::running::Running;
use crate::up::data_dir::{EVENT_LOG, INSTANCE, LOCK, READ_MODELS, RUNTIME, SECRET};

const DATA: &str = "data directory";
const LOCKED: &str = "lock";

/// Bits of a mode that let others than the owner read, write or look.
const OTHERS_MODE: u32 = 0o077;

/// Files of the directory that are their owner's alone.
const PRIVATE: [&str; 3] = [SECRET, EVENT_LOG, READ_MODELS];

/// Who holds the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lock {
    Free,
    Held,
    /// It cannot be looked at, for this reason.
    Unknown(String),
}

/// What was found of a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// Why it cannot be used, if it is there and cannot.
    pub refused: Option<String>,
    pub exists: bool,
    pub lock: Lock,
    /// Files that others could read.
    pub open: Vec<&'static str>,
    /// The owner, if that is not the user who asks.
    pub foreign: Option<u32>,
    /// Where projects ran last.
    pub last_runtime: Option<Kind>,
    /// Files that were there once and cannot be read as what they are.
    pub unreadable: Vec<&'static str>,
}

impl Installation {
    pub fn look(path: &Path) -> Self {
        let found = path.metadata();
        let exists = found.is_ok();
        let refused = match &found {
            Ok(found) if !found.is_dir() => Some("it is no directory".to_owned()),
            Ok(_) => access(path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)
                .err()
                .map(|error| error.to_string()),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => Some(error.to_string()),
        };
        let owner = found.as_ref().ok().map(Metadata::uid);
        let user = rustix::process::geteuid();
        let runtime = std::fs::read_to_string(path.join(RUNTIME)).ok();
        let last_runtime = runtime.as_ref().and_then(|text| text.trim().parse().ok());
        let instance = std::fs::read_to_string(path.join(INSTANCE)).ok();
        let mut unreadable = Vec::new();
        if runtime.is_some() && last_runtime.is_none() {
            unreadable.push(RUNTIME);
        }
        if instance.is_some_and(|text| text.trim().parse::<uuid::Uuid>().is_err()) {
            unreadable.push(INSTANCE);
        }
        let is_open = |name: &&str| {
            let found = path.join(name).metadata();
            found.is_ok_and(|found| found.mode() & OTHERS_MODE != 0)
        };
        Self {
            refused,
            exists,
            lock: lock(&path.join(LOCK)),
            open: PRIVATE.into_iter().filter(is_open).collect(),
            foreign: owner.filter(|owner| !user.is_root() && *owner != user.as_raw()),
            last_runtime,
            unreadable,
        }
    }
}

/// Tries the lock, and gives it back at once.
fn lock(path: &Path) -> Lock {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Lock::Free,
        Err(error) => return Lock::Unknown(error.to_string()),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Lock::Free,
        Err(Errno::WOULDBLOCK) => Lock::Held,
        Err(error) => Lock::Unknown(error.to_string()),
    }
}

pub fn checks(patient: &Patient, running: &Running) -> Vec<Check> {
    let found = &patient.installation;
    let shown = patient.data_dir().display().to_string();
    vec![
        judge(found, &shown),
        judge_lock(&found.lock, running.is_there(), &shown),
    ]
}

fn judge(found: &Installation, shown: &str) -> Check {
    if let Some(error) = &found.refused {
        return Check::broken(
            DATA,
            format!("{shown} cannot be used: {error}"),
            "give this user the right to read and write it, or choose another with --data-dir",
        );
    }
    if !found.exists {
        return Check::fine(
            DATA,
            format!("{shown} is not there yet; the first start makes it"),
        );
    }
    if let Some(owner) = found.foreign {
        return Check::broken(
            DATA,
            format!("{shown} belongs to user {owner}"),
            "run Firefly as that user, or give the directory to this one with `chown -R`",
        );
    }
    if !found.unreadable.is_empty() {
        let names = found.unreadable.join(" and ");
        return Check::broken(
            DATA,
            format!("{names} in {shown} cannot be read"),
            "restore what it held from a backup; nothing else knows it",
        );
    }
    if !found.open.is_empty() {
        let names = found.open.join(", ");
        return Check::warning(
            DATA,
            format!("others may read {names} in {shown}"),
            "take that right away with `chmod go=`; the next start does so for databases",
        );
    }
    let used = match found.last_runtime {
        Some(Kind::Docker) => "projects ran in Docker last",
        Some(Kind::Process) => "projects ran as child processes last",
        None => "nothing ran yet",
    };
    Check::fine(DATA, format!("{shown} is this user's; {used}"))
}

fn judge_lock(lock: &Lock, is_running: bool, shown: &str) -> Check {
    match (lock, is_running) {
        (Lock::Held, true) => Check::fine(LOCKED, "held by the Firefly that runs"),
        (Lock::Held, false) => Check::warning(
            LOCKED,
            format!("a process holds {shown}, and does not answer"),
            format!(
                "if it listens elsewhere, name that with --listen; if it hangs, end it (`fuser {shown}/lock` names it)"
            ),
        ),
        (Lock::Free, true) => Check::warning(
            LOCKED,
            format!("the Firefly that answers does not use {shown}"),
            "name its data directory with --data-dir, so that this looks at the right one",
        ),
        (Lock::Free, false) => Check::fine(LOCKED, "free"),
        (Lock::Unknown(error), _) => Check::broken(
            LOCKED,
            format!("it cannot be looked at: {error}"),
            "give this user the right to read the file `lock` in the data directory",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::super::check::Verdict;
    use super::*;

    fn healthy() -> Installation {
        Installation {
            refused: None,
            exists: true,
            lock: Lock::Free,
            open: vec![],
            foreign: None,
            last_runtime: Some(Kind::Docker),
            unreadable: vec![],
        }
    }

    #[test]
    fn each_thing_that_can_be_wrong_with_a_directory_is_told() {
        let broken = |found: Installation, what: &str| {
            let check = judge(&found, "/data");
            assert_eq!(check.verdict, Verdict::Broken, "{check:?}");
            assert!(check.said.contains(what), "{check:?}");
        };
        let refused = Some("Permission denied".to_owned());
        broken(
            Installation {
                refused,
                ..healthy()
            },
            "Permission denied",
        );
        broken(
            Installation {
                foreign: Some(7),
                ..healthy()
            },
            "user 7",
        );
        broken(
            Installation {
                unreadable: vec!["instance"],
                ..healthy()
            },
            "instance",
        );
        let open = Installation {
            open: vec!["secret"],
            ..healthy()
        };
        assert_eq!(judge(&open, "/data").verdict, Verdict::Warning);
        let new = Installation {
            exists: false,
            ..healthy()
        };
        for found in [healthy(), new] {
            assert_eq!(judge(&found, "/data").verdict, Verdict::Fine);
        }
    }

    #[test]
    fn a_lock_is_judged_by_who_answers() {
        for (lock, is_running, verdict) in [
            (Lock::Free, false, Verdict::Fine),
            (Lock::Held, true, Verdict::Fine),
            (Lock::Held, false, Verdict::Warning),
            (Lock::Free, true, Verdict::Warning),
            (Lock::Unknown("no".to_owned()), false, Verdict::Broken),
        ] {
            assert_eq!(
                judge_lock(&lock, is_running, "/data").verdict,
                verdict,
                "{lock:?}"
            );
        }
    }

    #[test]
    fn a_directory_is_looked_at_and_left_as_it_is() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("data");
        assert!(!Installation::look(&path).exists);
        assert!(!path.exists());

        let data_dir = crate::up::data_dir::DataDir::open(&path).unwrap();
        data_dir.set_last_runtime(Kind::Process).unwrap();
        let found = Installation::look(&path);
        assert_eq!(found.lock, Lock::Held);
        assert_eq!(found.last_runtime, Some(Kind::Process));
        assert_eq!((found.open.len(), found.refused), (0, None));
        drop(data_dir);
        std::fs::write(path.join(SECRET), "s").unwrap();
        std::fs::set_permissions(path.join(SECRET), Permissions::from_mode(0o644)).unwrap();
        std::fs::write(path.join(INSTANCE), "x").unwrap();
        let found = Installation::look(&path);
        assert_eq!(found.lock, Lock::Free);
        assert_eq!(found.open, [SECRET]);
        assert_eq!(found.unreadable, [INSTANCE]);
    }
}
