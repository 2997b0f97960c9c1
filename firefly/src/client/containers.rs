//! `firefly containers`: what runs, and with `--all` what ran.

use std::process::ExitCode;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::api::Api;
use super::text;
use crate::args::Containers;
use crate::output;

/// The states of containers that are there.
const PRESENT: &str = "running,exited";

/// Rows asked for at a time.
const PAGE_ROWS: &str = "1000";

pub async fn run(args: Containers) -> anyhow::Result<ExitCode> {
    let mut api = Api::connect(&args.client).await?;
    let mut cursor: Option<String> = None;
    let mut is_empty = true;
    loop {
        let query = [
            ("state", (!args.all).then_some(PRESENT)),
            ("user", args.user.as_ref().map(|user| user.as_str())),
            ("limit", Some(PAGE_ROWS)),
            ("cursor", cursor.as_deref()),
        ];
        let page = api.get_with("containers", &query).await?;
        let containers = page["containers"].as_array();
        for container in containers.context("the answer has no containers")? {
            is_empty = false;
            if args.client.json {
                output::json(container)?;
            } else {
                output::line(&line(container, Utc::now()))?;
            }
        }
        match page["next"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    if is_empty && !args.client.json {
        output::line(if args.all {
            "there were no containers"
        } else {
            "no containers; --all shows those that were removed"
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A container in a line: state, project, opening, age, image, and where it answers or how it ended.
fn line(container: &Value, now: DateTime<Utc>) -> String {
    let generation = format!("#{}", container["generation"]);
    let from_pool = match container["from_pool"].as_bool() {
        Some(true) => ", from the pool",
        _ => "",
    };
    let line = format!(
        "{:<8} {:<40} {generation:<4} {:>7}  {}{from_pool}  {}",
        text(container, "state"),
        text(container, "key"),
        lasted(container, now),
        text(container, "image"),
        remark(container),
    );
    line.trim_end().to_owned()
}

fn remark(container: &Value) -> String {
    match (
        container["endpoint"].as_str(),
        container["oom"].as_bool(),
        container["exit_code"].as_i64(),
    ) {
        (Some(endpoint), _, _) => endpoint.to_owned(),
        (None, Some(true), _) => "ran out of memory".to_owned(),
        (None, _, Some(code)) => format!("exit code {code}"),
        (None, _, None) => String::new(),
    }
}

/// How long it has run, or ran.
fn lasted(container: &Value, now: DateTime<Utc>) -> String {
    let time = |name: &str| text(container, name).parse::<DateTime<Utc>>().ok();
    let Some(started) = time("started_at") else {
        return String::new();
    };
    shown(time("ended_at").unwrap_or(now) - started)
}

/// The largest unit that there are two of, or one of seconds.
fn shown(time: TimeDelta) -> String {
    let seconds = time.num_seconds().max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(more: Value) -> String {
        let mut container = json!({
            "state": "running", "key": "alice/montage/app", "generation": 2, "image": "i (1)",
            "from_pool": false, "oom": false, "started_at": "2026-01-02T03:04:05Z",
        });
        for (name, value) in more.as_object().unwrap() {
            container[name] = value.clone();
        }
        line(&container, "2026-01-02T03:09:05Z".parse().unwrap())
    }

    #[test]
    fn a_container_is_a_line() {
        assert_eq!(
            said(json!({"endpoint": "10.0.0.2:2441", "from_pool": true})),
            "running  alice/montage/app                        #2     5 min  i (1), from the pool  10.0.0.2:2441"
        );
        let ended =
            json!({"state": "exited", "exit_code": 137, "ended_at": "2026-01-02T03:04:15Z"});
        assert_eq!(
            said(ended),
            "exited   alice/montage/app                        #2      10 s  i (1)  exit code 137"
        );
        assert!(said(json!({"oom": true, "exit_code": 137})).ends_with("ran out of memory"));
    }

    #[test]
    fn times_have_the_unit_that_suits_them() {
        for (seconds, text) in [
            (-1, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7_200, "2 h"),
            (172_800, "2 days"),
        ] {
            assert_eq!(shown(TimeDelta::seconds(seconds)), text);
        }
    }
}
