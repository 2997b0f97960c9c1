//! What clients see of a project and of an event: the JSON of answers and of live messages.

use chrono::{DateTime, Utc};
use firefly_domain::control::Unsaved;
use firefly_domain::project::{Known, Phase};
use firefly_domain::{Failure, ProjectKey};
use firefly_event_store::{DomainEvent, Position, RecordedEvent, Revision};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::describe::{describe, describe_other};
use crate::terms::{ClosedReason, OpeningFailureCode, OpeningStep, ProjectState};

/// A project as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Project)]
pub struct ProjectView {
    pub id: String,
    pub key: String,
    pub user: String,
    pub owner: String,
    pub repo: String,
    pub source: String,
    pub branch: Option<String>,
    #[schema(value_type = ProjectState)]
    pub state: String,
    #[schema(value_type = Option<OpeningStep>)]
    pub step: Option<String>,
    pub generation: u64,
    pub failure: Option<FailureView>,
    #[schema(value_type = Option<ClosedReason>)]
    pub closed_reason: Option<String>,
    #[schema(value_type = UnsavedWork)]
    pub unsaved: Unsaved,
    pub preview_url: String,
    pub container: Option<String>,
    pub opened_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub revision: u64,
    pub position: u64,
}

/// Work that exists in the workspace only.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents the domain's `Unsaved`")]
pub struct UnsavedWork {
    /// Files changed, added or deleted since the last commit.
    files: u64,
    /// Commits that no remote branch has.
    commits: u64,
}

/// How an opening failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = OpeningFailure)]
pub struct FailureView {
    #[schema(value_type = OpeningStep)]
    pub step: String,
    #[schema(value_type = OpeningFailureCode)]
    pub code: String,
    pub detail: String,
}

impl From<&Failure> for FailureView {
    fn from(failure: &Failure) -> Self {
        Self {
            step: failure.step.to_string(),
            code: failure.code.to_string(),
            detail: failure.detail.clone(),
        }
    }
}

/// What the log says about a state besides the state itself.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    pub opened_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub revision: Revision,
    pub position: Position,
}

impl ProjectView {
    /// A project as the fold of its events knows it.
    pub fn new(project: &Known, stamp: Stamp, preview_url: &str) -> Self {
        let key = &project.key;
        let (step, container, failure, closed_reason) = match &project.phase {
            Phase::Opening { step, container } => (Some(*step), container.clone(), None, None),
            Phase::Ready { container, .. }
            | Phase::Paused { container, .. }
            | Phase::Waking { container } => (None, Some(container.clone()), None, None),
            Phase::Failed { failure, .. } => (None, None, Some(failure), None),
            Phase::Closing { reason } | Phase::Closed { reason } => {
                (None, None, None, Some(reason.as_str()))
            }
            Phase::Deleting { .. } | Phase::Deleted => (None, None, None, Some("deleted")),
        };
        Self {
            id: key.id().to_string(),
            key: key.to_string(),
            user: key.user.to_string(),
            owner: key.owner.to_string(),
            repo: key.repo.to_string(),
            source: project.source.to_string(),
            branch: project.branch.as_ref().map(ToString::to_string),
            state: project.phase.name().to_owned(),
            step: step.map(|step| step.to_string()),
            generation: project.generation.number(),
            failure: failure.map(FailureView::from),
            closed_reason: closed_reason.map(str::to_owned),
            unsaved: project.unsaved,
            preview_url: index_page(preview_url, key),
            container: container.map(|container| container.to_string()),
            opened_at: stamp.opened_at,
            updated_at: stamp.updated_at,
            revision: stamp.revision.number(),
            position: stamp.position.number(),
        }
    }
}

/// Where a project's preview begins.
pub fn index_page(preview_url: &str, key: &ProjectKey) -> String {
    format!("{preview_url}/{key}/index.html")
}

/// An event as history and live changes show it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub struct EventView {
    pub id: String,
    pub position: u64,
    pub revision: u64,
    #[serde(rename = "type")]
    pub event_type: String,
    pub version: u32,
    pub recorded_at: DateTime<Utc>,
    pub actor: String,
    pub correlation_id: String,
    pub causation_id: Option<String>,
    /// What happened, in words.
    pub summary: String,
    #[schema(value_type = Object)]
    pub data: Box<RawValue>,
}

impl EventView {
    /// Shows an event; `decoded` is what it says.
    pub fn new(recorded: &RecordedEvent, decoded: &DomainEvent) -> Self {
        Self::of(recorded, describe(&recorded.metadata.actor, decoded, None))
    }

    /// Shows any event. One of a newer Firefly, or of no project or session, hides none of the others.
    ///
    /// `joined` is the project that a session's event speaks of, where its names are known.
    pub fn read(recorded: &RecordedEvent, joined: Option<&ProjectKey>) -> Self {
        match DomainEvent::decode(recorded) {
            Ok(Some(decoded)) => {
                let summary = describe(&recorded.metadata.actor, &decoded, joined);
                Self::of(recorded, summary)
            }
            Ok(None) => Self::of(recorded, describe_other(recorded)),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "event.stream" = %recorded.stream,
                    "an event is shown as it is, since it cannot be read"
                );
                let summary = "this Firefly cannot read the event; a newer one can";
                Self::of(recorded, summary.to_owned())
            }
        }
    }

    fn of(recorded: &RecordedEvent, summary: String) -> Self {
        Self {
            id: recorded.id.to_string(),
            position: recorded.position.number(),
            revision: recorded.revision.number(),
            event_type: recorded.event_type.clone(),
            version: recorded.schema_version,
            recorded_at: recorded.recorded_at,
            actor: recorded.metadata.actor.to_string(),
            correlation_id: recorded.metadata.correlation_id.to_string(),
            causation_id: recorded.metadata.causation_id.map(|id| id.to_string()),
            summary,
            data: recorded.data.clone(),
        }
    }
}
