//! `projects`: one row a project, as it stands.

use firefly_domain::project::event::Opened;
use firefly_domain::project::{CloseReason, Event};
use firefly_domain::{Aggregate, Project, Step};
use firefly_event_store::{DomainEvent, RecordedEvent};
use firefly_read_models::ProjectRow;

use crate::projection::{Projection, sql};

pub(crate) struct Projects;

impl Projection for Projects {
    type Row = ProjectRow;

    const NAME: &'static str = "projects";
    const VERSION: u32 = 1;
    const CATEGORY: &'static str = Project::CATEGORY;

    fn key(event: &DomainEvent, _: &RecordedEvent) -> Option<String> {
        match event {
            DomainEvent::Project(project, _) => Some(project.to_string()),
            DomainEvent::Session(..) => None,
        }
    }

    fn apply(
        row: Option<ProjectRow>,
        event: &DomainEvent,
        recorded: &RecordedEvent,
    ) -> Option<ProjectRow> {
        let DomainEvent::Project(project, event) = event else {
            return row;
        };
        let mut row = match event {
            Event::Opened(opened) => open(row, project.to_string(), opened, recorded),
            _ => change(row?, event),
        };
        row.updated_at = recorded.recorded_at;
        row.revision = sql(recorded.revision.number());
        row.position = sql(recorded.position.number());
        Some(row)
    }
}

/// An opening begins anew but for what is in the workspace.
fn open(
    before: Option<ProjectRow>,
    id: String,
    opened: &Opened,
    recorded: &RecordedEvent,
) -> ProjectRow {
    let (unsaved_files, unsaved_commits) =
        before.map_or((0, 0), |row| (row.unsaved_files, row.unsaved_commits));
    ProjectRow {
        id,
        user: opened.key.user.as_str().to_owned(),
        owner: opened.key.owner.as_str().to_owned(),
        repo: opened.key.repo.as_str().to_owned(),
        source: opened.source.to_string(),
        branch: opened
            .branch
            .as_ref()
            .map(|branch| branch.as_str().to_owned()),
        state: "opening".to_owned(),
        step: Some(Step::Container.as_str().to_owned()),
        generation: sql(opened.generation.number()),
        container: None,
        released: false,
        failure_step: None,
        failure_code: None,
        failure_detail: None,
        closed_reason: None,
        unsaved_files,
        unsaved_commits,
        opened_at: recorded.recorded_at,
        updated_at: recorded.recorded_at,
        revision: 0,
        position: 0,
    }
}

fn change(mut row: ProjectRow, event: &Event) -> ProjectRow {
    let state = |state: &str| state.to_owned();
    match event {
        Event::Opened(_) => {}
        Event::ContainerStarted(started) => {
            row.step = Some(Step::Source.as_str().to_owned());
            row.container = Some(started.container.as_str().to_owned());
        }
        Event::RepositoryCloned(_) | Event::TemplateApplied(_) | Event::WorkspaceResumed(_) => {
            advance(&mut row, Step::Install);
        }
        Event::DependenciesInstalled(_) => advance(&mut row, Step::Preview),
        Event::Ready(_) => {
            row.state = state("ready");
            row.step = None;
        }
        Event::Paused(_) => row.state = state("paused"),
        Event::Woken(_) => row.state = state("waking"),
        Event::OpenFailed(failed) => {
            row.state = state("failed");
            row.step = None;
            row.container = None;
            row.failure_step = Some(failed.failure.step.as_str().to_owned());
            row.failure_code = Some(failed.failure.code.as_str().to_owned());
            row.failure_detail = Some(failed.failure.detail.clone());
        }
        Event::ContainerExited(_) => row.container = None,
        Event::Closed(closed) => close(&mut row, closed.reason),
        Event::ContainerStopped(_) | Event::ContainerRemoved(_) => {
            row.released = true;
            if row.state == "closing" {
                row.state = state("closed");
            }
        }
        Event::UnsavedWorkChanged(changed) => {
            row.unsaved_files = sql(changed.unsaved.files);
            row.unsaved_commits = sql(changed.unsaved.commits);
        }
        Event::WorkspaceKept(kept) => {
            row.state = state("closed");
            row.unsaved_files = sql(kept.unsaved.files);
            row.unsaved_commits = sql(kept.unsaved.commits);
        }
        Event::WorkspaceDeleted(_) => {
            row.state = state("deleted");
            row.unsaved_files = 0;
            row.unsaved_commits = 0;
        }
    }
    row
}

fn close(row: &mut ProjectRow, reason: CloseReason) {
    // A failed opening that has given its container back has nothing left to close.
    let released = row.state == "failed" && row.released;
    row.state = match (reason, released) {
        (CloseReason::Deleted, _) => "deleting",
        (_, true) => "closed",
        (_, false) => "closing",
    }
    .to_owned();
    row.step = None;
    row.container = None;
    row.closed_reason = Some(reason.as_str().to_owned());
    row.failure_step = None;
    row.failure_code = None;
    row.failure_detail = None;
}

/// A workspace that is made while its project is closing already is recorded too; then no step is at work any longer.
fn advance(row: &mut ProjectRow, step: Step) {
    if row.state == "opening" {
        row.step = Some(step.as_str().to_owned());
    }
}
