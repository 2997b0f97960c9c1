//! Open files: every connection is one, at either end.

use anyhow::ensure;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises what this process, and what it starts, may have open as far as it may be raised by itself.
pub fn raise(needed: u64) -> anyhow::Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let enough = maximum.is_none_or(|maximum| maximum >= needed);
    ensure!(
        enough,
        "{needed} open files are needed, and only {} are allowed; raise the hard limit: ulimit -Hn {needed}",
        maximum.unwrap_or_default()
    );
    if current.is_some_and(|current| current < needed) {
        let current = Some(needed);
        setrlimit(Resource::Nofile, Rlimit { current, maximum })?;
    }
    Ok(())
}
