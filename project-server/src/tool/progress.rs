//! Turns gix's tree of counters into progress lines, a few in a second.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use firefly_domain::Step;
use firefly_domain::control::Progress;
use firefly_domain::output::Tool;
use gix::progress::tree::Root;

use super::protocol::{self, Line};
use super::said;

/// Often enough for a moving bar, seldom enough to cost nothing.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(150);

/// The counters worth showing, by gix's stable ids, the latest stage first.
const STAGES: [([u8; 4], &str); 3] = [
    (*b"CLCF", "checking out files"),
    (*b"IWRO", "resolving deltas"),
    (*b"IWIO", "receiving objects"),
];

/// Prints progress until it is dropped.
pub(super) struct Reporter {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Reporter {
    /// Starts to follow the counters below `root`.
    pub(super) fn follow(root: Arc<Root>) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut last: Option<Progress> = None;
            while stopped.recv_timeout(PROGRESS_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let now = newest_stage(&root);
                if now.is_none() || now == last {
                    continue;
                }
                say_what_is_over(last.as_ref(), now.as_ref());
                if let Some(progress) = &now
                    && protocol::print(&Line::Progress(progress.clone())).is_err()
                {
                    return;
                }
                last = now;
            }
            let now = newest_stage(&root);
            say_what_is_over(last.as_ref(), now.as_ref());
            say_what_is_over(now.as_ref(), None);
        });
        Self {
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there has been printed already, and costs progress lines only.
            let _ = thread.join();
        }
    }
}

/// Tells of a stage once another one has begun; what came of it in the end was counted by then, but for a moment.
fn say_what_is_over(before: Option<&Progress>, now: Option<&Progress>) {
    if let Some(before) = before
        && now.is_none_or(|now| now.text != before.text)
    {
        said::say(Tool::Git, &format!("{}: {}", before.text, before.done));
    }
}

fn newest_stage(root: &Root) -> Option<Progress> {
    let mut tasks = Vec::new();
    root.sorted_snapshot(&mut tasks);
    STAGES.iter().find_map(|(id, text)| {
        let (_, task) = tasks.iter().rev().find(|(_, task)| task.id == *id)?;
        let value = task.progress.as_ref()?;
        Some(Progress {
            step: Step::Source,
            done: value.step.load(std::sync::atomic::Ordering::Relaxed) as u64,
            total: value.done_at.map(|total| total as u64),
            text: (*text).to_owned(),
        })
    })
}
