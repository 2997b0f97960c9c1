//! Waiting for something to become so.

use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// Nothing in these tests takes nearly as long on a machine that works; a slow one gets its time.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How long a condition rests between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(25);

/// Looks again and again until there is something, and answers that.
///
/// # Panics
///
/// There was nothing within [`PATIENCE`]; the message says what was awaited.
pub async fn wait_for<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    wait_within(PATIENCE, what, look).await
}

/// The same with a patience of its own.
///
/// # Panics
///
/// There was nothing in time.
pub async fn wait_within<T>(
    patience: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "waited {} s in vain for {what}",
            patience.as_secs()
        );
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Waits until a child process has ended, and a little longer, so that what it said last was read.
pub(crate) async fn until_ended(child: &mut Child) -> ExitStatus {
    loop {
        let ended = child.try_wait().expect("a child can be waited for");
        tokio::time::sleep(LOOK_INTERVAL).await;
        if let Some(status) = ended {
            return status;
        }
    }
}

/// Looks again and again from a thread that may block; `false` when it did not become so in time.
#[expect(
    clippy::disallowed_methods,
    reason = "what is dropped cannot await, and this looks at a condition between its sleeps"
)]
pub fn wait_blocking(patience: Duration, mut look: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    while !look() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    true
}
