//! Progress bars, one for each step of an opening.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;

use super::text;
use crate::output::{self, OutputLost, plain};

/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(100);

/// The steps, by their names on the wire, and what people call them.
const STEPS: [(&str, &str); 4] = [
    ("container", "container"),
    ("source", "files"),
    ("install", "npm install"),
    ("preview", "preview"),
];

/// The bars of one opening. Where standard error is no terminal, finished steps are printed as lines.
pub struct Bars {
    all: MultiProgress,
    current: Option<(usize, ProgressBar)>,
    hidden: bool,
}

impl Bars {
    pub fn new(hidden: bool) -> Self {
        Self {
            all: MultiProgress::new(),
            current: None,
            hidden,
        }
    }

    /// Takes a `change` or a `progress` message in.
    pub fn show(&mut self, message: &Value) -> Result<(), OutputLost> {
        if self.hidden {
            return Ok(());
        }
        if text(message, "type") == "progress" {
            self.step_to(text(message, "step"));
            self.set_progress(message);
            return Ok(());
        }
        let summary = text(&message["event"], "summary");
        match text(&message["event"], "type") {
            "ProjectOpened" => self.say(summary),
            "ContainerStarted" => self.done("container", summary),
            "RepositoryCloned" | "TemplateApplied" | "WorkspaceResumed" => {
                self.done("source", summary)
            }
            "DependenciesInstalled" => self.done("install", summary),
            "ProjectReady" => self.done("preview", summary),
            "ProjectOpenFailed" => self.fail(),
            _ => self.say(summary),
        }?;
        if text(&message["project"], "state") == "opening" {
            self.step_to(text(&message["project"], "step"));
        }
        Ok(())
    }

    /// Ends whatever still turns.
    pub fn finish(mut self) {
        if let Some((_, bar)) = self.current.take() {
            bar.finish_and_clear();
        }
    }

    fn step_to(&mut self, name: &str) {
        let Some(index) = STEPS.iter().position(|(step, _)| *step == name) else {
            return;
        };
        if self
            .current
            .as_ref()
            .is_some_and(|(current, _)| *current >= index)
        {
            return;
        }
        self.clear();
        let bar = self.all.add(ProgressBar::new_spinner());
        bar.set_style(spinner());
        bar.set_prefix(STEPS[index].1);
        bar.enable_steady_tick(TICK);
        self.current = Some((index, bar));
    }

    fn set_progress(&mut self, message: &Value) {
        // A late message may be of a step that is over.
        let Some((_, bar)) = self
            .current
            .as_ref()
            .filter(|(step, _)| STEPS[*step].0 == text(message, "step"))
        else {
            return;
        };
        let words = plain(text(message, "text"));
        let done = message["done"].as_u64().unwrap_or_default();
        match message["total"].as_u64() {
            Some(total) if total > 0 => {
                bar.set_style(counted());
                bar.set_length(total);
                bar.set_position(done.min(total));
                bar.set_message(words.into_owned());
            }
            _ => bar.set_message(format!("{words} ({done})")),
        }
    }

    fn done(&mut self, step: &str, summary: &str) -> Result<(), OutputLost> {
        self.clear();
        let label = STEPS
            .iter()
            .find(|(name, _)| *name == step)
            .map_or(step, |(_, label)| label);
        self.line(&format!("  ✔ {label:<12} {summary}"))
    }

    fn say(&self, summary: &str) -> Result<(), OutputLost> {
        self.line(&format!("  {summary}"))
    }

    fn fail(&mut self) -> Result<(), OutputLost> {
        let Some((index, bar)) = self.current.take() else {
            return Ok(());
        };
        bar.finish_and_clear();
        self.line(&format!("  ✘ {}", STEPS[index].1))
    }

    fn clear(&mut self) {
        if let Some((_, bar)) = self.current.take() {
            bar.finish_and_clear();
        }
    }

    /// Above the bars on a terminal, a plain line elsewhere.
    fn line(&self, line: &str) -> Result<(), OutputLost> {
        if self.all.is_hidden() {
            return output::line(line);
        }
        if let Err(error) = self.all.println(plain(line)) {
            tracing::debug!(%error, "a line could not be shown");
        }
        Ok(())
    }
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("  {spinner} {prefix:<12} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn counted() -> ProgressStyle {
    ProgressStyle::with_template("  {spinner} {prefix:<12} {bar:30} {pos}/{len} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn progress(step: &str, text: &str) -> Value {
        json!({"type": "progress", "step": step, "done": 2, "total": 5, "text": text})
    }

    #[test]
    fn a_late_message_of_a_step_that_is_over_leaves_the_next_ones_bar_alone() {
        let mut bars = Bars::new(false);
        bars.show(&progress("preview", "looking")).unwrap();
        bars.show(&progress("install", "installing")).unwrap();
        let (_, bar) = bars.current.as_ref().unwrap();
        assert_eq!(bar.message(), "looking");
    }

    #[test]
    fn what_npm_says_does_not_steer_the_terminal() {
        let mut bars = Bars::new(false);
        bars.show(&progress("install", "\u{1b}[2Jdone")).unwrap();
        let (_, bar) = bars.current.as_ref().unwrap();
        assert_eq!(bar.message(), "\u{fffd}[2Jdone");
    }
}
