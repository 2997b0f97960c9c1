//! The texts that fields and parameters hold, where there are only so many of them.

use serde::{Deserialize, Deserializer, de};
use utoipa::ToSchema;

/// Makes an enum of texts, which is read from one of them, and documented with all.
macro_rules! terms {
    ($(#[$about:meta] $name:ident { $($variant:ident = $text:literal,)+ })+) => {
        $(
            #[$about]
            #[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
            pub enum $name {
                $(#[doc = $text] #[schema(rename = $text)] $variant,)+
            }

            impl $name {
                /// All of them.
                pub const ALL: &[Self] = &[$(Self::$variant),+];

                /// The text.
                pub const fn as_str(self) -> &'static str {
                    match self {
                        $(Self::$variant => $text,)+
                    }
                }
            }

            impl Term for $name {
                fn read(text: &str) -> Option<Self> {
                    Self::ALL.iter().copied().find(|term| term.as_str() == text)
                }

                fn texts() -> String {
                    let texts: Vec<&str> = Self::ALL.iter().map(|term| term.as_str()).collect();
                    texts.join(", ")
                }
            }
        )+
    };
}

/// One of some texts.
pub trait Term: Sized {
    /// The term that a text is.
    fn read(text: &str) -> Option<Self>;

    /// All of them, for people.
    fn texts() -> String;
}

terms! {
    /// Where a project stands.
    ProjectState {
        Opening = "opening",
        Ready = "ready",
        Paused = "paused",
        Waking = "waking",
        Failed = "failed",
        Closing = "closing",
        Closed = "closed",
        Deleting = "deleting",
        Deleted = "deleted",
    }
    /// A step of an opening.
    OpeningStep {
        Container = "container",
        Source = "source",
        Install = "install",
        Preview = "preview",
    }
    /// Why a project is closed.
    ClosedReason {
        User = "user",
        Crashed = "crashed",
        Deleted = "deleted",
        Idle = "idle",
        MemoryWanted = "memory-wanted",
    }
    /// What went wrong with an opening.
    OpeningFailureCode {
        EngineFailed = "engine-failed",
        NoAnswer = "no-answer",
        RemoteUnreachable = "remote-unreachable",
        RepositoryNotFound = "repository-not-found",
        AccessDenied = "access-denied",
        BranchNotFound = "branch-not-found",
        RepositoryEmpty = "repository-empty",
        CloneFailed = "clone-failed",
        TemplateUnknown = "template-unknown",
        PackageJsonInvalid = "package-json-invalid",
        InstallFailed = "install-failed",
        NoIndexPage = "no-index-page",
        DeadlineExceeded = "deadline-exceeded",
        WorkspaceFailed = "workspace-failed",
        CrashLoop = "crash-loop",
    }
    /// How projects can be sorted.
    ProjectSort {
        LastUpdatedLast = "updated",
        LastUpdatedFirst = "-updated",
        LastOpenedLast = "opened",
        LastOpenedFirst = "-opened",
        ByName = "name",
        ByNameReversed = "-name",
    }
    /// Whether a session goes on.
    SessionState {
        Active = "active",
        Ended = "ended",
    }
    /// Why a session is over.
    SessionEndReason {
        SignedOut = "signed-out",
    }
    /// Where a container stands.
    ContainerState {
        Running = "running",
        Paused = "paused",
        Stopped = "stopped",
        Exited = "exited",
        Removed = "removed",
    }
    /// Where a workspace stands.
    WorkspaceState {
        None = "none",
        Present = "present",
        Deleted = "deleted",
    }
    /// What a build of a projection is for.
    BuildStatus {
        Live = "live",
        Building = "building",
        Verifying = "verifying",
        Verified = "verified",
    }
    /// Which events come first.
    EventOrder {
        Oldest = "oldest",
        Newest = "newest",
    }
    /// In which form events go out.
    ExportFormat {
        Json = "json",
        Ndjson = "ndjson",
        CloudEvents = "cloudevents",
    }
}

/// Some terms, as a parameter lists them: with commas in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms<T>(pub Vec<T>);

impl<'de, T: Term> Deserialize<'de> for Terms<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let read = |part: &str| {
            T::read(part.trim()).ok_or_else(|| {
                let texts = T::texts();
                de::Error::custom(format!("{part:?} is none of {texts}"))
            })
        };
        text.split(',')
            .map(read)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// A position, a time, or where it is about one project or session a revision such as `rev-3`.
#[derive(ToSchema)]
#[schema(
    value_type = String,
    pattern = r"^([0-9]{1,19}|rev-[0-9]{1,19}|[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})?)$",
    example = "1"
)]
#[expect(dead_code, reason = "it documents what `moment` reads")]
pub struct Moment(String);

#[cfg(test)]
mod tests {
    use firefly_domain::project::{CloseReason, Phase};
    use firefly_domain::session::EndReason;
    use firefly_domain::{FailureCode, Step};

    use super::*;

    #[test]
    fn terms_are_those_of_the_domain() {
        for reason in [
            CloseReason::User,
            CloseReason::Crashed,
            CloseReason::Deleted,
            CloseReason::Idle,
            CloseReason::MemoryWanted,
        ] {
            assert!(ClosedReason::read(reason.as_str()).is_some());
        }
        assert_eq!(
            ProjectState::read(Phase::Deleted.name()),
            Some(ProjectState::Deleted)
        );
        assert!(SessionEndReason::read(EndReason::SignedOut.as_str()).is_some());
        for step in OpeningStep::ALL {
            let step: Step = serde_json::from_value(step.as_str().into()).unwrap();
            assert!(OpeningStep::read(step.as_str()).is_some());
        }
        for code in OpeningFailureCode::ALL {
            let code: FailureCode = serde_json::from_value(code.as_str().into()).unwrap();
            assert!(OpeningFailureCode::read(code.as_str()).is_some());
        }
    }

    #[test]
    fn a_list_of_terms_has_no_others() {
        let read = |text: &str| serde_json::from_value::<Terms<WorkspaceState>>(text.into());
        let both = vec![WorkspaceState::Present, WorkspaceState::None];
        assert_eq!(read("present, none").unwrap(), Terms(both));
        for text in ["", "gone", "present,", "PRESENT"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
