//! Virtual time as a wall clock.

use std::cell::Cell;
use std::time::Duration;

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
    DateTime::UNIX_EPOCH + TimeDelta::from_std(uptime()).unwrap()
}

/// The time since the run began.
pub fn uptime() -> Duration {
    let begun = BEGUN.get().expect("a run has begun on this thread");
    Instant::now().duration_since(begun)
}
