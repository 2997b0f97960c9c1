//! The shape of a projection.

use async_trait::async_trait;
use firefly_event_store::{DomainEvent, RecordedEvent};
use sqlx::SqliteConnection;

/// Turns events into rows.
#[async_trait]
pub(crate) trait Projection: Send + Sync + 'static {
    /// The name its checkpoint is kept under. It never changes.
    fn name(&self) -> &'static str;

    /// Counts up with every change that gives other rows; a new version is projected from the beginning.
    fn version(&self) -> u32;

    /// The categories of streams whose events it needs; all others are passed over.
    fn categories(&self) -> &'static [&'static str];

    /// Removes all of its rows.
    async fn reset(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error>;

    /// Takes an event in. Events that it has no use for change nothing.
    async fn apply(
        &self,
        connection: &mut SqliteConnection,
        event: &DomainEvent,
        recorded: &RecordedEvent,
    ) -> Result<(), sqlx::Error>;
}

/// A position or a revision as SQL keeps it.
pub(crate) const fn sql(number: u64) -> i64 {
    number.cast_signed()
}
