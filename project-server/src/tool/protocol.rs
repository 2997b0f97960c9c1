//! What the server and its child say to each other.

use std::io::Write;
use std::path::PathBuf;

use firefly_domain::control::{Progress, ReportBody};
use firefly_domain::{Branch, Failure, Source};
use serde::{Deserialize, Serialize};

/// Where the files come from if the workspace has none.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SourceRequest {
    pub source: Source,
    /// Where a repository on the host can be read, if not at its own path.
    pub local_source: Option<PathBuf>,
    pub branch: Option<Branch>,
}

/// One line of a child's output.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Line {
    /// Any number of these come first.
    Progress(Progress),
    /// Exactly one of these comes last.
    Outcome(Outcome),
}

/// What a step came to. The server adds how long it took.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    Cloned {
        branch: String,
        commit: String,
    },
    TemplateApplied {
        template: String,
        commit: String,
    },
    Resumed {
        branch: Option<String>,
        commit: Option<String>,
    },
    Installed {
        packages: u64,
        reused: bool,
    },
    Failed(Failure),
}

impl Outcome {
    /// The report of this outcome.
    pub(crate) fn into_report(self, duration_ms: u64) -> ReportBody {
        match self {
            Self::Cloned { branch, commit } => ReportBody::Cloned {
                branch,
                commit,
                duration_ms,
            },
            Self::TemplateApplied { template, commit } => ReportBody::TemplateApplied {
                template,
                commit,
                duration_ms,
            },
            Self::Resumed { branch, commit } => ReportBody::Resumed {
                branch,
                commit,
                duration_ms,
            },
            Self::Installed { packages, reused } => ReportBody::Installed {
                packages,
                reused,
                duration_ms,
            },
            Self::Failed(failure) => ReportBody::Failed(failure),
        }
    }
}

/// Writes one value as a line on standard output, at once.
pub(crate) fn print(value: &impl Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&line)?;
    stdout.flush()
}

/// An error with all its sources in one line, for logs and for details of failures.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
