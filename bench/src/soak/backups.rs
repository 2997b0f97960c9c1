//! Kills `firefly log backup` again and again, beside a process whose clients append to the log.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::process::Command;

use super::check::Checker;
use super::copies::verify;
use super::death::{Deaths, is_violent};
use super::journal::Reader;
use super::{appends, firefly};

/// Kills until a new log is begun: the clients never rest, and a backup of a long log takes long.
const KILLS_PER_LOG: usize = 10;

const DEATHS: Deaths = Deaths {
    points: &["mid-backup"],
    passed_max: 5,
    life_max: Duration::from_millis(120),
};

/// What was seen of all backups.
#[derive(Debug, Default)]
struct Seen {
    died: usize,
    whole: usize,
}

/// Kills and looks at what is left; what survived, in words.
pub async fn run(kills: usize) -> anyhow::Result<String> {
    let program = firefly()?;
    let mut seen = Seen::default();
    let mut logs = Vec::new();
    for first in (1..=kills).step_by(KILLS_PER_LOG) {
        let last = (first + KILLS_PER_LOG - 1).min(kills);
        logs.push(beside_a_writer(&program, first..=last, &mut seen).await?);
    }
    Ok(format!(
        "{} backups were made whole, and {} that ended in the middle were taken for none; of the last log, {}",
        seen.whole,
        seen.died,
        logs.pop().unwrap_or_default()
    ))
}

/// One log and the process that appends to it.
async fn beside_a_writer(
    program: &Path,
    kills: std::ops::RangeInclusive<usize>,
    seen: &mut Seen,
) -> anyhow::Result<String> {
    let home = tempfile::tempdir().context("cannot make a directory for the log")?;
    let url = |path: &Path| format!("sqlite:{}", path.display());
    let log = url(&home.path().join("events.db"));
    let journal = home.path().join("acknowledged");
    let mut writer = appends::spawn(&log, &journal, false, None)?;
    appends::ready(&mut writer).await?;
    let backup = Backup {
        program,
        log: log.clone(),
        target: home.path().join("backup.db"),
    };
    for kill in kills {
        let death = DEATHS.choose(kill);
        let mut making = backup.command().envs(death.environment()).spawn()?;
        let ended = death.of(&mut making).await?;
        if is_violent(ended) {
            seen.died += 1;
        } else {
            ensure!(ended.success(), "a backup failed: {ended}");
        }
        // What has the name of a backup is one, however its maker ended.
        if backup.target.exists() {
            backup.is_whole_and_goes().await?;
            seen.whole += 1;
        } else {
            ensure!(is_violent(ended), "a backup that was made is not there");
        }
    }
    let unharmed = backup.command().status().await?;
    ensure!(unharmed.success(), "a backup failed: {unharmed}");
    backup.is_whole_and_goes().await?;
    seen.whole += 1;
    if let Some(ended) = writer.try_wait()? {
        bail!("the writer ended beside a backup: {ended}");
    }
    writer.kill().await?;
    let mut checker = Checker::new(&log);
    checker.check(&mut Reader::new(&journal)).await?;
    Ok(checker.summary())
}

struct Backup<'a> {
    program: &'a Path,
    log: String,
    target: PathBuf,
}

impl Backup<'_> {
    fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command
            .args(["log", "backup", "--json", "--event-log", &self.log])
            .arg(&self.target)
            .stdout(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// It is the beginning of a log, without an append that is half there; then it makes room for the next.
    async fn is_whole_and_goes(&self) -> anyhow::Result<()> {
        let url = format!("sqlite:{}", self.target.display());
        verify(self.program, &url).await?;
        Checker::new(&url).read_on().await?;
        for suffix in ["", "-wal", "-shm"] {
            let mut name = self.target.clone().into_os_string();
            name.push(suffix);
            match std::fs::remove_file(&name) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).context("cannot remove a backup");
                }
                _ => {}
            }
        }
        Ok(())
    }
}
