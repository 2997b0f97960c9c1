//! Whether a log is whole.

use std::process::ExitCode;

use firefly_event_store::transfer::about::Engine;
use firefly_event_store::transfer::verify::{Fault, FaultKind, Verified, verify};
use firefly_event_store::{Error, sqlite};
use serde_json::json;

use super::progress::Shown;
use crate::args::log::EventLog;
use crate::client::count;
use crate::output::{self, OutputLost};

pub async fn run(args: EventLog) -> anyhow::Result<ExitCode> {
    let url = super::url(&args)?;
    let engine = Engine::of(&url);
    let store = super::open_damaged(&url).await?;
    let mut progress = Shown::new(args.json, store.head().borrow().number());
    let bar = progress.bar();
    let mut lost = None;
    let mut on_fault = |fault: Fault| {
        if lost.is_none() {
            lost = bar.suspend(|| tell(&fault, args.json)).err();
        }
    };
    let structure = structure(&engine).await?;
    let is_damaged = structure.is_some();
    structure.into_iter().for_each(&mut on_fault);
    let mut verified = verify(&*store, engine.is_contiguous(), &mut on_fault, &mut |now| {
        progress.show(now)
    })
    .await?;
    verified.faults += u64::from(is_damaged);
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

/// What is wrong with the file, besides what is in it.
pub async fn structure(engine: &Engine) -> anyhow::Result<Option<Fault>> {
    let Engine::Sqlite(path) = engine else {
        return Ok(None);
    };
    match sqlite::examine(path).await {
        Ok(()) => Ok(None),
        Err(Error::Corrupt { detail, .. }) => Ok(Some(Fault {
            position: None,
            stream: None,
            revision: None,
            kind: FaultKind::Structure(detail),
        })),
        Err(error) => Err(error.into()),
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
