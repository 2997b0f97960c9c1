//! The figures of all stores side by side, and how many times ahead ours are.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Context;
use serde_json::{Value, json};

use super::{Figures, SUBSCRIBED_RATE, appends};

/// Ours among those that were measured.
const OURS: [&str; 2] = ["SQLite", "PostgreSQL"];

/// How many processes wanted a core in the minute before a load.
pub const LOAD: &str = "load before";

/// What was measured of one store, by name, once in each round.
#[derive(Debug)]
pub struct Measured {
    store: &'static str,
    values: BTreeMap<String, Vec<f64>>,
}

impl Measured {
    pub fn new(store: &'static str) -> Self {
        Self {
            store,
            values: BTreeMap::new(),
        }
    }

    pub fn add(&mut self, figures: &Figures) {
        for (name, value, _) in &figures.0 {
            self.values.entry(name.clone()).or_default().push(*value);
        }
    }

    /// Adds figures that another program printed, one JSON object a line.
    pub fn add_json(&mut self, lines: &str) -> anyhow::Result<()> {
        for line in lines.lines() {
            let figure: Value =
                serde_json::from_str(line).with_context(|| format!("{line:?} is no figure"))?;
            let name = figure["name"].as_str().context("a figure has no name")?;
            let value = figure["value"].as_f64().context("a figure has no value")?;
            self.values.entry(name.to_owned()).or_default().push(value);
        }
        Ok(())
    }

    /// The median of all rounds.
    fn get(&self, name: &str) -> Option<f64> {
        let mut values = self.values.get(name)?.clone();
        values.sort_by(f64::total_cmp);
        let (lower, upper) = ((values.len() - 1) / 2, values.len() / 2);
        Some(f64::midpoint(values[lower], values[upper]))
    }
}

/// A figure that is compared.
struct Row {
    name: String,
    unit: &'static str,
}

impl Row {
    fn new(name: impl Into<String>, unit: &'static str) -> Self {
        let name = name.into();
        Self { name, unit }
    }

    /// How many times ours is as good: rates are better when they are higher, times when they are lower.
    fn ratio(&self, ours: &Measured, peer: &Measured) -> Option<f64> {
        let (ours, peer) = (ours.get(&self.name)?, peer.get(&self.name)?);
        Some(match self.unit {
            "ms" => peer / ours,
            _ => ours / peer,
        })
    }
}

/// What is compared.
fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for writers in appends::WRITERS {
        let name = format!("append, {writers} writers");
        rows.push(Row::new(name.clone(), "events/s"));
        rows.push(Row::new(format!("{name} p50"), "ms"));
        rows.push(Row::new(format!("{name} p99"), "ms"));
    }
    let name = format!("append to subscriber at {SUBSCRIBED_RATE}/s");
    rows.push(Row::new(format!("{name} p50"), "ms"));
    rows.push(Row::new(format!("{name} p99"), "ms"));
    rows.push(Row::new("full read", "events/s"));
    rows
}

/// What the machine did just before each load.
fn floor() -> [Row; 3] {
    [
        Row::new("fdatasync of 4 KiB p50", "ms"),
        Row::new("fdatasync of 4 KiB p99", "ms"),
        Row::new(LOAD, "processes"),
    ]
}

/// Each of ours with each of the peers.
fn pairs(measured: &[Measured]) -> impl Iterator<Item = (&Measured, &Measured)> {
    let is_ours = |store: &&Measured| OURS.contains(&store.store);
    measured.iter().filter(is_ours).flat_map(move |ours| {
        let peers = measured.iter().filter(move |store| !is_ours(store));
        peers.map(move |peer| (ours, peer))
    })
}

/// A column for each store.
pub fn figures(measured: &[Measured]) -> String {
    let mut table = head("", measured.iter().map(|store| store.store.to_owned()));
    for row in rows().iter().chain(&floor()) {
        let cells = measured
            .iter()
            .map(|store| store.get(&row.name).map(|value| shown(value, row.unit)));
        line(&mut table, &format!("{}, {}", row.name, row.unit), cells);
    }
    table
}

/// A column for each of ours with each peer; above 1, ours is ahead.
pub fn ratios(measured: &[Measured]) -> String {
    let heads = pairs(measured).map(|(ours, peer)| format!("{} : {}", ours.store, peer.store));
    let mut table = head("times ahead", heads);
    for row in rows() {
        let cells = pairs(measured)
            .map(|(ours, peer)| row.ratio(ours, peer).map(|ratio| format!("{ratio:.2}")));
        line(&mut table, &row.name, cells);
    }
    table
}

