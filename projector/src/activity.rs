//! `activity`: what happened to each project on each day, counted.

use firefly_domain::project::Event;
use firefly_domain::{Aggregate, Project};
use firefly_event_store::{DomainEvent, RecordedEvent};
use firefly_read_models::ActivityRow;

use crate::projection::{Projection, sql};

pub(crate) struct Activity;

impl Projection for Activity {
    type Row = ActivityRow;

    const NAME: &'static str = "activity";
    const VERSION: u32 = 1;
    const CATEGORY: &'static str = Project::CATEGORY;

    fn key(event: &DomainEvent, recorded: &RecordedEvent) -> Option<String> {
        let DomainEvent::Project(project, event) = event else {
            return None;
        };
        let counted = matches!(
            event,
            Event::Opened(_)
                | Event::Ready(_)
                | Event::OpenFailed(_)
                | Event::ContainerExited(_)
                | Event::Closed(_)
        );
        counted.then(|| ActivityRow::key_of(&day(recorded), &project.to_string()))
    }

    fn apply(
        row: Option<ActivityRow>,
        event: &DomainEvent,
        recorded: &RecordedEvent,
    ) -> Option<ActivityRow> {
        let DomainEvent::Project(project, event) = event else {
            return row;
        };
        let mut row = row.unwrap_or_else(|| {
            let (day, project) = (day(recorded), project.to_string());
            ActivityRow {
                key: ActivityRow::key_of(&day, &project),
                day,
                project,
                ..ActivityRow::default()
            }
        });
        match event {
            Event::Opened(_) => row.opened += 1,
            Event::Ready(ready) => {
                row.ready += 1;
                row.ready_ms = row.ready_ms.saturating_add(sql(ready.duration_ms));
            }
            Event::OpenFailed(_) => row.failed += 1,
            Event::ContainerExited(_) => row.exited += 1,
            Event::Closed(_) => row.closed += 1,
            Event::ContainerStarted(_)
            | Event::RepositoryCloned(_)
            | Event::TemplateApplied(_)
            | Event::WorkspaceResumed(_)
            | Event::DependenciesInstalled(_)
            | Event::Paused(_)
            | Event::Woken(_)
            | Event::ContainerStopped(_)
            | Event::ContainerRemoved(_)
            | Event::UnsavedWorkChanged(_)
            | Event::WorkspaceKept(_)
            | Event::WorkspaceDeleted(_) => {}
        }
        row.position = sql(recorded.position.number());
        Some(row)
    }
}

/// The day of an event in UTC.
fn day(recorded: &RecordedEvent) -> String {
    recorded.recorded_at.format("%Y-%m-%d").to_string()
}
