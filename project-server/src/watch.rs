//! Notices changes in the workspace, and sleeps otherwise.
//!
//! inotify watches single directories. They are chosen here, so that the thousands below `node_modules` cost nothing.
//! Events are gathered for a moment and then treated as one change.

mod directories;
mod event;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Receiver};

use directories::Directories;
use event::Batch;

/// How long events are gathered: editors write a file in several steps.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// Events that wait; if more come, everything is looked at anew instead.
const QUEUE_LENGTH: usize = 1_024;

/// What has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// A file that pages may show.
    pub shown: bool,
    /// A file or ref that may be unsaved work.
    pub work: bool,
}

/// Watches a workspace from its making on.
pub(crate) struct Watch {
    events: Receiver<notify::Event>,
    lost: Arc<AtomicBool>,
    directories: Directories,
}

impl Watch {
    /// Begins to watch, or fails if not one directory can be. Blocks for as long as the directories take to be listed.
    pub(crate) fn begin(workspace: &Path) -> notify::Result<Self> {
        let (sender, events) = mpsc::channel(QUEUE_LENGTH);
        let lost = Arc::new(AtomicBool::new(false));
        let lost_here = Arc::clone(&lost);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let event = match event {
                Ok(event) if event::matters(&event) => event,
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(%error, "the file system's events are not complete");
                    lost_here.store(true, Ordering::Release);
                    notify::Event::default()
                }
            };
            if let Err(TrySendError::Full(_)) = sender.try_send(event) {
                lost_here.store(true, Ordering::Release);
            }
        })?;
        let mut directories = Directories::new(workspace, watcher);
        directories.rescan();
        if directories.is_empty() {
            return Err(notify::Error::new(notify::ErrorKind::MaxFilesWatch));
        }
        Ok(Self {
            events,
            lost,
            directories,
        })
    }

    /// Calls `on_change` after each burst of changes, until it is dropped.
    pub(crate) async fn follow(mut self, on_change: impl Fn(Change)) {
        while let Some(first) = self.events.recv().await {
            let mut batch = Batch::default();
            batch.add(self.directories.workspace(), &first);
            tokio::time::sleep(DEBOUNCE).await;
            while let Ok(event) = self.events.try_recv() {
                batch.add(self.directories.workspace(), &event);
            }
            let lost = self.lost.swap(false, Ordering::AcqRel) || batch.lost;
            let mut change = batch.change;
            if lost {
                change = Change {
                    shown: true,
                    work: true,
                };
            }
            if lost || !batch.moved.is_empty() {
                let update = tokio::task::spawn_blocking(move || {
                    self.directories.update(lost, &batch.moved);
                    self
                });
                self = match update.await {
                    Ok(this) => this,
                    // A panic has been printed; without directories there is nothing to watch.
                    Err(_) => return,
                };
            }
            if change != Change::default() {
                on_change(change);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_that_would_see_nothing_is_none() {
        let workspace = tempfile::tempdir().unwrap();
        assert!(Watch::begin(workspace.path()).is_ok());
        assert!(Watch::begin(&workspace.path().join("missing")).is_err());
    }
}
