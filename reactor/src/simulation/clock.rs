//! Virtual time as a wall clock.

use std::cell::Cell;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::runtime::Runtime;
use tokio::time::Instant;

thread_local! {
    static BEGUN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Begins the time of a run, on the thread that plays it.
pub fn begin(runtime: &Runtime) {
    let _inside = runtime.enter();
    BEGUN.set(Some(Instant::now()));
}

/// The time, counted from the epoch.
pub fn now() -> DateTime<Utc> {
    let begun = BEGUN.get().expect("a run has begun on this thread");
    let passed = Instant::now().duration_since(begun);
    DateTime::UNIX_EPOCH + TimeDelta::from_std(passed).unwrap()
}
