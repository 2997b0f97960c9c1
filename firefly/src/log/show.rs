//! An event in one line.

use chrono::SecondsFormat;
use firefly_event_store::RecordedEvent;
use firefly_event_store::transfer::lines::{Format, encode};
use uuid::Uuid;

use crate::output::{self, OutputLost};

/// Shows an event as the export has it, or for people.
pub fn event(event: &RecordedEvent, log: &Uuid, json: bool) -> Result<(), OutputLost> {
    if json {
        let mut line = Vec::new();
        encode(event, log, Format::Ndjson, &mut line);
        return output::raw(&line);
    }
    output::line(&for_people(event))
}

fn for_people(event: &RecordedEvent) -> String {
    let data = event.data.get().replace(['\n', '\r', '\t'], " ");
    format!(
        "{:>8}  {}  {}@{}  {} v{}  by {}  {data}",
        event.position.number(),
        event
            .recorded_at
            .to_rfc3339_opts(SecondsFormat::Millis, true),
        event.stream,
        event.revision,
        event.event_type,
        event.schema_version,
        event.metadata.actor,
    )
}
