//! `containers`: every container there was, and how it ended.

use firefly_domain::project::Event;
use firefly_domain::{Aggregate, Project};
use firefly_event_store::{DomainEvent, RecordedEvent};
use firefly_read_models::ContainerRow;

use crate::projection::{Projection, sql};

pub(crate) struct Containers;

impl Projection for Containers {
    type Row = ContainerRow;

    const NAME: &'static str = "containers";
    const VERSION: u32 = 1;
    const CATEGORY: &'static str = Project::CATEGORY;

    fn key(event: &DomainEvent, _: &RecordedEvent) -> Option<String> {
        let DomainEvent::Project(project, event) = event else {
            return None;
        };
        let generation = match event {
            Event::ContainerStarted(started) => started.generation,
            Event::ContainerExited(exited) => exited.generation,
            Event::Paused(paused) => paused.generation,
            Event::Woken(woken) => woken.generation,
            Event::ContainerStopped(stopped) => stopped.generation,
            Event::ContainerRemoved(removed) => removed.generation,
            Event::WorkspaceKept(kept) => kept.generation,
            Event::WorkspaceDeleted(deleted) => deleted.generation,
            // A new generation takes the place of the one before it.
            Event::Opened(opened) => {
                let before = opened.generation.number().checked_sub(1)?;
                return Some(ContainerRow::key_of(&project.to_string(), before));
            }
            Event::RepositoryCloned(_)
            | Event::TemplateApplied(_)
            | Event::WorkspaceResumed(_)
            | Event::DependenciesInstalled(_)
            | Event::Ready(_)
            | Event::OpenFailed(_)
            | Event::Closed(_)
            | Event::UnsavedWorkChanged(_) => return None,
        };
        Some(ContainerRow::key_of(
            &project.to_string(),
            generation.number(),
        ))
    }

    fn apply(
        row: Option<ContainerRow>,
        event: &DomainEvent,
        recorded: &RecordedEvent,
    ) -> Option<ContainerRow> {
        let DomainEvent::Project(project, event) = event else {
            return row;
        };
        let position = sql(recorded.position.number());
        let mut row = match event {
            Event::ContainerStarted(started) => {
                let project = project.to_string();
                return Some(ContainerRow {
                    key: ContainerRow::key_of(&project, started.generation.number()),
                    id: started.container.as_str().to_owned(),
                    project,
                    generation: sql(started.generation.number()),
                    image: started.image.clone(),
                    from_pool: started.from_pool,
                    state: "running".to_owned(),
                    exit_code: None,
                    oom: false,
                    started_at: recorded.recorded_at,
                    ended_at: None,
                    position,
                });
            }
            Event::ContainerExited(exited) => ContainerRow {
                state: "exited".to_owned(),
                exit_code: exited.exit_code,
                oom: exited.oom,
                ended_at: Some(recorded.recorded_at),
                ..row?
            },
            Event::Paused(_) => in_state("paused", row?),
            Event::Woken(_) => in_state("running", row?),
            Event::ContainerStopped(_) => ContainerRow {
                ended_at: Some(recorded.recorded_at),
                ..in_state("stopped", row?)
            },
            _ => {
                let row = row?;
                if row.state == "removed" {
                    return Some(row);
                }
                ContainerRow {
                    state: "removed".to_owned(),
                    ended_at: row.ended_at.or(Some(recorded.recorded_at)),
                    ..row
                }
            }
        };
        row.position = position;
        Some(row)
    }
}

/// The same container in another state; one that is gone stays so.
fn in_state(state: &str, row: ContainerRow) -> ContainerRow {
    if row.state == "removed" {
        return row;
    }
    ContainerRow {
        state: state.to_owned(),
        ..row
    }
}
