//! A log as a file of lines.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use firefly_event_store::transfer::Error;
use firefly_event_store::transfer::export::export;
use firefly_event_store::transfer::file::NewFile;
use firefly_event_store::transfer::lines::Format;
use firefly_event_store::{EventStore, Position};
use serde_json::json;

use super::progress::Shown;
use crate::args::log::Export;
use crate::client::count;
use crate::output::{self, OutputLost};

/// Where the lines go if no file is named.
const STANDARD: &str = "-";

pub async fn run(args: Export) -> anyhow::Result<ExitCode> {
    let store = super::open(&super::url(&args.log)?).await?;
    if args.file == Path::new(STANDARD) {
        to_output(&args, &*store).await?;
    } else {
        super::unless_interrupted(to_file(&args, &*store)).await?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn to_output(args: &Export, store: &dyn EventStore) -> anyhow::Result<()> {
    let mut output = BufWriter::new(io::stdout());
    match write(args, store, &mut output, &mut |_| {}).await {
        Ok(_) => Ok(()),
        Err(Error::Write(error)) if error.kind() == ErrorKind::BrokenPipe => {
            // What is left has no reader either.
            let _ = output.into_parts();
            Err(OutputLost::from(error).into())
        }
        Err(error) => Err(error.into()),
    }
}

async fn to_file(args: &Export, store: &dyn EventStore) -> anyhow::Result<()> {
    let shown = args.file.display();
    let mut file =
        NewFile::create(&args.file).with_context(|| format!("cannot make the file {shown}"))?;
    let mut progress = Shown::new(args.log.json, store.head().borrow().number());
    let mut output = BufWriter::new(file.file());
    let events = write(args, store, &mut output, &mut |now| progress.show(now)).await?;
    drop(output);
    drop(progress);
    file.finish()
        .with_context(|| format!("cannot make the file {shown}"))?;
    if args.log.json {
        output::json(&json!({"type": "exported", "events": events, "file": args.file}))?;
    } else {
        output::line(&format!("exported {} to {shown}", count(events, "event")))?;
    }
    Ok(())
}

async fn write(
    args: &Export,
    store: &dyn EventStore,
    output: &mut (dyn Write + Send),
    observer: &mut firefly_event_store::transfer::Observer<'_>,
) -> Result<u64, Error> {
    let format = if args.cloudevents {
        Format::CloudEvents
    } else {
        Format::Ndjson
    };
    export(store, Position::new(args.after), format, output, observer).await
}
