//! The Fireflies that work on one data directory, as one of them sees the others.
//!
//! Each has a file of its own, named as the log names the process, and a lock on it for as long as it lives. So whether a
//! process lives is known at once, also of one that was killed or stands still; signs of life are written into the file. They
//! begin and end one after the other: what is only for one that is alone cannot meet another that begins.

use std::collections::HashSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use firefly_domain::lease::Holder;
use firefly_reactor::{Life, Peers};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::data_dir::{PRIVATE_MODE, private};

/// Only the owner enters.
const DIRECTORY_MODE: u32 = 0o700;

/// How often it is looked whether others have begun or ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// How long one that ends waits for others that begin or end; it ends anyway.
const LEAVE_PATIENCE: Duration = Duration::from_secs(5);

/// What a process writes into its file has this many bytes at most.
const FILE_LENGTH_MAX: u64 = 128;

/// The right to begin or to end on a data directory, which one process has at a time.
#[derive(Debug)]
pub struct Turn {
    _lock: File,
}

impl Turn {
    /// Waits for it; nothing if others keep it for too long.
    pub async fn wait(
        lock: &Path,
        patience: Duration,
        waiting: impl FnOnce(),
    ) -> io::Result<Option<Self>> {
        let file = private(lock)?;
        let (mut waiting, deadline) = (Some(waiting), Instant::now() + patience);
        while !try_lock(&file, FlockOperation::NonBlockingLockExclusive)? {
            if Instant::now() >= deadline {
                return Ok(None);
            }
            if let Some(waiting) = waiting.take() {
                waiting();
            }
            sleep(LOOK_INTERVAL).await;
        }
        Ok(Some(Self { _lock: file }))
    }
}

/// The processes that work on a data directory, one of which is this one.
pub struct Processes {
    directory: PathBuf,
    lock: PathBuf,
    holder: Holder,
    /// Says which life of the host this is.
    boot: String,
    /// Whether nothing but processes of this directory uses the log, so that one that has no file is over.
    log_is_inside: bool,
    /// Processes whose files were removed, since they were over.
    over: HashSet<Uuid>,
    alone: bool,
    own: Mutex<Option<Own>>,
    turn: Mutex<Option<Turn>>,
}

/// This process's file; it is gone once this is dropped.
struct Own {
    path: PathBuf,
    file: Arc<File>,
    signs: AtomicU64,
}

impl Drop for Own {
    fn drop(&mut self) {
        // The next one that begins removes what stays.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Processes {
    /// Joins those on a directory, and finds out whether there are any. Others begin only after [`Self::begun`].
    pub fn join(
        directory: PathBuf,
        lock: PathBuf,
        instance: Uuid,
        log_is_inside: bool,
        turn: Turn,
    ) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(&directory)?;
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let boot = boot.trim().to_owned();
        let (mut alone, mut over) = (true, HashSet::new());
        for (process, path) in files(&directory)? {
            match look(&path, &boot)? {
                Found::Alive(_) => alone = false,
                Found::Over { here } => {
                    if here {
                        over.insert(process);
                    }
                    std::fs::remove_file(&path)?;
                }
                Found::Nothing => {}
            }
        }
        let process = Uuid::new_v4();
        let own = Own::make(directory.join(process.to_string()), &boot)?;
        Ok(Self {
            directory,
            lock,
            holder: Holder { process, instance },
            boot,
            log_is_inside,
            over,
            alone,
            own: Mutex::new(Some(own)),
            turn: Mutex::new(Some(turn)),
        })
    }

    /// Lets others begin and end.
    pub fn begun(&self) {
        held(&self.turn).take();
    }

    /// This process, as the log knows it.
    pub const fn holder(&self) -> Holder {
        self.holder
    }

    /// Whether no other process worked on the directory when this one joined.
    pub const fn are_none_else(&self) -> bool {
        self.alone
    }

