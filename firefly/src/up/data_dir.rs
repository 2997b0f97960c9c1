//! The directory in which an installation keeps everything.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use firefly_reactor::runtime::choice::{Kind, Past};
use uuid::Uuid;

use super::processes::{Processes, Turn};
use super::say::Say;

const LOCK: &str = "lock";
const INSTANCE: &str = "instance";
const EVENT_LOG: &str = "events.db";
const READ_MODELS: &str = "read-models.db";
const RUNTIME: &str = "runtime";
const PROCESSES: &str = "processes";

/// How long another Firefly may take to begin or to end: one that makes the project image takes a minute or two.
const TURN_PATIENCE: Duration = Duration::from_secs(300);

/// What SQLite puts beside a database, under its name.
const DATABASE_COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// Only the owner reads and writes.
pub const PRIVATE_MODE: u32 = 0o600;

/// The directory, which this process shares with others.
pub struct DataDir {
    path: PathBuf,
    instance: Uuid,
    processes: Arc<Processes>,
}

impl DataDir {
    /// Opens the directory, making it if it is not there. Others open it only after [`Self::begun`].
    pub async fn open(path: &Path, log_is_inside: bool, say: &Say) -> anyhow::Result<Self> {
        let shown = path.display();
        // Others can pass through to workspaces, whose owner is the user in the container, but cannot look around.
        DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(path)
            .with_context(|| format!("cannot make the data directory {shown}"))?;
        let path = path
            .canonicalize()
            .with_context(|| format!("cannot find the data directory {shown}"))?;
        let lock = path.join(LOCK);
        let waiting = || {
            say.preparing(
                "waiting for another Firefly that starts or stops on the same data directory",
            )
        };
        let turn = Turn::wait(&lock, TURN_PATIENCE, waiting)
            .await
            .with_context(|| format!("cannot lock the data directory {shown}"))?;
        say.prepared();
        let Some(turn) = turn else {
            bail!(
                "another Firefly has been starting or stopping on the data directory {shown} for {} s; stop it, or choose \
                 another with --data-dir",
                TURN_PATIENCE.as_secs()
            );
        };
        for name in [EVENT_LOG, READ_MODELS] {
            private_database(&path, name)
                .with_context(|| format!("cannot keep {name} in {shown} to its owner"))?;
        }
        let instance = instance(&path.join(INSTANCE))?;
        let processes = Processes::join(path.join(PROCESSES), lock, instance, log_is_inside, turn)
            .with_context(|| format!("cannot tell who else uses the data directory {shown}"))?;
        Ok(Self {
            path,
            instance,
            processes: Arc::new(processes),
        })
    }

    /// Lets other Fireflies start and stop on it: what must not meet with that is done.
    pub fn begun(&self) {
        self.processes.begun();
    }

    /// The Fireflies that use it, this one among them.
    pub const fn processes(&self) -> &Arc<Processes> {
        &self.processes
    }

    /// Tells this installation from all others on the same container engine.
    pub const fn instance(&self) -> Uuid {
        self.instance
    }

    /// The URL of the embedded event log.
    pub fn event_log(&self) -> String {
        format!("sqlite:{}", self.path.join(EVENT_LOG).display())
    }

    /// The URL of the embedded read models.
    pub fn read_models(&self) -> String {
        format!("sqlite:{}", self.path.join(READ_MODELS).display())
    }

    pub fn secret(&self) -> PathBuf {
        self.path.join("secret")
    }

    pub fn workspaces(&self) -> PathBuf {
        self.path.join("workspaces")
    }

    pub fn npm_caches(&self) -> PathBuf {
        self.path.join("npm")
    }

    pub fn run(&self) -> PathBuf {
        self.path.join("run")
    }

    /// Where projects ran last, and where others run them now.
    pub fn past(&self) -> anyhow::Result<Past> {
        let others = if self.processes.are_none_else() {
            None
        } else {
            // Whoever came first has written it before anybody else could come.
            kind(&self.path.join(LOCK))?
        };
        let last = kind(&self.path.join(RUNTIME))?;
        Ok(Past { last, others })
    }

