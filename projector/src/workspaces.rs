//! `workspaces`: the files that users have, whether their projects are open or not.

use firefly_domain::control::Unsaved;
use firefly_domain::project::Event;
use firefly_domain::{Aggregate, Project};
use firefly_event_store::{DomainEvent, RecordedEvent};
use firefly_read_models::WorkspaceRow;

use crate::projection::{Projection, sql};

pub(crate) struct Workspaces;

impl Projection for Workspaces {
    type Row = WorkspaceRow;

    const NAME: &'static str = "workspaces";
    const VERSION: u32 = 1;
    const CATEGORY: &'static str = Project::CATEGORY;

    fn key(event: &DomainEvent, _: &RecordedEvent) -> Option<String> {
        let DomainEvent::Project(project, event) = event else {
            return None;
        };
        match event {
            Event::Opened(_)
            | Event::RepositoryCloned(_)
            | Event::TemplateApplied(_)
            | Event::WorkspaceResumed(_)
            | Event::DependenciesInstalled(_)
            | Event::UnsavedWorkChanged(_)
            | Event::WorkspaceKept(_)
            | Event::WorkspaceDeleted(_) => Some(project.to_string()),
            Event::ContainerStarted(_)
            | Event::Ready(_)
            | Event::OpenFailed(_)
            | Event::ContainerExited(_)
            | Event::Closed(_)
            | Event::Paused(_)
            | Event::Woken(_)
            | Event::ContainerStopped(_)
            | Event::ContainerRemoved(_) => None,
        }
    }

    fn apply(
        row: Option<WorkspaceRow>,
        event: &DomainEvent,
        recorded: &RecordedEvent,
    ) -> Option<WorkspaceRow> {
        let DomainEvent::Project(project, event) = event else {
            return row;
        };
        let mut row = match (row, event) {
            (Some(row), _) => row,
            (None, Event::Opened(opened)) => WorkspaceRow {
                project: project.to_string(),
                user: opened.key.user.as_str().to_owned(),
                source: String::new(),
                state: "none".to_owned(),
                branch: None,
                commit: None,
                packages: None,
                unsaved_files: 0,
                unsaved_commits: 0,
                opened_at: recorded.recorded_at,
                deleted_at: None,
                position: 0,
            },
            (None, _) => return None,
        };
        change(&mut row, event, recorded);
        row.position = sql(recorded.position.number());
        Some(row)
    }
}

fn change(row: &mut WorkspaceRow, event: &Event, recorded: &RecordedEvent) {
    match event {
        Event::Opened(opened) => {
            row.source = opened.source.to_string();
            row.opened_at = recorded.recorded_at;
        }
        Event::RepositoryCloned(cloned) => {
            present(
                row,
                Some(cloned.branch.clone()),
                Some(cloned.commit.clone()),
            );
        }
        Event::TemplateApplied(applied) => present(row, None, Some(applied.commit.clone())),
        Event::WorkspaceResumed(resumed) => {
            present(row, resumed.branch.clone(), resumed.commit.clone());
        }
        Event::DependenciesInstalled(installed) => row.packages = Some(sql(installed.packages)),
        Event::UnsavedWorkChanged(changed) => unsaved(row, changed.unsaved),
        Event::WorkspaceKept(kept) => unsaved(row, kept.unsaved),
        Event::WorkspaceDeleted(_) => {
            row.state = "deleted".to_owned();
            row.deleted_at = Some(recorded.recorded_at);
            row.packages = None;
            unsaved(row, Unsaved::default());
        }
        Event::ContainerStarted(_)
        | Event::Ready(_)
        | Event::OpenFailed(_)
        | Event::ContainerExited(_)
        | Event::Closed(_)
        | Event::Paused(_)
        | Event::Woken(_)
        | Event::ContainerStopped(_)
        | Event::ContainerRemoved(_) => {}
    }
}

fn present(row: &mut WorkspaceRow, branch: Option<String>, commit: Option<String>) {
    row.state = "present".to_owned();
    row.branch = branch;
    row.commit = commit;
    row.deleted_at = None;
}

const fn unsaved(row: &mut WorkspaceRow, unsaved: Unsaved) {
    row.unsaved_files = sql(unsaved.files);
    row.unsaved_commits = sql(unsaved.commits);
}
