//! The numbered outcomes of this process's life, and the live stream of them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use firefly_domain::Generation;
use firefly_domain::control::{Progress, Report, ReportBody};
use tokio::sync::broadcast;

/// A reader that falls behind by more reads the kept reports again, and misses progress only.
const LIVE_CAPACITY: usize = 256;

/// Collects reports; readers may come late, go and come again.
#[derive(Debug)]
pub(crate) struct Reports {
    kept: Mutex<Kept>,
    live: broadcast::Sender<Report>,
}

#[derive(Debug)]
struct Kept {
    /// One for each step, and the latest amount of unsaved work.
    reports: Vec<Report>,
    sequence: u64,
    generation: Generation,
}

impl Reports {
    pub(crate) fn new() -> Self {
        Self {
            kept: Mutex::new(Kept {
                reports: Vec::new(),
                sequence: 0,
                generation: Generation::NONE,
            }),
            live: broadcast::Sender::new(LIVE_CAPACITY),
        }
    }

    /// Says which opening all reports belong to.
    pub(crate) fn begin(&self, generation: Generation) {
        self.lock().generation = generation;
    }

    /// Keeps and sends an outcome. An amount of unsaved work takes the place of the one before it, so that a reader who
    /// starts over is not told of work that has long been saved.
    pub(crate) fn push(&self, body: ReportBody) {
        let mut kept = self.lock();
        if matches!(body, ReportBody::UnsavedWork(_)) {
            kept.reports
                .retain(|report| !matches!(report.body, ReportBody::UnsavedWork(_)));
        }
        kept.sequence += 1;
        let report = Report {
            sequence: kept.sequence,
            generation: kept.generation,
            body,
        };
        kept.reports.push(report.clone());
        // Sent under the lock, so that order and numbers agree; nobody listening is fine.
        let _ = self.live.send(report);
    }

    /// Sends progress to those who are there.
    pub(crate) fn progress(&self, progress: Progress) {
        let kept = self.lock();
        let _ = self.live.send(Report {
            sequence: kept.sequence,
            generation: kept.generation,
            body: ReportBody::Progress(progress),
        });
    }

    /// The kept reports above `after`, and a receiver that goes on exactly behind them.
    pub(crate) fn since(&self, after: u64) -> (Vec<Report>, broadcast::Receiver<Report>) {
        let kept = self.lock();
        let live = self.live.subscribe();
        let reports = kept.reports.iter();
        let reports = reports.filter(|report| report.sequence > after).cloned();
        (reports.collect(), live)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Every change is a single step that cannot panic half-way.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use firefly_domain::control::Unsaved;

    use super::*;

    #[test]
    fn only_the_latest_amount_of_unsaved_work_is_kept() {
        let reports = Reports::new();
        reports.push(ReportBody::Ready { duration_ms: 1 });
        for files in [1, 0, 2] {
            reports.push(ReportBody::UnsavedWork(Unsaved { files, commits: 0 }));
        }
        let kept: Vec<_> = reports
            .since(0)
            .0
            .into_iter()
            .map(|report| (report.sequence, report.body))
            .collect();
        let latest = ReportBody::UnsavedWork(Unsaved {
            files: 2,
            commits: 0,
        });
        assert_eq!(
            kept,
            [(1, ReportBody::Ready { duration_ms: 1 }), (4, latest)]
        );
    }

    #[test]
    fn a_late_reader_gets_each_outcome_once_and_no_old_progress() {
        let reports = Reports::new();
        reports.begin(Generation::new(3));
        reports.progress(Progress {
            step: firefly_domain::Step::Source,
            done: 1,
            total: None,
            text: String::new(),
        });
        reports.push(ReportBody::Ready { duration_ms: 1 });
        let (kept, mut live) = reports.since(0);
        assert_eq!(kept.len(), 1);
        assert!(live.try_recv().is_err());
        reports.push(ReportBody::UnsavedWork(Unsaved::NONE));
        let next = live.try_recv().unwrap();
        assert_eq!((next.sequence, next.generation.number()), (2, 3));
        assert_eq!(reports.since(1).0, [next]);
    }
}
