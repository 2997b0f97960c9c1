//! Something that happens once, and wakes whoever waits for it in the order in which they came. (`tokio::sync::watch` wakes
//! in an order of its own, which no seed decides.)

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Cheap to clone; clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Latch(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    is_set: AtomicBool,
    set: Notify,
}

impl Latch {
    pub fn set(&self) {
        self.0.is_set.store(true, Ordering::SeqCst);
        self.0.set.notify_waiters();
    }

    /// Returns once it is set.
    pub async fn wait(&self) {
        let set = self.0.set.notified();
        if !self.0.is_set.load(Ordering::SeqCst) {
            set.await;
        }
    }
}
