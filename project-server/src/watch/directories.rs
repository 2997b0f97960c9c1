//! The set of watched directories, kept equal to what is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::event::is_watched;

/// The kernel lets a user have some thousands of watches; one project takes no more than this.
const WATCHES_MAX: usize = 4_096;

/// The watched directories of one workspace.
pub(super) struct Directories {
    workspace: PathBuf,
    watcher: RecommendedWatcher,
    watched: BTreeSet<PathBuf>,
    full: bool,
}

impl Directories {
    pub(super) fn new(workspace: &Path, watcher: RecommendedWatcher) -> Self {
        Self {
            workspace: workspace.to_owned(),
            watcher,
            watched: BTreeSet::new(),
            full: false,
        }
    }

    pub(super) fn workspace(&self) -> &Path {
        &self.workspace
    }

    /// Whether not even the workspace itself is watched.
    pub(super) fn is_empty(&self) -> bool {
        self.watched.is_empty()
    }

    /// Follows what came and went; looks at everything anew if events were lost.
    pub(super) fn update(&mut self, lost: bool, moved: &BTreeSet<PathBuf>) {
        if lost {
            self.rescan();
            return;
        }
        for path in moved {
            // What stands under this name now may be another directory than before.
            self.forget(path);
            self.add_tree(path.clone());
        }
    }

    /// Watches every directory there is, as if for the first time.
    pub(super) fn rescan(&mut self) {
        let workspace = self.workspace.clone();
        self.forget(&workspace);
        self.add_tree(workspace);
    }

    fn add_tree(&mut self, top: PathBuf) {
        let mut waiting = vec![top];
        while let Some(path) = waiting.pop() {
            let relative = path.strip_prefix(&self.workspace).unwrap_or(&path);
            // A symbolic link to a directory is a file of its own; following it could lead anywhere.
            let is_directory = path.symlink_metadata().is_ok_and(|found| found.is_dir());
            if !is_directory || !is_watched(relative) {
                continue;
            }
            if !self.watch(&path) {
                return;
            }
            // Listed after it is watched, so that nothing made in between is missed.
            let Ok(entries) = std::fs::read_dir(&path) else {
                continue;
            };
            let directories = entries.flatten().filter(is_directory_entry);
            waiting.extend(directories.map(|entry| entry.path()));
        }
    }

    /// Whether there is room for more.
    fn watch(&mut self, path: &Path) -> bool {
        if self.watched.len() >= WATCHES_MAX {
            return self.no_room();
        }
        match self.watcher.watch(path, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.watched.insert(path.to_owned());
            }
            Err(error) if matches!(error.kind, ErrorKind::MaxFilesWatch) => return self.no_room(),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a directory cannot be watched");
            }
        }
        true
    }

    fn no_room(&mut self) -> bool {
        if !self.full {
            tracing::warn!(
                watched = self.watched.len(),
                limit = WATCHES_MAX,
                "the project has more directories than can be watched; changes in some go unnoticed"
            );
        }
        self.full = true;
        false
    }

    fn forget(&mut self, top: &Path) {
        let gone: Vec<PathBuf> = self
            .watched
            .range(top.to_owned()..)
            .take_while(|path| path.starts_with(top))
            .cloned()
            .collect();
        for path in gone {
            self.watched.remove(&path);
            // The kernel forgets a deleted directory by itself.
            let _ = self.watcher.unwatch(&path);
        }
        self.full = self.watched.len() >= WATCHES_MAX;
    }
}

fn is_directory_entry(entry: &std::fs::DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_dir())
}
