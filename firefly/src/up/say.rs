//! What `firefly up` says: sentences for people, or JSON lines for programs.
//!
//! Where nobody reads it, Firefly serves on: it is not there to be listened to.

use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::output;

/// How often a spinner turns, in milliseconds.
const SPINNER_TICK_MS: u64 = 100;

pub struct Say {
    json: bool,
    spinner: ProgressBar,
}

impl Say {
    pub fn new(json: bool) -> Self {
        let spinner = if json {
            ProgressBar::hidden()
        } else {
            ProgressBar::new_spinner()
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            spinner.set_style(style);
        }
        Self { json, spinner }
    }

    /// Something that takes long is being prepared.
    pub fn preparing(&self, what: &str) {
        if self.json {
            self.say(&json!({"type": "preparing", "text": what}), "");
        } else {
            self.spinner
                .enable_steady_tick(std::time::Duration::from_millis(SPINNER_TICK_MS));
            self.spinner.set_message(output::plain(what).into_owned());
        }
    }

    /// It is there.
    pub fn prepared(&self) {
        self.spinner.finish_and_clear();
    }

    pub fn runtime(&self, kind: &str, reason: &str) {
        self.say(
            &json!({"type": "runtime", "kind": kind, "reason": reason}),
            &format!("containers  {reason}"),
        );
    }

    pub fn warning(&self, text: &str) {
        self.say(
            &json!({"type": "warning", "text": text}),
            &format!("warning     {text}"),
        );
    }

    pub fn listening(&self, url: &str, data_dir: &Path) {
        self.say(
            &json!({"type": "listening", "url": url, "data_dir": data_dir}),
            &format!("data        {}\nconsole     {url}", data_dir.display()),
        );
    }

    pub fn stopping(&self) {
        self.prepared();
        self.say(
            &json!({"type": "stopping"}),
            "stopping; open projects come back with the next start",
        );
    }

    fn say(&self, event: &Value, sentence: &str) {
        let said = if self.json {
            output::json(event)
        } else {
            output::line(sentence)
        };
        if let Err(error) = said {
            tracing::debug!(%error, "a line could not be printed");
        }
    }
}
