//! What one check came to, and how it is told.

use std::process::ExitCode;

use serde_json::{Value, json};

/// Columns of a check's name.
const NAME_WIDTH: usize = 15;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing is to be done.
    Fine,
    /// It works, but not for long, not for everybody, or not as well as it might.
    Warning,
    /// Firefly does not work, or loses something.
    Broken,
}

impl Verdict {
    const fn sign(self) -> char {
        match self {
            Self::Fine => '✓',
            Self::Warning => '!',
            Self::Broken => '✗',
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Warning => "warning",
            Self::Broken => "broken",
        }
    }
}

/// A check, a sentence on what was found, and how it is mended if it is not fine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub name: &'static str,
    pub verdict: Verdict,
    pub said: String,
    pub mend: Option<String>,
}

impl Check {
    pub fn fine(name: &'static str, said: impl Into<String>) -> Self {
        Self {
            name,
            verdict: Verdict::Fine,
            said: said.into(),
            mend: None,
        }
    }

    pub fn warning(name: &'static str, said: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Warning,
            mend: Some(mend.into()),
            ..Self::fine(name, said)
        }
    }

    pub fn broken(name: &'static str, said: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Broken,
            mend: Some(mend.into()),
            ..Self::fine(name, said)
        }
    }

    /// The same as a warning at the most: nobody depends on it here.
    pub fn at_most_a_warning(mut self) -> Self {
        self.verdict = self.verdict.min(Verdict::Warning);
        self
    }

    /// For people: a line, and one below it that says what to do.
    pub fn shown(&self) -> String {
        let below = format!("\n{:width$}", "", width = NAME_WIDTH + 3);
        let said = self.said.trim_end().replace('\n', &below);
        let mut text = format!("{} {:<NAME_WIDTH$} {said}", self.verdict.sign(), self.name);
        if let Some(mend) = &self.mend {
            text += &below;
            text += "→ ";
            text += mend;
        }
        text
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "type": "check",
            "check": self.name,
            "verdict": self.verdict.name(),
            "text": self.said,
            "mend": self.mend,
        })
    }
}

/// All checks in a sentence.
pub fn sum(checks: &[Check]) -> String {
    let count = |verdict| checks.iter().filter(|it| it.verdict == verdict).count();
    match (count(Verdict::Broken), count(Verdict::Warning)) {
        (0, 0) => "all is well".to_owned(),
        (0, warnings) => format!("it works; warnings: {warnings}"),
        (broken, warnings) => format!("broken: {broken}, warnings: {warnings}"),
    }
}

/// 1 if something is broken.
pub fn exit_code(checks: &[Check]) -> ExitCode {
    if checks.iter().any(|it| it.verdict == Verdict::Broken) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_a_line_and_what_to_do_stands_below() {
        let checks = [
            Check::fine("engine", "Docker 20.10"),
            Check::warning("disk", "2 GiB are free", "make room"),
            Check::broken("event log", "it is damaged:\nat 7", "restore it"),
        ];
        let shown: Vec<String> = checks.iter().map(Check::shown).collect();
        assert_eq!(
            shown.join("\n"),
            "✓ engine          Docker 20.10\n\
             ! disk            2 GiB are free\n\
             \u{20}                 → make room\n\
             ✗ event log       it is damaged:\n\
             \u{20}                 at 7\n\
             \u{20}                 → restore it"
        );
        assert_eq!(sum(&checks), "broken: 1, warnings: 1");
        assert_eq!(sum(&checks[..2]), "it works; warnings: 1");
        assert_eq!(sum(&checks[..1]), "all is well");
        assert_eq!(exit_code(&checks), ExitCode::FAILURE);
        assert_eq!(exit_code(&checks[..2]), ExitCode::SUCCESS);
        assert_eq!(
            checks[1].json(),
            json!({"type": "check", "check": "disk", "verdict": "warning", "text": "2 GiB are free", "mend": "make room"})
        );
    }
}
