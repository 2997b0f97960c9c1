//! Figures as Firefly's own benchmarks print them.

use serde_json::json;

/// The figures in the order in which they were measured.
#[derive(Debug, Default)]
pub struct Figures(Vec<(String, f64, &'static str)>);

impl Figures {
    pub fn add(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.0.push((name.into(), value, unit));
    }

    /// The middle and the tail of latencies, given in milliseconds, by nearest rank.
    pub fn latencies(&mut self, name: &str, mut values: Vec<f64>) {
        values.sort_by(f64::total_cmp);
        for (percentile, percent) in [("p50", 50), ("p99", 99)] {
            let rank = (values.len() * percent).div_ceil(100).max(1);
            if let Some(value) = values.get(rank - 1) {
                self.add(format!("{name} {percentile}"), *value, "ms");
            }
        }
    }

    pub fn print(&self) {
        for (name, value, unit) in &self.0 {
            println!("{}", json!({"name": name, "value": value, "unit": unit}));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let mut figures = Figures::default();
        figures.latencies("x", (1..=200).rev().map(f64::from).collect());
        assert_eq!(
            figures.0,
            [
                ("x p50".to_owned(), 100.0, "ms"),
                ("x p99".to_owned(), 198.0, "ms")
            ]
        );
    }

    #[test]
    fn what_was_not_measured_has_no_figure() {
        let mut figures = Figures::default();
        figures.latencies("x", Vec::new());
        assert!(figures.0.is_empty());
    }
}
