//! What counts as use of a project, and what use does: it keeps the project awake, and wakes it.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use firefly_domain::ProjectKey;
use tokio::time::{Instant, sleep};

use super::{Preview, ProjectLookup};
use crate::activity::Activity;

/// How soon it is noticed that a project fell asleep over a request: it may have been on its way to sleep when the request
/// came.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Uses that follow each other more closely count as one.
const NOTE_INTERVAL: Duration = Duration::from_millis(100);

/// One project, for as long as something of it is used. Cheap to clone.
#[derive(Clone)]
pub(super) struct Uses {
    project: ProjectKey,
    activity: Activity,
    projects: Arc<dyn ProjectLookup>,
    waking: Arc<AtomicBool>,
    noted: Arc<Mutex<Option<Instant>>>,
}

impl Uses {
    pub(super) fn of(
        project: &ProjectKey,
        activity: &Activity,
        projects: &Arc<dyn ProjectLookup>,
    ) -> Self {
        Self {
            project: project.clone(),
            activity: activity.clone(),
            projects: Arc::clone(projects),
            waking: Arc::default(),
            noted: Arc::default(),
        }
    }

    /// Somebody uses the project. One that sleeps is woken.
    pub(super) fn note(&self) {
        if self.was_noted_just_now() {
            return;
        }
        self.activity.note(&self.project);
        if matches!(self.projects.find(&self.project), Preview::Asleep)
            && !self.waking.swap(true, Ordering::AcqRel)
        {
            let woken = self.projects.wake(&self.project);
            let waking = Arc::clone(&self.waking);
            tokio::spawn(async move {
                woken.await;
                waking.store(false, Ordering::Release);
            });
        }
    }

    fn was_noted_just_now(&self) -> bool {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let just_now = noted.is_some_and(|at| now - at < NOTE_INTERVAL);
        if !just_now {
            *noted = Some(now);
        }
        just_now
    }

    /// Wakes the project whenever it falls asleep, for as long as this is polled.
    pub(super) async fn keep_awake(&self) -> Infallible {
        loop {
            sleep(LOOK_INTERVAL).await;
            if matches!(self.projects.find(&self.project), Preview::Asleep) {
                self.projects.wake(&self.project).await;
            }
        }
    }
}
