//! Tells the reactor when unsaved work appears and when it is gone.

use std::time::Duration;

use firefly_domain::control::{ReportBody, Unsaved};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::child::Jobs;
use crate::reports::Reports;
use crate::tool::protocol::chain;

/// How long nothing must change before the work is counted; a burst of saves costs one look. Short, since a deletion is
/// refused at once only for work that was counted.
const QUIET: Duration = Duration::from_millis(500);

/// Even where something changes all the time, a look is due after this.
const PATIENCE: Duration = Duration::from_secs(20);

/// Reports the unsaved work once, and then whenever it went from none to some or back, until `touched` closes.
pub(crate) async fn follow(jobs: &Jobs, reports: &Reports, mut touched: watch::Receiver<()>) {
    let mut known = None;
    loop {
        match jobs.inspect().await {
            Ok(unsaved) => {
                if known.is_none_or(|known| flipped(known, unsaved)) {
                    reports.push(ReportBody::UnsavedWork(unsaved));
                    known = Some(unsaved);
                }
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "the unsaved work cannot be counted");
            }
        }
        if touched.changed().await.is_err() || !settle(&mut touched).await {
            return;
        }
    }
}

/// Waits until nothing has changed for a while; `false` when nothing ever will again.
async fn settle(touched: &mut watch::Receiver<()>) -> bool {
    let patience = Instant::now() + PATIENCE;
    loop {
        let quiet = (Instant::now() + QUIET).min(patience);
        match timeout_at(quiet, touched.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return false,
            Err(_) => return true,
        }
    }
}

/// Whether files or commits went from none to some, or back.
const fn flipped(before: Unsaved, now: Unsaved) -> bool {
    (before.files > 0) != (now.files > 0) || (before.commits > 0) != (now.commits > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_flip_is_news() {
        let unsaved = |files, commits| Unsaved { files, commits };
        assert!(flipped(unsaved(0, 0), unsaved(1, 0)));
        assert!(flipped(unsaved(1, 0), unsaved(0, 1)));
        assert!(flipped(unsaved(1, 1), unsaved(0, 1)));
        assert!(!flipped(unsaved(1, 0), unsaved(7, 0)));
        assert!(!flipped(unsaved(2, 3), unsaved(3, 2)));
    }
}
