//! What a log is.

use std::process::ExitCode;

use chrono::{DateTime, SecondsFormat, Utc};
use firefly_event_store::transfer::about::{Engine, counts};
use firefly_event_store::{Position, RecordedEvent};
use serde_json::json;

use crate::args::log::EventLog;
use crate::output;

pub async fn run(args: EventLog) -> anyhow::Result<ExitCode> {
    let url = super::url(&args)?;
    let store = super::open(&url).await?;
    let engine = Engine::of(&url);
    let counts = counts(&url).await?;
    let head = *store.head().borrow();
    let first = time(&store.read_all(Position::START, 1).await?);
    let last = time(&store.read_all_back(None, 1).await?);
    if args.json {
        output::json(&json!({
            "engine": engine.name(),
            "id": store.id(),
            "head": head,
            "events": counts.events,
            "streams": counts.streams,
            "bytes": counts.bytes,
            "first_recorded_at": first,
            "last_recorded_at": last,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let number = |count: Option<u64>| count.map(|count| count.to_string());
    let lines = [
        ("engine", Some(engine.name().to_owned())),
        ("id", Some(store.id().to_string())),
        ("head", Some(head.to_string())),
        ("events", number(counts.events)),
        ("streams", number(counts.streams)),
        ("bytes", number(counts.bytes)),
        ("first", first.map(shown)),
        ("last", last.map(shown)),
    ];
    for (name, value) in lines {
        if let Some(value) = value {
            output::line(&format!("{name:<8} {value}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn time(events: &[RecordedEvent]) -> Option<DateTime<Utc>> {
    events.first().map(|event| event.recorded_at)
}

fn shown(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}