/// One JSON object for each figure and each ratio.
pub fn print_json(measured: &[Measured]) {
    let print = |name: String, value: f64, unit: &str| {
        let value = (value * 1_000.0).round() / 1_000.0;
        println!("{}", json!({"name": name, "value": value, "unit": unit}));
    };
    for store in measured {
        for row in rows().iter().chain(&floor()) {
            if let Some(value) = store.get(&row.name) {
                print(format!("{}, {}", store.store, row.name), value, row.unit);
            }
        }
    }
    for (ours, peer) in pairs(measured) {
        for row in rows() {
            if let Some(ratio) = row.ratio(ours, peer) {
                let name = format!("{} to {}, {}", ours.store, peer.store, row.name);
                print(name, ratio, "times ahead");
            }
        }
    }
}

fn head(first: &str, names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    let columns = "--:|".repeat(names.len());
    format!("| {first} | {} |\n|---|{columns}\n", names.join(" | "))
}

fn line(table: &mut String, first: &str, cells: impl Iterator<Item = Option<String>>) {
    let cells: Vec<String> = cells
        .map(|cell| cell.unwrap_or_else(|| "–".into()))
        .collect();
    let _ = writeln!(table, "| {first} | {} |", cells.join(" | "));
}

/// Rates as whole numbers in groups of three digits, the others with two decimals.
fn shown(value: f64, unit: &str) -> String {
    if unit != "events/s" {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Vec<Measured> {
        let of = |store, rate: f64, median: f64| {
            let mut figures = Figures::default();
            figures.add("append, 1 writers", rate, "events/s");
            figures.add("append, 1 writers p50", median, "ms");
            let mut measured = Measured::new(store);
            measured.add(&figures);
            measured
        };
        vec![
            of("SQLite", 5_000.0, 0.2),
            of("PostgreSQL", 1_000.0, 0.8),
            of("other", 2_000.0, 0.4),
        ]
    }

    fn cells(table: &str, row: usize) -> Vec<&str> {
        let line = table.lines().nth(row).unwrap();
        line.trim_matches('|').split('|').map(str::trim).collect()
    }

    #[test]
    fn ratios_above_one_are_ours_ahead_for_rates_and_for_times() {
        let table = ratios(&three());
        assert_eq!(
            cells(&table, 0),
            ["times ahead", "SQLite : other", "PostgreSQL : other"]
        );
        assert_eq!(cells(&table, 2), ["append, 1 writers", "2.50", "0.50"]);
        assert_eq!(cells(&table, 3), ["append, 1 writers p50", "2.00", "0.50"]);
    }

    #[test]
    fn what_a_peer_does_not_have_is_a_dash() {
        assert_eq!(cells(&ratios(&three()), 4)[1..], ["–", "–"]);
        assert_eq!(cells(&figures(&three()), 4)[1..], ["–", "–", "–"]);
    }

    #[test]
    fn figures_stand_under_their_stores() {
        let table = figures(&three());
        assert_eq!(cells(&table, 0), ["", "SQLite", "PostgreSQL", "other"]);
        assert_eq!(
            cells(&table, 2),
            ["append, 1 writers, events/s", "5,000", "1,000", "2,000"]
        );
    }

    #[test]
    fn the_median_of_the_rounds_counts() {
        let mut measured = Measured::new("other");
        for value in [3.0, 100.0, 2.0] {
            let mut figures = Figures::default();
            figures.add("full read", value, "events/s");
            measured.add(&figures);
        }
        assert_eq!(measured.get("full read"), Some(3.0));
        assert_eq!(measured.get("another"), None);
    }

    #[test]
    fn rates_are_grouped_by_thousands() {
        assert_eq!(shown(1_234_567.8, "events/s"), "1,234,568");
        assert_eq!(shown(999.0, "events/s"), "999");
        assert_eq!(shown(0.256, "ms"), "0.26");
    }

    #[test]
    fn printed_figures_are_read_back() {
        let mut measured = Measured::new("other");
        let line = r#"{"name":"full read","value":12.5,"unit":"events/s"}"#;
        measured.add_json(line).unwrap();
        assert_eq!(measured.get("full read"), Some(12.5));
        assert!(measured.add_json("no figure").is_err());
    }
}
