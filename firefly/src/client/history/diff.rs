//! A project at two moments: what is different, and what happened in between.

use std::process::ExitCode;

use anyhow::Context;
use serde_json::Value;

use super::{line, time};
use crate::args::history::Diff;
use crate::client::api::Api;
use crate::client::{below, resolve, text};
use crate::output;

/// Where the value of a field begins; its further lines stand below.
const VALUE_COLUMN: usize = 18;

pub async fn run(args: Diff) -> anyhow::Result<ExitCode> {
    let mut api = Api::connect(&args.client).await?;
    let key = resolve(&mut api, &args.project).await?;
    let query = [
        ("from", Some(args.from.as_str())),
        ("to", args.to.as_deref()),
    ];
    let diff = api
        .get_with(&format!("projects/{key}/history/diff"), &query)
        .await?;
    if args.client.json {
        output::json(&diff)?;
        return Ok(ExitCode::SUCCESS);
    }
    let part = |name: &str| {
        let part = diff[name].as_array();
        part.with_context(|| format!("the answer has no {name}"))
    };
    output::line(&format!(
        "{key} from {} to {}",
        moment(&diff["from"]),
        moment(&diff["to"])
    ))?;
    let changes = part("changes")?;
    for change in changes {
        output::line(&changed(change))?;
    }
    if changes.is_empty() {
        output::line("  it is the same")?;
    }
    output::line("")?;
    let events = part("events")?;
    for event in events {
        line(event, true)?;
    }
    if events.is_empty() {
        output::line("nothing happened to it in between")?;
    }
    if diff["truncated"] == true {
        output::line("and more; firefly history shows all of it")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One of the two moments in words.
fn moment(end: &Value) -> String {
    let position = end["position"].as_u64().unwrap_or_default();
    match end["revision"].as_u64() {
        None => format!("position {position} (not opened yet)"),
        Some(revision) => {
            let since = time(text(end, "updated_at"));
            format!("position {position} (rev-{revision} of {since})")
        }
    }
}

fn changed(change: &Value) -> String {
    let field = text(change, "field").replace('_', " ");
    let to = value(&change["to"]);
    let values = match &change["from"] {
        Value::Null => to,
        from => format!("{} → {to}", value(from)),
    };
    format!("  {field:<15} {}", below(&values, VALUE_COLUMN))
}

/// A field's value without the marks of JSON.
fn value(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_reads_from_left_to_right() {
        let said = |from: Value, to: Value| {
            changed(&json!({"field": "closed_reason", "from": from, "to": to}))
        };
        assert_eq!(said(json!(null), json!("user")), "  closed reason   user");
        assert_eq!(
            said(json!("user"), json!(null)),
            "  closed reason   user → none"
        );
        assert_eq!(said(json!(1), json!(2)), "  closed reason   1 → 2");
    }

    #[test]
    fn a_moment_says_what_had_happened_by_then() {
        let end = json!({"position": 7, "revision": 3, "updated_at": "2026-11-24T10:00:01.5Z"});
        assert_eq!(moment(&end), "position 7 (rev-3 of 2026-11-24 10:00:01)");
        let end = json!({"position": 7, "revision": null, "updated_at": null});
        assert_eq!(moment(&end), "position 7 (not opened yet)");
    }
}
