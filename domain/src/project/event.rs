//! What can happen to a project. The wire names and versions are the codec's; these are the payloads.

use serde::{Deserialize, Serialize};

use crate::control::Unsaved;
use crate::{Branch, ContainerId, Endpoint, Failure, Generation, ProjectKey, Source};

/// Something that happened to a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody asked for it, or an interrupted opening goes on: a container is wanted.
    Opened(Opened),
    /// A container runs and its project-server answers.
    ContainerStarted(ContainerStarted),
    /// The workspace was made by cloning.
    RepositoryCloned(RepositoryCloned),
    /// The workspace was made from a template.
    TemplateApplied(TemplateApplied),
    /// The workspace of an earlier opening was found as it had been left.
    WorkspaceResumed(WorkspaceResumed),
    /// The packages are there.
    DependenciesInstalled(DependenciesInstalled),
    /// The preview is served.
    Ready(Ready),
    /// Nobody has used it for a while: its container sleeps with all that it has in memory.
    Paused(Paused),
    /// It is wanted again: its container is to go on where it was.
    Woken(Woken),
    /// The opening failed.
    OpenFailed(OpenFailed),
    /// The container ended without being asked to.
    ContainerExited(ContainerExited),
    /// Nobody wants the container any longer.
    Closed(Closed),
    /// The container has ended as it was told, and is kept for the next opening, with the workspace.
    ContainerStopped(ContainerStopped),
    /// The container is gone; the workspace is kept.
    ContainerRemoved(ContainerRemoved),
    /// Unsaved work appeared, or all of it was saved.
    UnsavedWorkChanged(UnsavedWorkChanged),
    /// A deletion was given up: unsaved work was found at the last moment, or it failed.
    WorkspaceKept(WorkspaceKept),
    /// The workspace is gone.
    WorkspaceDeleted(WorkspaceDeleted),
}

/// Why a container is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OpenCause {
    /// Somebody opened it.
    #[serde(rename = "asked")]
    Asked,
    /// Somebody restarted it.
    #[serde(rename = "restarted")]
    Restarted,
    /// Its container was lost with the host or with Firefly, and it goes on where it was.
    #[serde(rename = "interrupted")]
    Interrupted,
    /// Its container crashed after it had run for a good while, and somebody is working on it.
    #[serde(rename = "crashed")]
    Crashed,
    /// Its container crashed soon after it was started, and somebody is working on it.
    #[serde(rename = "crashed-again")]
    CrashedAgain,
    /// It slept without a container, and somebody came to see it.
    #[serde(rename = "woken")]
    Woken,
}

/// Why a project that sleeps is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WakeCause {
    /// Somebody opened it.
    #[serde(rename = "asked")]
    Asked,
    /// Somebody came to see its preview.
    #[serde(rename = "preview")]
    Preview,
}

/// See [`Event::Opened`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// Counts the openings; the first is 1.
    pub generation: Generation,
    /// The project's names.
    #[serde(flatten)]
    pub key: ProjectKey,
    /// Where its files come from.
    pub source: Source,
    /// The branch asked for.
    pub branch: Option<Branch>,
    /// Why it is opened.
    pub cause: OpenCause,
}

/// See [`Event::ContainerStarted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerStarted {
    /// The opening it is for.
    pub generation: Generation,
    /// The engine's name for it.
    pub container: ContainerId,
    /// The image it runs, or what stands for one.
    pub image: String,
    /// Whether it had been started ahead.
    pub from_pool: bool,
    /// Whether it is that of an earlier opening, which had been kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept: bool,
    /// From the decision to start it until its project-server answered, in milliseconds.
    pub duration_ms: u64,
}

