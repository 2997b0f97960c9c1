//! Keeps `docs/metrics.md` in step with what is collected.
//!
//! With `FIREFLY_UPDATE_DOCS=1` in the environment the test writes the page's table instead of comparing it.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
const UPDATE: &str = "FIREFLY_UPDATE_DOCS";
const BEGIN: &str = "<!-- made from what the program says of its metrics; do not edit -->\n";
const END: &str = "<!-- end of what is made -->\n";

/// Listens to what is said of metrics, and counts nothing.
#[derive(Default)]
struct Said(Mutex<Vec<[String; 3]>>);

impl Said {
    fn add(&self, name: &KeyName, kind: &str, meaning: &SharedString) {
        let row = [
            name.as_str().to_owned(),
            kind.to_owned(),
            meaning.to_string(),
        ];
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(row);
    }
}

impl Recorder for Said {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, meaning: SharedString) {
        self.add(&name, "counter", &meaning);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, meaning: SharedString) {
        self.add(&name, "gauge", &meaning);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, meaning: SharedString) {
        self.add(&name, "histogram", &meaning);
    }

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

fn table() -> String {
    let said = Said::default();
    metrics::with_local_recorder(&said, super::describe);
    let mut rows = said.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    rows.sort();
    let mut table = String::from("\n| metric | kind | meaning |\n|---|---|---|\n");
    for [name, kind, meaning] in rows {
        table += &format!("| `{name}` | {kind} | {meaning} |\n");
    }
    table.push('\n');
    table
}

#[test]
fn the_metrics_page_has_every_metric_as_the_program_says_it() {
    let page = std::fs::read_to_string(Path::new(PAGE)).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has its first mark");
    let (_, after) = rest
        .split_once(END)
        .expect("the page has its second mark behind the first");
    let wanted = format!("{before}{BEGIN}{}{END}{after}", table());
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(PAGE, wanted).unwrap();
    } else {
        assert!(
            page == wanted,
            "docs/metrics.md is out of date; write it anew with: {UPDATE}=1 cargo test -p firefly metrics_page\n\
             its table should read:\n{}",
            table()
        );
    }
}
