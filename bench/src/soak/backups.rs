//! Kills `firefly log backup` again and again, beside a process whose clients append to the log.
//!
//! What was acknowledged before a backup was begun must be in it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::check::Checker;
use super::copies::verify;
use super::death::{Deaths, is_violent};
use super::journal::{Entry, Reader};
use super::kills::Kills;
use super::{Survived, appends, firefly};
use crate::report::Figure;

/// Kills until a new log is begun: the clients never rest, and a backup of a long log takes long.
const KILLS_PER_LOG: usize = 10;

/// Where clients note what they were answered.
const JOURNAL: &str = "acknowledged";

/// How long the clients may take until something more is acknowledged.
const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(10);

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

/// Kills and looks at what is left.
pub async fn run(kills: &mut Kills, keep_old: bool) -> anyhow::Result<Survived> {
    let program = firefly()?;
    let mut seen = Seen::default();
    let mut last = None;
    while let Some(kill) = kills.next() {
        let mut log = Log::begin(&program, keep_old).await?;
        log.kill(kill, &mut seen).await?;
        for _ in 1..KILLS_PER_LOG {
            match kills.next() {
                Some(kill) => log.kill(kill, &mut seen).await?,
                None => break,
            }
        }
        last = Some(log.end(&mut seen).await?);
    }
    let last = last.context("nothing was killed")?;
    let Seen { died, whole } = seen;
    let mut figures = vec![
        Figure::count("backups made whole", whole, "backups"),
        Figure::count("backups that ended in the middle", died, "backups"),
    ];
    figures.extend(last.figures);
    Ok(Survived {
        words: format!(
            "{whole} backups were made whole, with all that was acknowledged before, and {died} that ended in the middle were \
             taken for none; of the last log, {}",
            last.words
        ),
        figures,
    })
}

/// One log, the process that appends to it, and the backup of it that is made again and again.
struct Log<'a> {
    program: &'a Path,
    url: String,
    writer: Child,
    journal: Reader,
    /// All that was acknowledged before the last backup was begun.
    acknowledged: Vec<Entry>,
    backup: PathBuf,
    /// A backup that is looked at instead of each new one.
    old: Option<PathBuf>,
    home: tempfile::TempDir,
}

impl<'a> Log<'a> {
    async fn begin(program: &'a Path, keep_old: bool) -> anyhow::Result<Self> {
        let home = tempfile::tempdir().context("cannot make a directory for the log")?;
        let url = url(&home.path().join("events.db"));
        let journal = home.path().join(JOURNAL);
        let mut writer = appends::spawn(&url, &journal, false, None)?;
        appends::ready(&mut writer).await?;
        let mut log = Self {
            program,
            url,
            writer,
            journal: Reader::new(&journal),
            acknowledged: Vec::new(),
            backup: home.path().join("backup.db"),
            old: None,
            home,
        };
        if keep_old {
            let ended = log.back_up(&[]).await?.wait().await?;
            ensure!(ended.success(), "a backup failed: {ended}");
            let old = log.home.path().join("old.db");
            std::fs::rename(&log.backup, &old).context("cannot keep a backup")?;
            log.old = Some(old);
        }
        Ok(log)
    }

    /// Begins a backup that may be killed, and looks at what it leaves.
    async fn kill(&mut self, kill: usize, seen: &mut Seen) -> anyhow::Result<()> {
        let death = DEATHS.choose(kill);
        let mut making = self.back_up(&death.environment()).await?;
        let ended = death.of(&mut making).await?;
        if is_violent(ended) {
            seen.died += 1;
        } else {
            ensure!(ended.success(), "a backup failed: {ended}");
        }
        // What has the name of a backup is one, however its maker ended.
        if self.backup.exists() {
            self.is_whole_and_goes().await?;
            seen.whole += 1;
        } else {
            ensure!(is_violent(ended), "a backup that was made is not there");
        }
        Ok(())
    }

    /// Makes a backup that nobody kills, ends the writer and looks at the log.
    async fn end(mut self, seen: &mut Seen) -> anyhow::Result<Survived> {
        let unharmed = self.back_up(&[]).await?.wait().await?;
        ensure!(unharmed.success(), "a backup failed: {unharmed}");
        self.is_whole_and_goes().await?;
        seen.whole += 1;
        if let Some(ended) = self.writer.try_wait()? {
            bail!("the writer ended beside a backup: {ended}");
        }
        self.writer.kill().await?;
        let mut checker = Checker::new(&self.url);
        let mut journal = Reader::new(&self.home.path().join(JOURNAL));
        checker.check(&mut journal).await?;
        Ok(checker.survived())
    }

    /// Begins a backup, once more was acknowledged than before the last one.
    async fn back_up(&mut self, environment: &[(&str, String)]) -> anyhow::Result<Child> {
        let deadline = Instant::now() + ACKNOWLEDGE_TIMEOUT;
        let before = self.acknowledged.len();
        while self.acknowledged.len() == before {
            ensure!(Instant::now() < deadline, "nothing more is acknowledged");
            sleep(Duration::from_millis(1)).await;
            self.acknowledged.extend(self.journal.entries::<Entry>()?);
        }
        let mut command = Command::new(self.program);
        command
            .args(["log", "backup", "--json", "--event-log", &self.url])
            .arg(&self.backup)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::null())
            .kill_on_drop(true);
        command.spawn().context("cannot start the backup")
    }

    /// It is the beginning of a log, without an append that is half there, and has what was acknowledged before it was begun;
    /// then it makes room for the next.
    async fn is_whole_and_goes(&self) -> anyhow::Result<()> {
        if let Some(old) = &self.old {
            std::fs::copy(old, &self.backup).context("cannot put the old backup in place")?;
        }
        let url = url(&self.backup);
        verify(self.program, &url).await?;
        let mut checker = Checker::new(&url);
        checker.read_on().await?;
        checker.has(&self.acknowledged)?;
        for suffix in ["", "-wal", "-shm"] {
            let mut name = self.backup.clone().into_os_string();
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

fn url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}
