//! A log into another engine.

use std::process::ExitCode;

use firefly_event_store::transfer::copy::copy;
use serde_json::json;

use super::progress::Shown;
use crate::args::log::Copy;
use crate::client::count;
use crate::output;

pub async fn run(args: Copy) -> anyhow::Result<ExitCode> {
    let source = super::open(&args.from).await?;
    let target = super::open_or_make(&args.to).await?;
    let mut progress = Shown::new(args.json, source.head().borrow().number());
    let copied = copy(&*source, &*target, &mut |now| progress.show(now)).await?;
    drop(progress);
    if args.json {
        output::json(&json!({
            "type": "copied",
            "present": copied.present,
            "written": copied.written,
            "position": copied.position,
        }))?;
    } else {
        output::line(&format!(
            "copied {}; {} more were there already; both logs are the same up to position {}",
            count(copied.written, "event"),
            copied.present,
            copied.position
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
