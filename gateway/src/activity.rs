//! When people last used each project: what keeps it from falling asleep.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use firefly_domain::ProjectKey;

/// Projects that are remembered. Beyond it the older half is forgotten, and counts as not used since then.
const PROJECTS_MAX: usize = 16_384;

/// When each project was last used, as far as it went through this gateway. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Activity(Arc<Mutex<HashMap<ProjectKey, SystemTime>>>);

impl Activity {
    /// When somebody last used a project.
    pub fn last_use(&self, project: &ProjectKey) -> Option<SystemTime> {
        self.lock().get(project).copied()
    }

    /// Somebody uses a project now.
    pub(crate) fn note(&self, project: &ProjectKey) {
        let now = SystemTime::now();
        let mut uses = self.lock();
        if let Some(last) = uses.get_mut(project) {
            *last = now;
            return;
        }
        if uses.len() >= PROJECTS_MAX {
            forget_the_older_half(&mut uses);
        }
        uses.insert(project.clone(), now);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ProjectKey, SystemTime>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget_the_older_half(uses: &mut HashMap<ProjectKey, SystemTime>) {
    let mut times: Vec<SystemTime> = uses.values().copied().collect();
    let middle = times.len() / 2;
    let (_, median, _) = times.select_nth_unstable(middle);
    let median = *median;
    uses.retain(|_, last| *last > median);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(number: usize) -> ProjectKey {
        ProjectKey::new("alice", "montage", &format!("app{number}")).unwrap()
    }

    #[test]
    fn the_last_use_counts() {
        let activity = Activity::default();
        assert_eq!(activity.last_use(&project(1)), None);
        activity.note(&project(1));
        let first = activity.last_use(&project(1)).unwrap();
        activity.note(&project(1));
        assert!(activity.last_use(&project(1)).unwrap() >= first);
        assert_eq!(activity.last_use(&project(2)), None);
    }

    #[test]
    fn only_so_many_are_remembered_and_the_latest_is_among_them() {
        let activity = Activity::default();
        for number in 0..=PROJECTS_MAX {
            activity.note(&project(number));
        }
        assert!(activity.lock().len() <= PROJECTS_MAX);
        assert!(activity.last_use(&project(PROJECTS_MAX)).is_some());
    }
}
