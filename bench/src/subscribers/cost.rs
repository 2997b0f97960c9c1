//! What a server does for its subscribers, as the kernel counts it: processor time tells of work on a busy machine too.

use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::{interval, timeout};

/// Where user and system time stand in `/proc/<pid>/stat`, behind the name (proc_pid_stat(5): fields 14 and 15).
const USER_TIME: usize = 11;

/// The unit of these fields: `sysconf(_SC_CLK_TCK)` is 100 on every Linux that Rust runs on.
const TICK: Duration = Duration::from_millis(10);

/// How long connections may take to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Processor time that a process has used so far.
pub fn processor_time(pid: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, behind_name) = stat.rsplit_once(')').context("no name in stat")?;
    let fields = behind_name.split_whitespace().skip(USER_TIME).take(2);
    let ticks: Result<Vec<u32>, _> = fields.map(str::parse).collect();
    Ok(TICK * ticks?.iter().sum())
}

/// How many files a process has open.
pub fn files(pid: u32) -> anyhow::Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// Waits until a process has few files open: all who were connected are gone.
pub async fn until_alone(pid: u32, files_max: usize) -> anyhow::Result<()> {
    let alone = async {
        let mut ticks = interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            if files(pid)? <= files_max {
                return Ok(());
            }
        }
    };
    match timeout(PATIENCE, alone).await {
        Ok(alone) => alone,
        Err(_) => bail!("clients that are gone are still connected"),
    }
}
