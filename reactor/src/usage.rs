//! What the reactor neither finds in the log nor sees at the engine.

use chrono::{DateTime, Utc};
use firefly_domain::ProjectKey;

/// Tells how projects and the host are used. It is asked at every look, so it answers from memory.
pub trait Usage: Send + Sync + 'static {
    /// When somebody last used a project, as far as is known.
    fn last_use(&self, project: &ProjectKey) -> Option<DateTime<Utc>>;

    /// Whether the host is so short of memory that projects in light sleep should give theirs back.
    fn is_memory_wanted(&self) -> bool;
}