/// See [`Event::RepositoryCloned`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryCloned {
    /// The opening it happened in.
    pub generation: Generation,
    /// The branch checked out.
    pub branch: String,
    /// The commit checked out, in hex.
    pub commit: String,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// See [`Event::TemplateApplied`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateApplied {
    /// The opening it happened in.
    pub generation: Generation,
    /// The template's name.
    pub template: String,
    /// The first commit, in hex.
    pub commit: String,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// See [`Event::WorkspaceResumed`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceResumed {
    /// The opening it happened in.
    pub generation: Generation,
    /// The branch checked out, if any.
    pub branch: Option<String>,
    /// The commit checked out, in hex, if there is one.
    pub commit: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// See [`Event::DependenciesInstalled`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependenciesInstalled {
    /// The opening it happened in.
    pub generation: Generation,
    /// How many packages there are.
    pub packages: u64,
    /// Whether they were there from before, so that npm was not run.
    pub reused: bool,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// See [`Event::Ready`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The opening that is ready.
    pub generation: Generation,
    /// Where its project-server answers.
    pub endpoint: Endpoint,
    /// From the assignment to the container until now, in milliseconds.
    pub duration_ms: u64,
}

/// See [`Event::Paused`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// The opening that sleeps.
    pub generation: Generation,
    /// For how long nobody had used it, in milliseconds.
    pub quiet_ms: u64,
}

/// See [`Event::Woken`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Woken {
    /// The opening that goes on.
    pub generation: Generation,
    /// Why.
    pub cause: WakeCause,
}

/// See [`Event::OpenFailed`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenFailed {
    /// The opening that failed.
    pub generation: Generation,
    /// Where, with what code, and in words.
    #[serde(flatten)]
    pub failure: Failure,
}

/// Why a container ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitCause {
    /// Its program ended by itself or was killed.
    #[serde(rename = "crashed")]
    Crashed,
    /// It used more memory than it may.
    #[serde(rename = "out-of-memory")]
    OutOfMemory,
    /// It was removed behind Firefly's back.
    #[serde(rename = "vanished")]
    Vanished,
    /// Firefly or its host stopped and came back without it.
    #[serde(rename = "interrupted")]
    Interrupted,
}

/// See [`Event::ContainerExited`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerExited {
    /// The opening it served.
    pub generation: Generation,
    /// The program's exit code, where the engine knows it.
    pub exit_code: Option<i64>,
    /// Whether the kernel killed it for its memory use.
    pub oom: bool,
    /// Why it ended.
    pub cause: ExitCause,
}

/// Why a project is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CloseReason {
    /// Somebody closed it.
    #[serde(rename = "user")]
    User,
    /// Its container crashed.
    #[serde(rename = "crashed")]
    Crashed,
    /// Somebody deleted it.
    #[serde(rename = "deleted")]
    Deleted,
    /// Nobody used it for long.
    #[serde(rename = "idle")]
    Idle,
    /// Nobody used it, and the host ran short of memory.
    #[serde(rename = "memory-wanted")]
    MemoryWanted,
}

impl CloseReason {
    /// The name on the wire and in the read models.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Crashed => "crashed",
            Self::Deleted => "deleted",
            Self::Idle => "idle",
            Self::MemoryWanted => "memory-wanted",
        }
    }

    /// Whether the project only sleeps: it comes back when somebody wants to see it.
    pub const fn is_sleep(self) -> bool {
        matches!(self, Self::Idle | Self::MemoryWanted)
    }
}

/// See [`Event::Closed`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// The opening that ends.
    pub generation: Generation,
    /// Why.
    pub reason: CloseReason,
    /// Whether unsaved work goes with a deletion.
    #[serde(default)]
    pub force: bool,
}

/// See [`Event::ContainerStopped`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerStopped {
    /// The opening it served.
    pub generation: Generation,
    /// Why it has not ended yet, if the engine would not end it. Firefly goes on trying.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// See [`Event::ContainerRemoved`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerRemoved {
    /// The opening it served.
    pub generation: Generation,
}

/// See [`Event::UnsavedWorkChanged`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnsavedWorkChanged {
    /// The opening it was seen in.
    pub generation: Generation,
    /// What would be lost with the workspace.
    #[serde(flatten)]
    pub unsaved: Unsaved,
}

/// See [`Event::WorkspaceKept`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceKept {
    /// The opening whose deletion was given up.
    pub generation: Generation,
    /// What would have been lost, as far as is known.
    #[serde(flatten)]
    pub unsaved: Unsaved,
    /// Why it failed, if that is the reason.
    pub detail: Option<String>,
}

/// See [`Event::WorkspaceDeleted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceDeleted {
    /// The last opening of the workspace.
    pub generation: Generation,
}
