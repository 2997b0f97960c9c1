//! An export into a log.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use firefly_event_store::transfer::import::import;
use serde_json::json;
use tokio::fs::File;
use tokio::io::{AsyncBufRead, BufReader, stdin};

use super::progress::Shown;
use crate::args::log::Import;
use crate::client::count;
use crate::output;

/// Bytes that are read at a time.
const BUFFER_BYTES: usize = 256 * 1024;

pub async fn run(args: Import) -> anyhow::Result<ExitCode> {
    let mut input: Box<dyn AsyncBufRead + Unpin + Send> = if args.file == Path::new("-") {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, stdin()))
    } else {
        let file = File::open(&args.file)
            .await
            .with_context(|| format!("cannot open {}", args.file.display()))?;
        Box::new(BufReader::with_capacity(BUFFER_BYTES, file))
    };
    // Into a log that is not there yet, too.
    let store = super::open_or_make(&super::url(&args.log)?).await?;
    let mut progress = Shown::new(args.log.json, 0);
    let imported = import(&*store, &mut input, &mut |now| progress.show(now)).await?;
    drop(progress);
    let (appended, present) = (imported.appended, imported.present);
    if args.log.json {
        output::json(&json!({"type": "imported", "appended": appended, "present": present}))?;
    } else {
        output::line(&format!(
            "imported {}; {present} more were there already",
            count(appended, "event")
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
