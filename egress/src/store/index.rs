//! Which entries there are, in the order of their last use.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lru::LruCache;

use super::{About, Id};

/// What the smallest file takes up; it bounds the number of entries too.
const BLOCK_BYTES: u64 = 4_096;

/// The use of an entry is noted on the disk no more often.
const USE_NOTED_EVERY: Duration = Duration::from_secs(3_600);

/// One entry.
#[derive(Clone)]
pub(super) struct Slot {
    /// Which of those that were put under the same key.
    pub(super) number: u64,
    disk_bytes: u64,
    /// Known once the file was verified.
    pub(super) about: Option<Arc<About>>,
    used: SystemTime,
    /// Set on what [`Index::used`] gives: the disk says that it was used long ago.
    pub(super) is_use_noted_late: bool,
}

/// All entries.
pub(super) struct Index {
    slots: LruCache<Id, Slot>,
    bytes: u64,
    next_number: u64,
}

/// Looks which entries there are. What is no entry by its name is left alone.
pub(super) fn read(entries: &Path) -> io::Result<Index> {
    let mut found = Vec::new();
    for directory in fs::read_dir(entries)? {
        let directory = directory?;
        if !directory.file_type()?.is_dir() {
            continue;
        }
        for file in fs::read_dir(directory.path())? {
            let file = file?;
            let Some(id) = file.file_name().to_str().and_then(id) else {
                continue;
            };
            let metadata = file.metadata()?;
            let used = metadata.accessed()?.max(metadata.modified()?);
            found.push((used, id, metadata.len()));
        }
    }
    found.sort_unstable();
    let mut index = Index {
        slots: LruCache::unbounded(),
        bytes: 0,
        next_number: 0,
    };
    for (used, id, file_bytes) in found {
        index.push(id, file_bytes, None, used);
    }
    Ok(index)
}

fn id(name: &str) -> Option<Id> {
    URL_SAFE_NO_PAD.decode(name).ok()?.try_into().ok()
}

impl Index {
    /// Bytes on the disk of all entries.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// An entry that is now used.
    pub(super) fn used(&mut self, id: &Id) -> Option<Slot> {
        let slot = self.slots.get_mut(id)?;
        let now = SystemTime::now();
        let since = now.duration_since(slot.used).unwrap_or_default();
        let is_use_noted_late = since >= USE_NOTED_EVERY;
        if is_use_noted_late {
            slot.used = now;
        }
        Some(Slot {
            is_use_noted_late,
            ..slot.clone()
        })
    }

    /// An entry was found to be as it was written.
    pub(super) fn verified(&mut self, id: &Id, number: u64, about: Arc<About>) {
        let slot = self.slots.peek_mut(id);
        if let Some(slot) = slot.filter(|slot| slot.number == number) {
            slot.about = Some(about);
        }
    }

    /// An entry was written.
    pub(super) fn put(&mut self, id: Id, about: Arc<About>) {
        let file_bytes = about.file_bytes();
        self.push(id, file_bytes, Some(about), SystemTime::now());
    }

    fn push(&mut self, id: Id, file_bytes: u64, about: Option<Arc<About>>, used: SystemTime) {
        self.next_number += 1;
        let slot = Slot {
            number: self.next_number,
            disk_bytes: file_bytes.next_multiple_of(BLOCK_BYTES),
            about,
            used,
            is_use_noted_late: false,
        };
        self.bytes += slot.disk_bytes;
        let before = self.slots.put(id, slot);
        self.bytes -= before.map_or(0, |slot| slot.disk_bytes);
    }

    /// An entry is no more, if it is the one of that number; says whether it was there.
    pub(super) fn remove(&mut self, id: &Id, number: Option<u64>) -> bool {
        let is_meant = |slot: &Slot| number.is_none_or(|number| slot.number == number);
        if !self.slots.peek(id).is_some_and(is_meant) {
            return false;
        }
        let removed = self.slots.pop(id);
        self.bytes -= removed.map_or(0, |slot| slot.disk_bytes);
        true
    }

    /// Takes out the entry that was not used for the longest time.
    pub(super) fn pop_oldest(&mut self) -> Option<Id> {
        let (id, slot) = self.slots.pop_lru()?;
        self.bytes -= slot.disk_bytes;
        Some(id)
    }
}
