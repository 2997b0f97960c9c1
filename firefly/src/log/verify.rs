//! Whether a log is whole.

use std::process::ExitCode;

use firefly_event_store::transfer::about::Engine;
use firefly_event_store::transfer::verify::{Fault, Verified, verify};
use serde_json::json;

use super::progress::Shown;
use crate::args::log::EventLog;
use crate::client::count;
use crate::output::{self, OutputLost};

pub async fn run(args: EventLog) -> anyhow::Result<ExitCode> {
    let url = super::url(&args)?;
    let store = super::open(&url).await?;
    let mut progress = Shown::new(args.json, store.head().borrow().number());
    let bar = progress.bar();
    let mut lost = None;
    let verified = verify(
        &*store,
        Engine::of(&url).is_contiguous(),
        &mut |fault| {
            if lost.is_none() {
                lost = bar.suspend(|| tell(&fault, args.json)).err();
            }
        },
        &mut |now| progress.show(now),
    )
    .await?;
    drop(progress);
    // Nobody reads the faults any more, but the exit code still counts.
    if lost.is_none() {
        lost = sum_up(&verified, args.json).err();
    }
    match lost {
        Some(lost) if !lost.is_closed_pipe() => Err(lost.into()),
        _ if verified.faults > 0 => Ok(ExitCode::FAILURE),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn tell(fault: &Fault, json: bool) -> Result<(), OutputLost> {
    if json {
        return output::json(&json!({
            "type": "fault",
            "kind": fault.kind.name(),
            "position": fault.position,
            "stream": fault.stream.as_ref().map(ToString::to_string),
            "revision": fault.revision,
            "detail": fault.kind.to_string(),
        }));
    }
    output::line(&fault.to_string())
}

fn sum_up(verified: &Verified, json: bool) -> Result<(), OutputLost> {
    if json {
        return output::json(&json!({
            "type": "verified",
            "events": verified.events,
            "streams": verified.streams,
            "faults": verified.faults,
            "unknown": verified.unknown,
        }));
    }
    for (name, number) in &verified.unknown {
        let events = count(*number, "event");
        output::line(&format!("{events} of a type not known here: {name}"))?;
    }
    let result = match verified.faults {
        0 => "nothing is damaged or missing".to_owned(),
        faults => count(faults, "fault"),
    };
    output::line(&format!(
        "read {} in {}: {result}",
        count(verified.events, "event"),
        count(verified.streams, "stream")
    ))
}
