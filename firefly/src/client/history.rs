//! What happened, in lines for people or programs.

mod diff;
mod export;

use std::process::ExitCode;

use anyhow::Context;
use serde_json::Value;

use super::api::Api;
use super::{below, resolve, text};
use crate::args::history::{Command, History, Show};
use crate::output::{self, OutputLost};

/// Events asked for at a time.
const PAGE_EVENTS: u64 = 1_000;

/// Where a summary begins; its further lines stand below.
const SUMMARY_COLUMN: usize = 53;

pub async fn run(args: History) -> anyhow::Result<ExitCode> {
    match args.command {
        None => show(args.show).await,
        Some(Command::Diff(diff)) => diff::run(diff).await,
        Some(Command::Export(export)) => export::run(export).await,
    }
}

/// Shows events, page by page.
async fn show(args: Show) -> anyhow::Result<ExitCode> {
    let mut api = Api::connect(&args.client).await?;
    let project = match &args.project {
        Some(named) => Some(resolve(&mut api, named).await?),
        None => None,
    };
    let is_of_one = project.is_some() || args.session.is_some();
    let (order, go_on) = if args.newest {
        ("newest", "before")
    } else {
        ("oldest", "after")
    };
    let mut left = args.limit.unwrap_or(u64::MAX);
    let mut reached: Option<String> = None;
    let mut is_empty = true;
    while left > 0 {
        let limit = left.min(PAGE_EVENTS).to_string();
        let query = [
            ("project", project.as_deref()),
            ("user", args.user.as_deref()),
            ("session", args.session.as_deref()),
            ("correlation", args.correlation.as_deref()),
            ("actor", args.actor.as_deref()),
            ("type", args.types.as_deref()),
            ("from", args.from.as_deref()),
            ("to", args.to.as_deref()),
            ("order", Some(order)),
            ("limit", Some(&limit)),
            (go_on, reached.as_deref()),
        ];
        let page = api.get_with("history", &query).await?;
        let events = page["events"].as_array();
        for event in events.context("the answer has no events")? {
            left = left.saturating_sub(1);
            is_empty = false;
            if args.client.json {
                output::json(event)?;
            } else {
                line(event, is_of_one)?;
            }
        }
        match page["next"].as_u64() {
            Some(next) => reached = Some(next.to_string()),
            None => break,
        }
    }
    if is_empty && !args.client.json {
        output::line("nothing of the kind happened")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// An event for people; where several projects are shown, with the one it is about, unless it speaks of that by name.
fn line(event: &Value, is_of_one: bool) -> Result<(), OutputLost> {
    let position = event["position"].as_u64().unwrap_or_default();
    let summary = text(event, "summary");
    let project = text(event, "project");
    let is_named = project
        .split_once('/')
        .is_none_or(|(_, names)| summary.contains(names));
    let summary = if is_of_one || is_named {
        summary.to_owned()
    } else {
        format!("{project}: {summary}")
    };
    output::line(&format!(
        "{position:>6}  {}  {:<22} {}",
        time(text(event, "recorded_at")),
        text(event, "type"),
        below(&summary, SUMMARY_COLUMN)
    ))
}

/// A time of the server's, in UTC to the second.
fn time(recorded_at: &str) -> String {
    let seconds = recorded_at.get(..19).unwrap_or_default();
    seconds.replace('T', " ")
}