    /// Remembers where projects run, for others that come, and what the next start needs to know.
    pub fn set_runtime(&self, running: Kind, last: Kind) -> anyhow::Result<()> {
        let lock = self.path.join(LOCK);
        std::fs::write(&lock, format!("{running}\n"))
            .with_context(|| format!("cannot write {}", lock.display()))?;
        let path = self.path.join(RUNTIME);
        let draft = path.with_extension("new");
        write_durably(&draft, &path, &format!("{last}\n"))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The runtime that a file names, if there is one.
fn kind(path: &Path) -> anyhow::Result<Option<Kind>> {
    let shown = path.display();
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let kind = text.trim().parse();
            kind.map(Some)
                .with_context(|| format!("cannot read {shown}; correct it"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {shown}")),
    }
}

/// Opens a file that nobody else can open, making it if it is not there.
pub fn private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(PRIVATE_MODE)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(PRIVATE_MODE))?;
    Ok(file)
}

/// Makes an empty file before SQLite does: it would let others read. What SQLite makes beside it gets the same mode.
fn private_database(folder: &Path, name: &str) -> io::Result<()> {
    private(&folder.join(name))?;
    for companion in DATABASE_COMPANIONS {
        let path = folder.join(format!("{name}{companion}"));
        if path.try_exists()? {
            private(&path)?;
        }
    }
    Ok(())
}

/// The id in the file, made at the first start.
fn instance(path: &Path) -> anyhow::Result<Uuid> {
    let shown = path.display();
    match std::fs::read_to_string(path) {
        Ok(text) => text
            .trim()
            .parse()
            .with_context(|| format!("{shown} holds no instance id; restore it")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let instance = Uuid::new_v4();
            let draft = path.with_extension("new");
            write_durably(&draft, path, &format!("{instance}\n"))
                .with_context(|| format!("cannot write {shown}"))?;
            Ok(instance)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {shown}")),
    }
}

/// Writes a file by way of a draft, so that after a power cut it is there whole or not at all.
fn write_durably(draft: &Path, path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create(draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(draft, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn open(path: &Path) -> DataDir {
        DataDir::open(path, true, &Say::new(true)).await.unwrap()
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn only_its_owner_reads_the_log_and_the_read_models() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("data");
        // As an earlier version left it.
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join(EVENT_LOG), "").unwrap();
        std::fs::set_permissions(path.join(EVENT_LOG), Permissions::from_mode(0o644)).unwrap();

        let data_dir = open(&path).await;
        let _log = firefly_event_store::open(&data_dir.event_log())
            .await
            .unwrap();
        let _models = firefly_read_models::open(&data_dir.read_models())
            .await
            .unwrap();
        for name in [EVENT_LOG, READ_MODELS] {
            assert_eq!(mode(&path.join(name)), PRIVATE_MODE, "{name}");
            for companion in DATABASE_COMPANIONS {
                let name = format!("{name}{companion}");
                assert_eq!(mode(&path.join(&name)), PRIVATE_MODE, "{name}");
            }
        }
        assert_eq!(mode(&path.join(LOCK)), PRIVATE_MODE);
    }

    #[tokio::test]
    async fn those_who_share_it_are_one_installation() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("deep/data");
        let first = open(&path).await;
        assert_eq!(first.past().unwrap().others, None);
        first.set_runtime(Kind::Process, Kind::Docker).unwrap();
        first.begun();
        let second = open(&path).await;
        assert_eq!(second.instance(), first.instance());
        let past = second.past().unwrap();
        assert_eq!(past.others, Some(Kind::Process));
        assert_eq!(past.last, Some(Kind::Docker));
        drop((first, second));
        assert_eq!(open(&path).await.past().unwrap().others, None);
    }

    #[tokio::test]
    async fn the_last_runtime_is_remembered_and_never_guessed() {
        let home = tempfile::tempdir().unwrap();
        let data_dir = open(home.path()).await;
        assert_eq!(data_dir.past().unwrap().last, None);
        for kind in [Kind::Docker, Kind::Process] {
            data_dir.set_runtime(kind, kind).unwrap();
            assert_eq!(data_dir.past().unwrap().last, Some(kind));
        }
        std::fs::write(home.path().join(RUNTIME), "podman").unwrap();
        assert!(data_dir.past().is_err());
    }
}
