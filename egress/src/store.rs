//! What was fetched, on the disk: written beside, named when it is whole, found again after a restart, and bounded.
//!
//! An entry is one file: its content and, behind it, a footer that says what it is and what its content hashes to. A file
//! gets its name only with its footer, so a killed Firefly leaves no half entry, only a draft, which the next start removes.
//! Nothing is flushed: what a crash of the host loses or damages is found by its length and its hash the first time that
//! it is used after a start, removed, and fetched again.

mod draft;
mod file;
mod index;

use std::fs::{self, File, FileTimes};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::measure;
use index::{Index, Slot};

pub(crate) use draft::Draft;
pub(crate) use file::{About, Reader};

/// Below it are the entries, one directory for each first letter of their names.
const ENTRIES: &str = "entries";

/// What is being written.
const DRAFTS: &str = "drafts";

/// Where an entry is.
type Id = [u8; 32];

/// What was fetched.
#[derive(Clone)]
pub(crate) struct Store(Arc<Inner>);

struct Inner {
    entries: PathBuf,
    drafts: PathBuf,
    bytes_max: u64,
    index: Mutex<Index>,
}

/// Something that was fetched, open: it can be read whatever becomes of its file.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) file: Arc<File>,
    pub(crate) about: Arc<About>,
    /// When the registry last said that it is so.
    pub(crate) checked: SystemTime,
}

impl Store {
    /// Opens the store in a directory, which is made when it is missing. This reads the directory: it blocks.
    pub(crate) fn open(directory: &Path, bytes_max: u64) -> io::Result<Self> {
        let (entries, drafts) = (directory.join(ENTRIES), directory.join(DRAFTS));
        match fs::remove_dir_all(&drafts) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(&drafts)?;
        fs::create_dir_all(&entries)?;
        let inner = Inner {
            index: Mutex::new(index::read(&entries)?),
            entries,
            drafts,
            bytes_max,
        };
        inner.make_room();
        Ok(Self(Arc::new(inner)))
    }

    /// How large an entry may become and still be worth keeping: it must not drive everything else out.
    pub(crate) fn entry_bytes_max(&self) -> u64 {
        self.0.bytes_max / 4
    }

    /// What is kept under a key.
    pub(crate) async fn get(&self, key: &str) -> Option<Entry> {
        let (inner, key) = (Arc::clone(&self.0), key.to_owned());
        blocking(move || Ok(inner.get(&key))).await.ok().flatten()
    }

    /// Begins to write.
    pub(crate) async fn draft(&self) -> io::Result<Draft> {
        let inner = Arc::clone(&self.0);
        blocking(move || Draft::begin(&inner.drafts)).await
    }

    /// Names a draft, which takes the place of what was kept under its key.
    pub(crate) async fn keep(&self, draft: Draft, about: About) -> io::Result<Entry> {
        let inner = Arc::clone(&self.0);
        blocking(move || inner.keep(draft, about)).await
    }

    /// Notes that the registry has just said that an entry is still so.
    pub(crate) async fn confirm(&self, entry: &Entry) -> Entry {
        let (inner, mut entry) = (Arc::clone(&self.0), entry.clone());
        entry.checked = SystemTime::now();
        let confirmed = entry.clone();
        let noted = blocking(move || inner.confirm(&confirmed)).await;
        if let Err(error) = noted {
            tracing::debug!(?error, "that a package is up to date could not be noted");
        }
        entry
    }

    /// Forgets what is kept under a key.
    pub(crate) async fn remove(&self, key: &str) {
        let (inner, id) = (Arc::clone(&self.0), id(key));
        // What cannot be removed now is found by the next start, and makes room in its turn.
        let _ = blocking(move || {
            inner.forget(&id, None);
            Ok(())
        })
        .await;
    }
}

impl Inner {
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, id: &Id) -> PathBuf {
        path(&self.entries, id)
    }

    fn get(&self, key: &str) -> Option<Entry> {
        let id = id(key);
        // Under the lock nobody puts another file there, or takes it away.
        let (slot, file) = {
            let mut index = self.index();
            let slot = index.used(&id)?;
            (slot, File::open(self.path(&id)))
        };
        match file.and_then(|file| self.read(key, &id, &slot, file)) {
            Ok(entry) => Some(entry),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a cached package is damaged; it will be fetched again"
                );
                self.forget(&id, Some(slot.number));
                None
            }
        }
    }

    fn read(&self, key: &str, id: &Id, slot: &Slot, file: File) -> io::Result<Entry> {
        let metadata = file.metadata()?;
        let about = match &slot.about {
            Some(about) if about.file_bytes() == metadata.len() => Arc::clone(about),
            Some(_) => return Err(io::Error::other("its length is wrong")),
            None => {
                let about = Arc::new(file::verify(&file, metadata.len())?);
                self.index().verified(id, slot.number, Arc::clone(&about));
                about
            }
        };
        if about.key != key {
            return Err(io::Error::other("it is something else"));
        }
        if slot.is_use_noted_late {
            // So that a restart knows what was used; without it the entry only seems older.
            let _ = file.set_times(FileTimes::new().set_accessed(SystemTime::now()));
        }
        Ok(Entry {
            file: Arc::new(file),
            about,
            checked: metadata.modified()?,
        })
    }

    fn keep(&self, draft: Draft, about: About) -> io::Result<Entry> {
        let id = id(&about.key);
        let path = self.path(&id);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let about = Arc::new(about);
        let whole = draft.end(&about)?;
        let file = {
            let mut index = self.index();
            let file = whole.name(&path)?;
            index.put(id, Arc::clone(&about));
            file
        };
        self.make_room();
        Ok(Entry {
            file,
            about,
            checked: SystemTime::now(),
        })
    }

    fn confirm(&self, entry: &Entry) -> io::Result<()> {
        let times = FileTimes::new().set_modified(entry.checked);
        File::options()
            .write(true)
            .open(self.path(&id(&entry.about.key)))?
            .set_times(times)
    }

    /// Removes an entry; with a number only if it is still that one.
    fn forget(&self, id: &Id, number: Option<u64>) {
        let mut index = self.index();
        if index.remove(id, number) {
            let _ = fs::remove_file(self.path(id));
        }
        measure::cache_bytes(index.bytes());
    }

    fn make_room(&self) {
        loop {
            let mut index = self.index();
            measure::cache_bytes(index.bytes());
            if index.bytes() <= self.bytes_max {
                return;
            }
            let Some(id) = index.pop_oldest() else {
                return;
            };
            let _ = fs::remove_file(self.path(&id));
        }
    }
}

fn id(key: &str) -> Id {
    Sha256::digest(key).into()
}

fn path(entries: &Path, id: &Id) -> PathBuf {
    let name = URL_SAFE_NO_PAD.encode(id);
    entries.join(&name[..1]).join(name)
}

/// Files are read and written where that holds nothing up.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}
