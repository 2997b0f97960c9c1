//! The directory in which an installation keeps everything.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use firefly_reactor::runtime::choice::Kind;
use firefly_reactor::runtime::docker::EGRESS_SOCKET;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use uuid::Uuid;

const LOCK: &str = "lock";
const INSTANCE: &str = "instance";
const EVENT_LOG: &str = "events.db";
const READ_MODELS: &str = "read-models.db";
const RUNTIME: &str = "runtime";

/// What SQLite puts beside a database, under its name.
const DATABASE_COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// Only the owner reads and writes.
const PRIVATE_MODE: u32 = 0o600;

/// The directory, held by this process alone for as long as this lives.
pub struct DataDir {
    path: PathBuf,
    instance: Uuid,
    _lock: File,
}

impl DataDir {
    /// Opens the directory, making it if it is not there; fails if another Firefly holds it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
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
        let lock = private(&path.join(LOCK))
            .with_context(|| format!("cannot open the lock in {shown}"))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => bail!(
                "another Firefly uses the data directory {shown}; stop it, or choose another with --data-dir"
            ),
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot lock the data directory {shown}"));
            }
        }
        for name in [EVENT_LOG, READ_MODELS] {
            private_database(&path, name)
                .with_context(|| format!("cannot keep {name} in {shown} to its owner"))?;
        }
        let instance = instance(&path.join(INSTANCE))?;
        Ok(Self {
            path,
            instance,
            _lock: lock,
        })
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

    /// npm's caches of the projects that run as child processes, one for each user.
    pub fn npm_caches(&self) -> PathBuf {
        self.path.join("npm")
    }

    pub fn run(&self) -> PathBuf {
        self.path.join("run")
    }

    /// Where containers are met while they run.
    pub fn containers(&self) -> PathBuf {
        self.run().join("containers")
    }

    /// What containers are given of the way out: the directory of its socket.
    pub fn egress(&self) -> PathBuf {
        self.run().join("egress")
    }

    /// Where containers are let out.
    pub fn egress_socket(&self) -> PathBuf {
        self.egress().join(EGRESS_SOCKET)
    }

    /// The packages that containers share.
    pub fn packages(&self) -> PathBuf {
        self.path.join("packages")
    }

    /// Where projects ran last; nobody knows before the first start.
    pub fn last_runtime(&self) -> anyhow::Result<Option<Kind>> {
        let path = self.path.join(RUNTIME);
        let shown = path.display();
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let kind = text.trim().parse();
                kind.map(Some)
                    .with_context(|| format!("cannot read {shown}; correct it"))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {shown}")),
        }
    }

    /// Remembers where projects run.
    pub fn set_last_runtime(&self, kind: Kind) -> anyhow::Result<()> {
        let path = self.path.join(RUNTIME);
        let draft = path.with_extension("new");
        write_durably(&draft, &path, &format!("{kind}\n"))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Opens a file that nobody else can open, making it if it is not there.
fn private(path: &Path) -> io::Result<File> {
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

        let data_dir = DataDir::open(&path).unwrap();
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

    #[test]
    fn one_process_at_a_time_holds_a_data_directory() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("deep/data");
        let first = DataDir::open(&path).unwrap();
        assert!(DataDir::open(&path).is_err());
        let instance = first.instance();
        drop(first);
        assert_eq!(DataDir::open(&path).unwrap().instance(), instance);
    }

    #[test]
    fn the_last_runtime_is_remembered_and_never_guessed() {
        let home = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(home.path()).unwrap();
        assert_eq!(data_dir.last_runtime().unwrap(), None);
        for kind in [Kind::Docker, Kind::Process] {
            data_dir.set_last_runtime(kind).unwrap();
            assert_eq!(data_dir.last_runtime().unwrap(), Some(kind));
        }
        std::fs::write(home.path().join(RUNTIME), "podman").unwrap();
        assert!(data_dir.last_runtime().is_err());
    }
}
