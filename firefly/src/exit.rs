//! How the program ends.

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use serde_json::{Value, json};

use crate::output::{self, OutputLost};

/// The exit code of a program that was called wrongly or configured badly: EX_USAGE of sysexits.h.
const USAGE: u8 = 64;

/// The key whose value may hold a database's password.
const EVENT_LOG: &str = "--event-log";

/// A refusal that a running Firefly gave a code for programs.
#[derive(Debug, thiserror::Error)]
#[error("{detail} ({code})")]
pub struct Refused {
    /// What happened and what to do.
    pub detail: String,
    /// The stable code.
    pub code: String,
}

/// Says what went wrong, with everything that led to it: in one line for people, or as a JSON object.
pub fn code(outcome: anyhow::Result<ExitCode>, json: bool) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        if reader_is_gone(&error) {
            return ExitCode::SUCCESS;
        }
        if json {
            // Nobody is left to be told that it could not be told.
            let _ = output::json(&told(&error));
        } else {
            output::complain(&format!("firefly: {error:#}"));
        }
        ExitCode::FAILURE
    })
}

fn told(error: &anyhow::Error) -> Value {
    let refused = error.downcast_ref::<Refused>();
    let detail = refused.map_or_else(|| format!("{error:#}"), |refused| refused.detail.clone());
    let code = refused.map(|refused| &refused.code);
    json!({"type": "error", "code": code, "detail": detail})
}

/// Whether all that went wrong is that nobody reads on.
pub fn reader_is_gone(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<OutputLost>()
        .is_some_and(OutputLost::is_closed_pipe)
}

/// What clap says, without the value of a key that may hold a password.
fn without_password(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(value)) => value.as_str(),
        _ => "",
    };
    let value = context(ContextKind::InvalidValue);
    if value.is_empty() || !context(ContextKind::InvalidArg).starts_with(EVENT_LOG) {
        return text;
    }
    text.replace(value, "…")
}

/// Answers a command line that asks for help, or cannot be understood.
pub fn usage(error: &clap::Error) -> ExitCode {
    let code = if error.use_stderr() {
        ExitCode::from(USAGE)
    } else {
        ExitCode::SUCCESS
    };
    if error.kind() == ErrorKind::ValueValidation {
        // The key, its value and what is wrong with it; clap's advice behind it helps nobody who set a variable.
        let text = without_password(error);
        let line = text.lines().next().unwrap_or_default();
        output::complain(&format!(
            "firefly: {}",
            line.strip_prefix("error: ").unwrap_or(line)
        ));
    } else {
        // A closed pipe has no reader to tell.
        let _ = error.print();
    }
    code
}
