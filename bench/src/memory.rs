//! What a process keeps in memory, as the kernel counts it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::sleep;

/// How far apart readings are.
const READING_INTERVAL: Duration = Duration::from_secs(1);

/// Readings that differ by less are equal.
const EQUAL_KIB: u64 = 64;

/// Readings after which the last one is taken as it is.
const READINGS_MAX: usize = 40;

const BYTES_PER_KIB: f64 = 1024.0;
const BYTES_PER_MB: f64 = 1_000_000.0;

/// One reading, in KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Resident, all of it.
    resident: u64,
    /// Resident and of nobody else: heap and stacks.
    anonymous: u64,
    /// Resident pages of files, above all of the program itself. Other processes may have the same ones.
    file: u64,
    /// Resident, with shared pages divided by the number of processes that have them.
    proportional: u64,
}

impl Memory {
    /// Reads it for a process.
    pub fn of(pid: u32) -> anyhow::Result<Self> {
        let status = read(pid, "status")?;
        let rollup = read(pid, "smaps_rollup")?;
        Ok(Self {
            resident: field(&status, "VmRSS")?,
            anonymous: field(&status, "RssAnon")?,
            file: field(&status, "RssFile")?,
            proportional: field(&rollup, "Pss")?,
        })
    }

    /// Resident, all of it, in KiB.
    #[expect(
        clippy::cast_precision_loss,
        reason = "memory sizes are far below 2^52 KiB"
    )]
    pub const fn resident_kib(self) -> f64 {
        self.resident as f64
    }

    /// Each quantity with its name, in MB (millions of bytes).
    pub fn quantities(self) -> [(&'static str, f64); 4] {
        [
            ("resident", self.resident),
            ("anonymous", self.anonymous),
            ("of files", self.file),
            ("proportional", self.proportional),
        ]
        .map(|(name, kib)| (name, megabytes(kib)))
    }
}

/// Reads until as many readings in a row as `quiet` says are equal: whatever was under way has come to rest.
pub async fn settled(pid: u32, quiet: usize) -> anyhow::Result<Memory> {
    let mut first = Memory::of(pid)?;
    let mut equal = 1;
    for _ in 0..READINGS_MAX {
        if equal >= quiet {
            break;
        }
        sleep(READING_INTERVAL).await;
        let memory = Memory::of(pid)?;
        if memory.resident.abs_diff(first.resident) < EQUAL_KIB {
            equal += 1;
        } else {
            (first, equal) = (memory, 1);
        }
    }
    Memory::of(pid)
}

/// The one child of a process whose command line holds `word`.
pub fn child(parent: u32, word: &str) -> anyhow::Result<u32> {
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // Processes end while this looks at them.
        let (Ok(stat), Ok(command)) = (read(pid, "stat"), read(pid, "cmdline")) else {
            continue;
        };
        if parent_of(&stat) == Some(parent) && command.contains(word) {
            return Ok(pid);
        }
    }
    bail!("process {parent} has no child {word}")
}

/// The parent in `/proc/<pid>/stat`, whose second field is a name that may hold anything.
fn parent_of(stat: &str) -> Option<u32> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(1)?.parse().ok()
}

fn read(pid: u32, file: &str) -> anyhow::Result<String> {
    let path = Path::new("/proc").join(pid.to_string()).join(file);
    std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}; a container's needs root", path.display()))
}

fn field(text: &str, name: &str) -> anyhow::Result<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .and_then(|value| value.trim().strip_suffix("kB")?.trim().parse().ok())
        .with_context(|| format!("the kernel does not tell {name}"))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "memory sizes are far below 2^52 KiB"
)]
fn megabytes(kib: u64) -> f64 {
    kib as f64 * BYTES_PER_KIB / BYTES_PER_MB
}

/// The most that this process has ever had resident, in MB.
pub fn peak_megabytes() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status").context("cannot read /proc")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    Ok(kilobytes.context("the kernel does not say VmHWM")? * 1_024.0 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "Pss_Anon:  10 kB\nPss:   1234 kB\nThreads:\t3\n";
        assert_eq!(field(text, "Pss").unwrap(), 1234);
        assert!(field(text, "Threads").is_err());
        assert!(field(text, "Rss").is_err());
    }

    #[test]
    fn a_name_with_brackets_hides_no_parent() {
        assert_eq!(parent_of("12 (a) b (c)) S 7 12 12 0"), Some(7));
    }

    #[test]
    fn this_process_has_memory() {
        let [(_, resident), (_, anonymous), ..] =
            Memory::of(std::process::id()).unwrap().quantities();
        assert!(resident > anonymous && anonymous > 0.0);
    }
}
