//! One fetch for all who want the same thing at the same time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

type Map<V> = Arc<Mutex<HashMap<String, V>>>;

/// What is being fetched, and how to take part in it.
pub(super) struct Flights<V>(Map<V>);

/// Held by the task that fetches; when it is dropped, the next one who asks begins anew.
pub(super) struct Landing<V> {
    flights: Map<V>,
    key: String,
}

impl<V> Default for Flights<V> {
    fn default() -> Self {
        Self(Map::default())
    }
}

impl<V: Clone> Flights<V> {
    /// Takes part in what is under way for a key, or begins it. `begin` starts a task that holds the landing, and waits for
    /// nothing itself.
    pub(super) fn join(&self, key: &str, begin: impl FnOnce(Landing<V>) -> V) -> V {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(key) {
            return flight.clone();
        }
        let flight = begin(Landing {
            flights: Arc::clone(&self.0),
            key: key.to_owned(),
        });
        flights.insert(key.to_owned(), flight.clone());
        flight
    }
}

impl<V> Drop for Landing<V> {
    fn drop(&mut self) {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        flights.remove(&self.key);
    }
}
