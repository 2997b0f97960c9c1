//! `firefly projections`: how far the read models are, and what is done about them.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::{Api, text};
use crate::args::projections::{Command, Projections, Rebuild};
use crate::output;

/// How often a rebuild is asked how far it is.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

pub async fn run(args: Projections) -> anyhow::Result<ExitCode> {
    let mut api = Api::connect(args.client()).await?;
    let json = args.client().json;
    let (name, verb, body) = match args.command {
        None => return list(&mut api, json).await,
        Some(Command::Rebuild(rebuild)) => return rebuild_each(&mut api, json, rebuild).await,
        Some(Command::Cancel(named)) => (named.name, "cancel", json!({})),
        Some(Command::Retry(named)) => (named.name, "retry", json!({})),
        Some(Command::Skip(skip)) => {
            let body = json!({"event": skip.event, "reason": skip.reason});
            (skip.name, "skip", body)
        }
    };
    let answer = api
        .post(&format!("projections/{name}/{verb}"), body)
        .await?;
    if json {
        output::json(&answer)?;
    } else {
        output::line(match (verb, answer["done"] == true) {
            ("cancel", true) => "cancelled",
            ("cancel", false) => "there was no rebuild",
            ("retry", true) => "it tries again",
            ("retry", false) => "it had not stopped",
            _ => "the event is passed over from now on",
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(api: &mut Api, json: bool) -> anyhow::Result<ExitCode> {
    let answer = api.get("projections").await?;
    let head = answer["head"].as_u64().unwrap_or_default();
    let mut stopped = false;
    for build in builds(&answer)? {
        if json {
            output::json(build)?;
            continue;
        }
        let position = build["position"].as_u64().unwrap_or_default();
        let behind = match head.saturating_sub(position) {
            0 => "up to date".to_owned(),
            _ => format!("at {position} of {head}"),
        };
        let (name, status) = (text(build, "name"), text(build, "status"));
        output::line(&format!(
            "{name:<11} v{:<2} {status:<9} {behind}",
            build["version"]
        ))?;
        if let Some(failure) = build["failure"].as_str() {
            stopped |= status != "verified";
            output::line(&format!("            {failure}"))?;
        }
        if let Some(event) = build["failed_event"].as_str() {
            output::line(&format!(
                "            event {event}: firefly projections retry {name}, or skip {name} --event {event} --reason …"
            ))?;
        }
    }
    Ok(if stopped {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn builds(answer: &Value) -> anyhow::Result<&Vec<Value>> {
    let builds = answer["projections"].as_array();
    builds.context("the answer has no projections")
}

async fn rebuild_each(api: &mut Api, json: bool, rebuild: Rebuild) -> anyhow::Result<ExitCode> {
    let mut names = rebuild.names;
    if rebuild.all {
        let answer = api.get("projections").await?;
        let live = builds(&answer)?
            .iter()
            .filter(|build| build["status"] == "live");
        names = live.map(|build| text(build, "name").to_owned()).collect();
    }
    let mut all_well = true;
    for name in names {
        let path = format!("projections/{name}/rebuild");
        let asked = api.post(&path, json!({"verify": rebuild.verify})).await?;
        let build = asked["build"].as_u64().context("the answer has no build")?;
        let differs = follow(api, json, &name, build).await?;
        all_well &= differs.is_none();
        let said = match (&differs, rebuild.verify) {
            (Some(differs), _) => differs.as_str(),
            (None, true) => "the same as what is there",
            (None, false) => "rebuilt",
        };
        if json {
            output::json(
                &json!({"type": "done", "projection": name, "build": build, "failure": differs}),
            )?;
        } else {
            output::line(&format!("{name}: {said}"))?;
        }
    }
    Ok(if all_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Shows how far a rebuild is until it is done; how it differs, if it was to be compared and does.
async fn follow(
    api: &mut Api,
    json: bool,
    name: &str,
    number: u64,
) -> anyhow::Result<Option<String>> {
    let bar = bar(json, name);
    let begun = Instant::now();
    loop {
        let answer = api.get("projections").await?;
        let found = builds(&answer)?
            .iter()
            .find(|build| build["name"] == name && build["build"] == number);
        let Some(build) = found else {
            bail!("the rebuild of {name} was cancelled");
        };
        match text(build, "status") {
            "live" => return Ok(None),
            "verified" => return Ok(build["failure"].as_str().map(str::to_owned)),
            _ => {}
        }
        if let Some(failure) = build["failure"].as_str() {
            bail!("the rebuild of {name} stopped: {failure}");
        }
        let position = build["position"].as_u64().unwrap_or_default();
        bar.set_length(answer["head"].as_u64().unwrap_or_default());
        bar.set_position(position);
        if json {
            output::json(&json!({
                "type": "progress",
                "projection": name,
                "position": position,
                "head": answer["head"],
                "events": build["events"],
                "seconds": begun.elapsed().as_secs(),
            }))?;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Clears itself when it is dropped.
fn bar(json: bool, name: &str) -> ProgressBar {
    let target = if json {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    };
    let bar = ProgressBar::with_draw_target(Some(0), target)
        .with_finish(indicatif::ProgressFinish::AndClear);
    let template = "  {prefix:<11} {bar:30} {pos}/{len}  {per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_prefix(name.to_owned());
    bar
}
