//! The figures: tables in Markdown for people, one JSON object a line for programs.

use anyhow::Context;
use serde_json::json;

use crate::open::{DOCKER_RUN, Outcome};
use crate::samples::{Samples, Table};

/// One number.
#[derive(Debug)]
pub struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
}

impl Figure {
    /// How many of something there were.
    pub fn count(name: &str, count: usize, unit: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            value: count as f64,
            unit,
        }
    }
}

/// All figures of a run.
pub fn figures(outcomes: &[Outcome], floor: &Table) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut add = |name: String, value: f64, unit| figures.push(Figure { name, value, unit });
    for row in floor.rows() {
        add(named(&["bare", row.name, "median"]), row.median(), "ms");
        add(named(&["bare", row.name, "p95"]), row.percentile(95), "ms");
    }
    for outcome in outcomes {
        let runtime = outcome.runtime.as_str();
        for row in outcome.openings.rows() {
            let name = |statistic| named(&["open", runtime, row.name, statistic]);
            add(name("median"), row.median(), "ms");
            add(name("p95"), row.percentile(95), "ms");
            if let Some(ratio) = ratio(row, floor) {
                add(name("ratio"), ratio, "docker runs");
            }
        }
        // The numbers of events differ between runs; names do not.
        for (length, commands) in ["short history", "long history"]
            .into_iter()
            .zip(&outcome.commands)
        {
            let events = named(&["command", runtime, length]);
            add(events, f64::from(commands.history), "events");
            for row in commands.table.rows() {
                let name = |statistic| named(&["command", runtime, length, row.name, statistic]);
                add(name("p50"), row.percentile(50), "ms");
                add(name("p99"), row.percentile(99), "ms");
            }
        }
        for (process, memory) in [
            ("backend", outcome.backend),
            ("project-server", outcome.project_server),
        ] {
            for (quantity, megabytes) in memory.quantities() {
                add(
                    named(&["memory", runtime, process, quantity]),
                    megabytes,
                    "MB",
                );
            }
        }
    }
    figures
}

pub fn print_json(figures: &[Figure]) {
    for Figure { name, value, unit } in figures {
        let value = (value * 1_000.0).round() / 1_000.0;
        println!("{}", json!({"name": name, "value": value, "unit": unit}));
    }
}

pub fn print_tables(outcomes: &[Outcome], floor: &Table) {
    print_openings(outcomes, floor);
    print_floor(floor);
    print_memory(outcomes);
    print_commands(outcomes);
}

fn print_openings(outcomes: &[Outcome], floor: &Table) {
    let heads = outcomes.iter().map(|outcome| {
        let runtime = outcome.runtime;
        format!("{runtime} median | p95 | × `docker run`")
    });
    head("ms", heads, outcomes.len() * 3);
    let Some(first) = outcomes.first() else {
        return;
    };
    for row in first.openings.rows() {
        let cells = outcomes
            .iter()
            .map(|outcome| match outcome.openings.get(row.name) {
                Some(row) => {
                    let ratio = ratio(row, floor).map_or(String::new(), |x| format!("{x:.2}"));
                    format!("{:.0} | {:.0} | {ratio}", row.median(), row.percentile(95))
                }
                None => " | | ".to_owned(),
            });
        line(row.name, cells);
    }
    println!();
}

fn print_floor(floor: &Table) {
    head("ms", ["median | p95".to_owned()].into_iter(), 2);
    for row in floor.rows() {
        let cell = format!("{:.0} | {:.0}", row.median(), row.percentile(95));
        line(row.name, [cell].into_iter());
    }
    println!();
}

fn print_memory(outcomes: &[Outcome]) {
    let names = ["resident", "anonymous", "of files", "proportional"].map(str::to_owned);
    head("MB, idle with one open project", names.into_iter(), 4);
    for outcome in outcomes {
        for (process, memory) in [
            ("backend", outcome.backend),
            ("project-server", outcome.project_server),
        ] {
            let cells = memory.quantities().into_iter();
            line(
                &format!("{process}, {}", outcome.runtime),
                cells.map(|(_, megabytes)| format!("{megabytes:.1}")),
            );
        }
    }
    println!();
}

fn print_commands(outcomes: &[Outcome]) {
    head(
        "ms, commands that change nothing",
        ["p50", "p99"].map(str::to_owned).into_iter(),
        2,
    );
    for outcome in outcomes {
        for commands in &outcome.commands {
            for row in commands.table.rows() {
                let cells = [50, 99].map(|percent| format!("{:.2}", row.percentile(percent)));
                line(
                    &format!(
                        "`{}`, {}, {} events of history",
                        row.name, outcome.runtime, commands.history
                    ),
                    cells.into_iter(),
                );
            }
        }
    }
}

fn head(first: &str, names: impl Iterator<Item = String>, columns: usize) {
    line(first, names);
    println!("|---|{}", "--:|".repeat(columns));
}

fn line(first: &str, cells: impl Iterator<Item = String>) {
    let cells: Vec<_> = cells.collect();
    println!("| {first} | {} |", cells.join(" | "));
}

/// A median as a multiple of a bare `docker run`'s.
fn ratio(row: &Samples, floor: &Table) -> Option<f64> {
    Some(row.median() / floor.get(DOCKER_RUN)?.median())
}

/// A figure's name: the parts in lower case, their words joined by hyphens.
fn named(parts: &[&str]) -> String {
    let words = |part: &&str| {
        let plain: String = part
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || " -".contains(*c))
            .collect();
        plain.replace(' ', "-").to_ascii_lowercase()
    };
    parts.iter().map(words).collect::<Vec<_>>().join(".")
}

/// How many processes wanted a core, on average over the last minute.
pub fn load() -> anyhow::Result<String> {
    let load = std::fs::read_to_string("/proc/loadavg").context("cannot read the load")?;
    Ok(load
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figures_name_is_words_with_hyphens_between_points() {
        let name = named(&["open", "docker", "resumed: first preview byte", "p95"]);
        assert_eq!(name, "open.docker.resumed-first-preview-byte.p95");
    }
}
