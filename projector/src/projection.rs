//! The shape of a projection.

use firefly_event_store::{DomainEvent, RecordedEvent};
use firefly_read_models::Row;
use firefly_read_models::builds::Projected;

/// Turns events into rows. Pure: whoever runs it brings the rows and keeps them.
pub(crate) trait Projection: Send + Sync + 'static {
    /// What a row is.
    type Row: Row;

    /// The name its builds are kept under. It never changes.
    const NAME: &'static str;

    /// Counts up with every change that gives other rows; a new version is projected from the beginning.
    const VERSION: u32;

    /// The category of the streams whose events it needs; all others are passed over unread.
    const CATEGORY: &'static str;

    /// The key of the row that an event changes, if it changes any.
    fn key(event: &DomainEvent, recorded: &RecordedEvent) -> Option<String>;

    /// The row after an event, if there is one then.
    fn apply(
        row: Option<Self::Row>,
        event: &DomainEvent,
        recorded: &RecordedEvent,
    ) -> Option<Self::Row>;

    /// What its builds are of.
    fn projected() -> Projected {
        Projected {
            projection: Self::NAME,
            version: Self::VERSION,
            table: Self::Row::TABLE,
        }
    }
}

/// A position, a revision or a count as tables keep it; what is beyond them is as much as they can say.
pub(crate) const fn sql(number: u64) -> i64 {
    if number > i64::MAX.unsigned_abs() {
        i64::MAX
    } else {
        number.cast_signed()
    }
}
