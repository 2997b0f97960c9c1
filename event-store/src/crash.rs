//! Places at which a test may end the process, to see what a crash right there leaves behind.
//!
//! They are in debug builds only. `FIREFLY_CRASH_AT` names the place and `FIREFLY_CRASH_AFTER` how often it is passed before.

#[cfg(debug_assertions)]
pub(crate) fn point(name: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicI64, Ordering};

    static CHOSEN: LazyLock<Option<(String, AtomicI64)>> = LazyLock::new(|| {
        let name = std::env::var("FIREFLY_CRASH_AT").ok()?;
        let after = std::env::var("FIREFLY_CRASH_AFTER").ok()?.parse().ok()?;
        Some((name, AtomicI64::new(after)))
    });
    if let Some((chosen, left)) = &*CHOSEN
        && chosen == name
        && left.fetch_sub(1, Ordering::Relaxed) <= 0
    {
        std::process::abort();
    }
}

#[cfg(not(debug_assertions))]
pub(crate) const fn point(_name: &str) {}
