//! Events as a file for other programs. They pass through as they come, so a long history needs no more memory than a
//! short one.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use firefly_event_store::Position;
use firefly_event_store::transfer::file::NewFile;
use firefly_event_store::transfer::{Phase, Progress};
use reqwest::Response;
use serde_json::json;

use crate::args::history::Export;
use crate::client::api::Api;
use crate::client::{count, resolve};
use crate::log::{Shown, unless_interrupted};
use crate::output::{self, OutputLost};

/// Where the events go if no file is named.
const STANDARD: &str = "-";

pub async fn run(args: Export) -> anyhow::Result<ExitCode> {
    let mut api = Api::connect(&args.client).await?;
    let project = match &args.project {
        Some(named) => Some(resolve(&mut api, named).await?),
        None => None,
    };
    let query = [
        ("format", Some(args.format.name())),
        ("project", project.as_deref()),
        ("user", args.user.as_deref()),
        ("session", args.session.as_deref()),
        ("from", args.from.as_deref()),
        ("to", args.to.as_deref()),
    ];
    let response = api.stream("events", &query).await?;
    if args.file == Path::new(STANDARD) {
        to_output(response).await?;
    } else {
        unless_interrupted(to_file(&args, response)).await?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn to_output(mut response: Response) -> anyhow::Result<()> {
    let mut output = io::stdout();
    while let Some(piece) = next(&mut response).await? {
        let written = output.write_all(&piece).and_then(|()| output.flush());
        written.map_err(OutputLost::from)?;
    }
    Ok(())
}

async fn to_file(args: &Export, mut response: Response) -> anyhow::Result<()> {
    let shown = args.file.display();
    let cannot = || format!("cannot make the file {shown}");
    let mut file = NewFile::create(&args.file).with_context(cannot)?;
    let mut progress = (!args.client.json).then(|| Shown::new(false, 0));
    let mut output = BufWriter::new(file.file());
    let mut lines = 0;
    while let Some(piece) = next(&mut response).await? {
        output.write_all(&piece).with_context(cannot)?;
        lines += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
        if let Some(progress) = &mut progress {
            progress.show(Progress {
                phase: Phase::Write,
                events: lines,
                position: Position::START,
            });
        }
    }
    output.flush().with_context(cannot)?;
    drop(output);
    drop(progress);
    match file.finish() {
        // It says so itself.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(error.into()),
        finished => finished.with_context(cannot)?,
    }
    let events = lines.saturating_sub(args.format.lines_around());
    if args.client.json {
        output::json(&json!({"type": "exported", "events": events, "file": args.file}))?;
    } else {
        output::line(&format!("exported {} to {shown}", count(events, "event")))?;
    }
    Ok(())
}

async fn next(response: &mut Response) -> anyhow::Result<Option<Vec<u8>>> {
    let piece = response.chunk().await;
    let piece = piece.context("the server broke off in the middle of the events; ask again")?;
    Ok(piece.map(|piece| piece.to_vec()))
}