    fn judge(&self, process: Uuid, found: Found) -> Life {
        match found {
            Found::Alive(Some(signs)) => Life::Signs(signs),
            Found::Alive(None) => Life::Unknown,
            Found::Over { here } if self.log_is_inside || here => Life::Over,
            Found::Nothing if self.log_is_inside || self.over.contains(&process) => Life::Over,
            // The directory may be a copy, and the process live beside the original.
            Found::Over { .. } | Found::Nothing => Life::Unknown,
        }
    }
}

#[async_trait]
impl Peers for Processes {
    async fn sign(&self) -> io::Result<()> {
        let (file, signs) = match &*held(&self.own) {
            Some(own) => (
                Arc::clone(&own.file),
                own.signs.fetch_add(1, Ordering::Relaxed),
            ),
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        let boot = self.boot.clone();
        in_background(move || write(&file, &boot, signs + 1)).await
    }

    async fn life(&self, process: Holder) -> Life {
        if process.instance != self.holder.instance {
            return Life::Unknown;
        }
        let path = self.directory.join(process.process.to_string());
        let boot = self.boot.clone();
        match in_background(move || look(&path, &boot)).await {
            Ok(found) => self.judge(process.process, found),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "it cannot be seen whether another Firefly on this data directory lives"
                );
                Life::Unknown
            }
        }
    }

    async fn leave(&self) -> bool {
        let turn = Turn::wait(&self.lock, LEAVE_PATIENCE, || {}).await;
        held(&self.own).take();
        let last = match turn {
            Ok(Some(turn)) => {
                let last = are_all_over(&self.directory, &self.boot);
                if matches!(last, Ok(true)) {
                    *held(&self.turn) = Some(turn);
                }
                last
            }
            // Somebody begins, and will find what is left.
            Ok(None) => Ok(false),
            Err(error) => Err(error),
        };
        last.unwrap_or_else(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "it cannot be seen whether other Fireflies work on this data directory; containers are left to them"
            );
            false
        })
    }
}

impl Own {
    fn make(path: PathBuf, boot: &str) -> io::Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(PRIVATE_MODE)
            .open(&path)?;
        write(&file, boot, 0)?;
        if !try_lock(&file, FlockOperation::NonBlockingLockExclusive)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Self {
            path,
            file: Arc::new(file),
            signs: AtomicU64::new(0),
        })
    }
}

/// Writes what a process says of itself; always as many bytes.
fn write(file: &File, boot: &str, signs: u64) -> io::Result<()> {
    let text = format!("{}\n{signs:020}\n", origin(file, boot)?);
    file.write_all_at(text.as_bytes(), 0)
}

/// What tells a file from its copies, also on other hosts.
fn origin(file: &File, boot: &str) -> io::Result<String> {
    let inode = file.metadata()?.ino();
    Ok(format!("{boot} {inode:020}"))
}

/// What a process's file says of it.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// It lives, and has given so many signs, if that can be read.
    Alive(Option<u64>),
    /// It is over, if this is its file, which is certain if it was written here in this life of the host.
    Over { here: bool },
    /// There is no file.
    Nothing,
}

fn look(path: &Path, boot: &str) -> io::Result<Found> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    // Those who look do not get into each other's way.
    let over = try_lock(&file, FlockOperation::NonBlockingLockShared)?;
    let mut text = String::new();
    (&file).take(FILE_LENGTH_MAX).read_to_string(&mut text)?;
    let (written, signs) = text.split_once('\n').unwrap_or_default();
    Ok(if over {
        Found::Over {
            here: written == origin(&file, boot)?,
        }
    } else {
        Found::Alive(signs.trim_end().parse().ok())
    })
}

fn are_all_over(directory: &Path, boot: &str) -> io::Result<bool> {
    for (_, path) in files(directory)? {
        if let Found::Alive(_) = look(&path, boot)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The files of processes.
fn files(directory: &Path) -> io::Result<Vec<(Uuid, PathBuf)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let process = entry.file_name().to_str().and_then(|it| it.parse().ok());
        files.extend(process.map(|process| (process, entry.path())));
    }
    Ok(files)
}

