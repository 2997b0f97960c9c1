//! The processes of this machine that have to do with a directory.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::waiting::wait_blocking;

/// How long a killed process may take to be gone.
const END_DEADLINE: Duration = Duration::from_secs(10);

/// The ids of all processes that name the directory in their arguments or work below it.
pub fn about(directory: &Path) -> Vec<u32> {
    let named = directory.as_os_str().as_encoded_bytes();
    let about = |pid: &u32| {
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let inside = std::fs::read_link(format!("/proc/{pid}/cwd"))
            .is_ok_and(|place| place.starts_with(directory));
        inside || arguments.windows(named.len()).any(|part| part == named)
    };
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(about).collect()
}

/// Kills everything that has to do with the directory, and waits until it is gone.
pub(crate) fn end_all(directory: &Path) {
    let gone = wait_blocking(END_DEADLINE, || {
        let left = about(directory);
        for pid in &left {
            kill(*pid, Signal::KILL);
        }
        left.is_empty()
    });
    if !gone {
        eprintln!("some processes about {} are left", directory.display());
    }
}

/// Sends a signal; a process that is gone already is fine.
pub fn kill(pid: u32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
        // It may have ended by itself.
        let _ = kill_process(pid, signal);
    }
}
