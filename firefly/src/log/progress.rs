//! How far a transfer is: a bar on a terminal, or JSON lines.

use std::time::{Duration, Instant};

use firefly_event_store::transfer::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use crate::output;

/// How often a line says how far it is.
const INTERVAL: Duration = Duration::from_secs(1);

/// Shows progress towards a position, on standard error unless everything is said as JSON.
pub struct Shown {
    bar: ProgressBar,
    json: bool,
    total: u64,
    phase: &'static str,
    said: Option<Instant>,
}

impl Shown {
    /// Without a total, only what was done is known.
    pub fn new(json: bool, total: u64) -> Self {
        let target = if json {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let bar = ProgressBar::with_draw_target((total > 0).then_some(total), target);
        let template = if total > 0 {
            "  {prefix:<8} {bar:30} {pos}/{len}"
        } else {
            "  {prefix:<8} {spinner} {pos}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self {
            bar,
            json,
            total,
            phase: "",
            said: None,
        }
    }

    pub fn show(&mut self, progress: Progress) {
        let phase = progress.phase.name();
        if self.phase != phase {
            self.phase = phase;
            self.said = None;
            self.bar.set_prefix(phase);
        }
        let position = progress.position.number();
        self.bar.set_position(if self.total > 0 {
            position.min(self.total)
        } else {
            progress.events
        });
        let is_due = self.said.is_none_or(|said| said.elapsed() >= INTERVAL);
        if self.json && is_due {
            self.said = Some(Instant::now());
            // A transfer is not given up because nobody reads how far it is.
            let _ = output::json(&json!({
                "type": "progress",
                "phase": phase,
                "events": progress.events,
                "position": position,
                "head": (self.total > 0).then_some(self.total),
            }));
        }
    }
}

impl Shown {
    /// The bar, for lines that are to stand above it.
    pub fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
