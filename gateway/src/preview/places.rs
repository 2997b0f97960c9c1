//! How much may be under way at once: over all containers, and with one of them, so that a container that does not
//! answer takes nothing from the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use firefly_domain::Endpoint;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places to take, each until it is dropped.
pub(super) struct Places {
    all: Arc<Semaphore>,
    per_container: usize,
    containers: Mutex<HashMap<Endpoint, Arc<Semaphore>>>,
}

/// One place, taken.
pub(super) struct Place {
    _of_container: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Places {
    /// As many places as `all` says, and no more than `per_container` of them for one container.
    pub(super) fn new(all: usize, per_container: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            per_container,
            containers: Mutex::default(),
        }
    }

    /// Takes a place, if there is one.
    pub(super) fn try_take(&self, endpoint: &Endpoint) -> Option<Place> {
        Some(Place {
            _of_container: self.of(endpoint).try_acquire_owned().ok()?,
            _of_all: Arc::clone(&self.all).try_acquire_owned().ok()?,
        })
    }

    /// Waits for a place. Who waits for a busy container holds nothing that another one could use.
    pub(super) async fn take(&self, endpoint: &Endpoint) -> Place {
        const NEVER_CLOSED: &str = "the semaphores are never closed";
        let of_container = self.of(endpoint).acquire_owned().await;
        let of_all = Arc::clone(&self.all).acquire_owned().await;
        Place {
            _of_container: of_container.expect(NEVER_CLOSED),
            _of_all: of_all.expect(NEVER_CLOSED),
        }
    }

    /// The places of one container; those of containers that nobody asks are forgotten.
    fn of(&self, endpoint: &Endpoint) -> Arc<Semaphore> {
        let mut containers = self
            .containers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = containers.get(endpoint) {
            return Arc::clone(places);
        }
        // Whoever has a place, or waits for one, holds the semaphore as well.
        containers.retain(|_, places| Arc::strong_count(places) > 1);
        let places = Arc::new(Semaphore::new(self.per_container));
        containers.insert(endpoint.clone(), Arc::clone(&places));
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_takes_its_own_places_and_no_others() {
        let places = Places::new(3, 2);
        let (one, other) = (Endpoint::new("one:1"), Endpoint::new("other:1"));
        let held = [places.try_take(&one), places.try_take(&one)];
        assert!(held.iter().all(Option::is_some));
        assert!(places.try_take(&one).is_none());
        let last = places.try_take(&other);
        assert!(last.is_some());
        assert!(places.try_take(&other).is_none(), "there are three in all");
        drop(held);
        assert!(places.try_take(&one).is_some());
    }

    #[test]
    fn containers_without_a_place_are_forgotten() {
        let places = Places::new(3, 2);
        let held = places.try_take(&Endpoint::new("held:1"));
        for number in 0..100 {
            places.try_take(&Endpoint::new(format!("passing:{number}")));
        }
        assert!(held.is_some());
        assert_eq!(places.containers.lock().unwrap().len(), 2);
    }
}
