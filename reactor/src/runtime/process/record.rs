//! Who our children are, on disk, for a successor that never met them.
//!
//! Firefly may be killed without a chance to end its children, or stand still while another process acts in its place. Most
//! children notice that their parent is gone by themselves; these records are for those that do not. A process id alone proves nothing, since ids are used anew: only the id together with
//! the boot and the time of the process's start names one process.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use firefly_domain::ContainerId;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use super::Error;

/// The position of the start time among the fields of `/proc/<pid>/stat` that follow the program's name.
const START_TIME_FIELD: usize = 19;

/// How long a killed leftover may take to be gone.
const LEFTOVER_DEADLINE: Timespec = Timespec {
    tv_sec: Duration::from_secs(5).as_secs().cast_signed(),
    tv_nsec: 0,
};

/// One process, told apart from every other that ever ran on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pid: i32,
    start_ticks: u64,
    boot: String,
}

impl Record {
    /// Looks a running process up.
    pub(super) fn of(pid: Pid) -> io::Result<Self> {
        let pid = pid.as_raw_nonzero().get();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        Ok(Self {
            pid,
            start_ticks: start_ticks(&stat)
                .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?,
            boot: boot.trim().to_owned(),
        })
    }

    /// The name of the process as a container.
    pub(super) fn container_id(&self) -> ContainerId {
        ContainerId::new(format!("{}-{}", self.pid, self.start_ticks))
    }

    /// Writes it down.
    pub(super) fn save(&self, directory: &Path) -> io::Result<()> {
        std::fs::write(self.path(directory), serde_json::to_vec(self)?)
    }

    /// Removes what was written down.
    pub(super) fn forget(&self, directory: &Path) {
        if let Err(error) = remove(&self.path(directory)) {
            tracing::warn!(%error, "the record of an ended process could not be removed");
        }
    }

    fn path(&self, directory: &Path) -> PathBuf {
        directory.join(format!("{}.json", self.container_id()))
    }

    /// Kills the process with its group, if it still is the one recorded, and waits until it is gone.
    fn end(&self) -> io::Result<()> {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return Ok(());
        };
        // Opened before the comparison: from here on the handle cannot come to mean another process.
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else {
            return Ok(());
        };
        if Self::of(pid).ok().as_ref() != Some(self) {
            return Ok(());
        }
        tracing::warn!(
            process.id = self.pid,
            "ending a process that another Firefly has started"
        );
        // A leader that still lives keeps the number of its group from being used anew.
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        pidfd_send_signal(&process, Signal::KILL)?;
        poll(
            &mut [PollFd::new(&process, PollFlags::IN)],
            Some(&LEFTOVER_DEADLINE),
        )?;
        Ok(())
    }
}

/// Processes that others have recorded.
pub(super) struct Others {
    directory: PathBuf,
    /// Where each is recorded; one whose record was cut short had been given nothing to do yet.
    records: Vec<(PathBuf, Option<Record>)>,
}

/// Makes the run directory and reads who is recorded there, but for those that are ours.
pub(super) async fn others(directory: &Path, ours: HashSet<ContainerId>) -> Result<Others, Error> {
    in_background(directory, move |directory| {
        let records = read(&directory, &ours)?;
        Ok(Others { directory, records })
    })
    .await
}

/// Ends every recorded process that still runs.
pub(in super::super) async fn end_leftovers(directory: &Path) -> Result<(), Error> {
    others(directory, HashSet::new()).await?.end().await
}

impl Others {
    /// Ends those that still run, and forgets all of them.
    pub(super) async fn end(self) -> Result<(), Error> {
        let Self { directory, records } = self;
        in_background(&directory, |_| {
            for (path, record) in records {
                if let Some(record) = record {
                    record.end()?;
                }
                remove(&path)?;
            }
            Ok(())
        })
        .await
    }
}

async fn in_background<T: Send + 'static>(
    directory: &Path,
    work: impl FnOnce(PathBuf) -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let path = directory.to_owned();
    tokio::task::spawn_blocking(move || work(path))
        .await
        .unwrap_or_else(|panic| Err(io::Error::other(panic)))
        .map_err(|source| Error::RunDirectory {
            path: directory.to_owned(),
            source,
        })
}

fn read(
    directory: &Path,
    ours: &HashSet<ContainerId>,
) -> io::Result<Vec<(PathBuf, Option<Record>)>> {
    std::fs::create_dir_all(directory)?;
    let mut records = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_none_or(|it| it != "json") {
            continue;
        }
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            // Its process has ended, and the one that started it has noticed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let record = serde_json::from_slice::<Record>(&bytes).ok();
        let is_ours = |record: &Record| ours.contains(&record.container_id());
        if !record.as_ref().is_some_and(is_ours) {
            records.push((path, record));
        }
    }
    Ok(records)
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The start time in a line of `/proc/<pid>/stat`, in clock ticks since boot. The name may hold anything.
fn start_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields
        .split_ascii_whitespace()
        .nth(START_TIME_FIELD)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::Command;

    use super::*;

    fn sleeper() -> (std::process::Child, Pid) {
        let child = Command::new("sleep").arg("600").process_group(0).spawn();
        let child = child.unwrap();
        let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
        (child, pid)
    }

    #[test]
    fn a_name_with_spaces_and_brackets_does_not_hide_the_start_time() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4 1 0 0 0 0 0 0 0 20 0 1 0 4242 9 9";
        assert_eq!(start_ticks(stat), Some(4242));
    }

    #[tokio::test]
    async fn a_recorded_process_is_ended_and_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let (mut child, pid) = sleeper();
        Record::of(pid).unwrap().save(directory.path()).unwrap();
        end_leftovers(directory.path()).await.unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn our_own_are_spared() {
        let directory = tempfile::tempdir().unwrap();
        let (mut child, pid) = sleeper();
        let record = Record::of(pid).unwrap();
        record.save(directory.path()).unwrap();
        let ours = HashSet::from([record.container_id()]);
        let left = others(directory.path(), ours).await.unwrap();
        left.end().await.unwrap();
        assert!(child.try_wait().unwrap().is_none(), "our own was killed");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[tokio::test]
    async fn a_stranger_with_the_same_number_is_spared() {
        let directory = tempfile::tempdir().unwrap();
        let (mut child, pid) = sleeper();
        let mut record = Record::of(pid).unwrap();
        record.start_ticks -= 1;
        record.save(directory.path()).unwrap();
        end_leftovers(directory.path()).await.unwrap();
        assert!(child.try_wait().unwrap().is_none(), "a stranger was killed");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[tokio::test]
    async fn a_damaged_record_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("1-2.json"), "{").unwrap();
        end_leftovers(directory.path()).await.unwrap();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
