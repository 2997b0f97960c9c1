//! What a child process prints, line by line, kept for whoever waits for a line or wants to know what went wrong.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use tokio::sync::watch;

use crate::waiting::PATIENCE;

/// Lines in the order in which they came.
#[derive(Clone, Debug)]
pub(crate) struct Output(Arc<watch::Sender<Vec<String>>>);

impl Output {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Vec::new())))
    }

    /// Reads a pipe to its end, on a thread of its own.
    pub(crate) fn read(&self, pipe: impl Read + Send + 'static) {
        let lines = Arc::clone(&self.0);
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines() {
                let Ok(line) = line else { return };
                lines.send_modify(|lines| lines.push(line));
            }
        });
    }

    /// Everything so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    /// The first thing that `find` makes out of a line behind the first `skip` ones; `None` if it does not come.
    pub(crate) async fn find<T>(&self, skip: usize, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let found = |lines: &Vec<String>| lines.iter().skip(skip).find_map(|line| find(line));
        let mut lines = self.0.subscribe();
        let awaited = lines.wait_for(|lines| found(lines).is_some());
        let lines = tokio::time::timeout(PATIENCE, awaited).await.ok()?.ok()?;
        found(&lines)
    }
}
