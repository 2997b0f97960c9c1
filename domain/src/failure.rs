//! Why opening a project failed, in words for people and codes for programs.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The steps of an opening, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Step {
    /// A container is made and its project-server answers.
    #[serde(rename = "container")]
    Container,
    /// The workspace gets its files: cloned, made from a template, or found from before.
    #[serde(rename = "source")]
    Source,
    /// npm installs what package.json asks for.
    #[serde(rename = "install")]
    Install,
    /// The preview is looked at before it is called ready.
    #[serde(rename = "preview")]
    Preview,
}

impl Step {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Source => "source",
            Self::Install => "install",
            Self::Preview => "preview",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What went wrong, one code for each thing that a program might treat differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FailureCode {
    /// The container engine refused or could not be reached.
    #[serde(rename = "engine-failed")]
    EngineFailed,
    /// The container started, but its project-server never answered.
    #[serde(rename = "no-answer")]
    NoAnswer,
    /// The remote's host cannot be reached.
    #[serde(rename = "remote-unreachable")]
    RemoteUnreachable,
    /// The remote answers, but there is no such repository.
    #[serde(rename = "repository-not-found")]
    RepositoryNotFound,
    /// The remote wants credentials, or refused those given.
    #[serde(rename = "access-denied")]
    AccessDenied,
    /// The repository has no such branch.
    #[serde(rename = "branch-not-found")]
    BranchNotFound,
    /// The repository has no commit yet.
    #[serde(rename = "repository-empty")]
    RepositoryEmpty,
    /// Cloning failed in another way.
    #[serde(rename = "clone-failed")]
    CloneFailed,
    /// Firefly has no template of that name.
    #[serde(rename = "template-unknown")]
    TemplateUnknown,
    /// package.json is not a JSON object npm can read.
    #[serde(rename = "package-json-invalid")]
    PackageJsonInvalid,
    /// npm ended with an error.
    #[serde(rename = "install-failed")]
    InstallFailed,
    /// There is nothing to preview: no index.html at the root.
    #[serde(rename = "no-index-page")]
    NoIndexPage,
    /// A step took longer than its limit.
    #[serde(rename = "deadline-exceeded")]
    DeadlineExceeded,
    /// The container ended again and again soon after it was started.
    #[serde(rename = "crash-loop")]
    CrashLoop,
    /// The workspace's disk failed or is full.
    #[serde(rename = "workspace-failed")]
    WorkspaceFailed,
}

impl FailureCode {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EngineFailed => "engine-failed",
            Self::NoAnswer => "no-answer",
            Self::RemoteUnreachable => "remote-unreachable",
            Self::RepositoryNotFound => "repository-not-found",
            Self::AccessDenied => "access-denied",
            Self::BranchNotFound => "branch-not-found",
            Self::RepositoryEmpty => "repository-empty",
            Self::CloneFailed => "clone-failed",
            Self::TemplateUnknown => "template-unknown",
            Self::PackageJsonInvalid => "package-json-invalid",
            Self::InstallFailed => "install-failed",
            Self::NoIndexPage => "no-index-page",
            Self::DeadlineExceeded => "deadline-exceeded",
            Self::CrashLoop => "crash-loop",
            Self::WorkspaceFailed => "workspace-failed",
        }
    }
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Characters of a [`Failure::detail`] that are kept; npm can print megabytes.
pub const DETAIL_LENGTH_MAX: usize = 2_000;

/// A failed opening: the step, a code and a sentence that a person understands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Unchecked")]
pub struct Failure {
    /// Where it stopped.
    pub step: Step,
    /// What went wrong, for programs.
    pub code: FailureCode,
    /// What went wrong and what to do, for people; at most [`DETAIL_LENGTH_MAX`] characters.
    pub detail: String,
}

/// A failure as somebody else wrote it.
#[derive(Deserialize)]
struct Unchecked {
    step: Step,
    code: FailureCode,
    detail: String,
}

impl From<Unchecked> for Failure {
    fn from(unchecked: Unchecked) -> Self {
        Self::new(unchecked.step, unchecked.code, unchecked.detail)
    }
}

impl Failure {
    /// Makes a failure. What a terminal would act on is taken out of the detail, since it may come from strangers' programs;
    /// an over-long one is cut at its beginning, since tools say what matters last.
    pub fn new(step: Step, code: FailureCode, detail: impl Into<String>) -> Self {
        let shown = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
        let detail: String = detail.into().chars().filter(shown).collect();
        let excess = detail.chars().count().saturating_sub(DETAIL_LENGTH_MAX);
        let detail = if excess == 0 {
            detail
        } else {
            detail.chars().skip(excess).collect()
        };
        Self { step, code, detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_bounded_and_says_nothing_to_terminals() {
        let failure = Failure::new(
            Step::Install,
            FailureCode::InstallFailed,
            "a\u{1b}]52;c;x\u{7}\tb\nc\r",
        );
        assert_eq!(failure.detail, "a]52;c;x\tb\nc");
        let long = format!("begin{}end", "x".repeat(DETAIL_LENGTH_MAX));
        let failure = Failure::new(Step::Install, FailureCode::InstallFailed, long);
        assert_eq!(failure.detail.chars().count(), DETAIL_LENGTH_MAX);
        assert!(failure.detail.ends_with("end"));
    }
}