/// Whether there is a lock now; it is held for as long as the file is open.
fn try_lock(file: &File, how: FlockOperation) -> io::Result<bool> {
    match flock(file, how) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|panic| Err(io::Error::other(panic)))
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn boot() -> String {
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap()
    }

    struct Home(tempfile::TempDir);

    impl Home {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn directory(&self) -> PathBuf {
            self.0.path().join("processes")
        }

        async fn join(&self, log_is_inside: bool) -> Processes {
            let lock = self.0.path().join("lock");
            let turn = Turn::wait(&lock, PATIENCE, || {}).await.unwrap().unwrap();
            Processes::join(self.directory(), lock, Uuid::nil(), log_is_inside, turn).unwrap()
        }

        async fn begin(&self) -> Processes {
            let processes = self.join(true).await;
            processes.begun();
            processes
        }

        /// What a killed process leaves.
        fn left_by(&self, boot: &str) -> Holder {
            let process = Uuid::new_v4();
            std::fs::create_dir_all(self.directory()).unwrap();
            let path = self.directory().join(process.to_string());
            write(&File::create(path).unwrap(), boot, 3).unwrap();
            Holder {
                process,
                instance: Uuid::nil(),
            }
        }
    }

    #[tokio::test]
    async fn processes_see_each_other_and_the_last_one_knows_that_it_is() {
        let home = Home::new();
        let first = home.begin().await;
        assert!(first.are_none_else());
        let second = home.begin().await;
        assert!(!second.are_none_else());
        assert!(!first.leave().await);
        assert_eq!(second.life(first.holder()).await, Life::Over);
        assert!(second.leave().await);
    }

    #[tokio::test]
    async fn each_sign_is_seen() {
        let home = Home::new();
        let (first, second) = (home.begin().await, home.begin().await);
        for signs in 0..3 {
            let life = second.life(first.holder()).await;
            assert_eq!(life, Life::Signs(signs));
            first.sign().await.unwrap();
        }
        first.leave().await;
        assert!(first.sign().await.is_err(), "nobody would see it");
    }

    #[tokio::test]
    async fn nobody_begins_while_somebody_does_or_after_the_last_one_began_to_leave() {
        let home = Home::new();
        let lock = home.0.path().join("lock");
        let turn = async || Turn::wait(&lock, Duration::ZERO, || {}).await.unwrap();
        let first = home.join(true).await;
        assert!(turn().await.is_none());
        first.begun();
        assert!(turn().await.is_some());
        assert!(first.leave().await);
        assert!(turn().await.is_none());
        drop(first);
        assert!(turn().await.is_some());
    }

    #[tokio::test]
    async fn a_killed_process_is_over_for_those_who_were_there_and_those_who_come() {
        let home = Home::new();
        let early = home.begin().await;
        let killed = home.left_by(boot().trim());
        assert_eq!(early.life(killed).await, Life::Over);
        let late = home.join(false).await;
        late.begun();
        assert_eq!(late.life(killed).await, Life::Over);
        assert!(!late.are_none_else());
        assert_eq!(files(&home.directory()).unwrap().len(), 2);
    }

    #[tokio::test]
    async fn what_may_live_elsewhere_is_not_taken_to_be_over() {
        let home = Home::new();
        let of_another_host = home.left_by("another boot");
        let copied = home.left_by(boot().trim());
        let path = home.directory().join(copied.process.to_string());
        let original = path.with_extension("original");
        std::fs::rename(&path, &original).unwrap();
        std::fs::copy(original, path).unwrap();
        let stranger = Holder {
            process: Uuid::new_v4(),
            instance: Uuid::max(),
        };
        let processes = home.join(false).await;
        assert_eq!(processes.life(of_another_host).await, Life::Unknown);
        assert_eq!(processes.life(copied).await, Life::Unknown);
        assert_eq!(processes.life(stranger).await, Life::Unknown);
        drop(processes);
        // With the log in the directory there is nobody elsewhere.
        let processes = home.join(true).await;
        assert_eq!(processes.life(of_another_host).await, Life::Over);
        assert_eq!(processes.life(stranger).await, Life::Unknown);
    }
}
