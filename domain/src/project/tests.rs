//! The rules of a project, as examples.

mod ending;
mod opening;
mod reports;
mod sleeping;

use crate::control::Unsaved;
use crate::project::event::{
    Closed, ContainerExited, ContainerRemoved, ContainerStarted, DependenciesInstalled, Event,
    OpenFailed, Opened, Ready, RepositoryCloned, UnsavedWorkChanged, WorkspaceDeleted,
    WorkspaceKept,
};
use crate::project::{
    CloseReason, Command, ExitCause, OpenCause, Origin, Outcome, Project, Rejection,
};
use crate::testing::given;
use crate::{
    Branch, ContainerId, Endpoint, Failure, FailureCode, Generation, GitUrl, ProjectKey, Source,
    Step,
};

const FIRST: Generation = Generation::new(1);
const SECOND: Generation = Generation::new(2);
const REOPEN: Command = Command::Reopen { branch: None };
const SOME_WORK: Unsaved = Unsaved {
    files: 2,
    commits: 1,
};

fn key() -> ProjectKey {
    ProjectKey::new("alice", "montage", "app").unwrap()
}

fn remote() -> Source {
    Source::Git(GitUrl::parse("https://host/montage/app.git").unwrap())
}

fn elsewhere() -> Source {
    Source::Git(GitUrl::parse("https://host/other/app.git").unwrap())
}

fn open(source: Source) -> Command {
    open_at(source, None)
}

fn open_at(source: Source, branch: Option<&str>) -> Command {
    let branch = branch.map(|branch| Branch::parse(branch).unwrap());
    Command::Open {
        key: key(),
        source,
        branch,
    }
}

fn report(generation: Generation, outcome: Outcome) -> Command {
    Command::Report {
        generation,
        outcome,
    }
}

fn opened(generation: Generation, cause: OpenCause) -> Event {
    opened_from(generation, remote(), cause)
}

fn opened_from(generation: Generation, source: Source, cause: OpenCause) -> Event {
    Event::Opened(Opened {
        generation,
        key: key(),
        source,
        branch: None,
        cause,
    })
}

fn started() -> Event {
    Event::ContainerStarted(ContainerStarted {
        generation: FIRST,
        container: ContainerId::new("c1"),
        image: "image".into(),
        from_pool: false,
        kept: false,
        duration_ms: 400,
    })
}

fn cloned() -> Event {
    Event::RepositoryCloned(RepositoryCloned {
        generation: FIRST,
        branch: "main".into(),
        commit: "c0ffee".into(),
        duration_ms: 900,
    })
}

fn installed() -> Event {
    Event::DependenciesInstalled(DependenciesInstalled {
        generation: FIRST,
        packages: 3,
        reused: false,
        duration_ms: 2_000,
    })
}

fn ready() -> Event {
    Event::Ready(Ready {
        generation: FIRST,
        endpoint: Endpoint::new("10.0.0.2:2441"),
        duration_ms: 3_000,
    })
}

fn failure() -> Failure {
    Failure::new(
        Step::Source,
        FailureCode::RemoteUnreachable,
        "the host does not answer",
    )
}

fn open_failed() -> Event {
    Event::OpenFailed(OpenFailed {
        generation: FIRST,
        failure: failure(),
    })
}

fn closed(reason: CloseReason, force: bool) -> Event {
    Event::Closed(Closed {
        generation: FIRST,
        reason,
        force,
    })
}

fn removed() -> Event {
    Event::ContainerRemoved(ContainerRemoved { generation: FIRST })
}

fn exited(cause: ExitCause) -> Event {
    Event::ContainerExited(ContainerExited {
        generation: FIRST,
        exit_code: Some(137),
        oom: false,
        cause,
    })
}

fn unsaved(unsaved: Unsaved) -> Event {
    Event::UnsavedWorkChanged(UnsavedWorkChanged {
        generation: FIRST,
        unsaved,
    })
}

fn an_open_project() -> Vec<Event> {
    vec![
        opened(FIRST, OpenCause::Asked),
        started(),
        cloned(),
        installed(),
        ready(),
    ]
}

fn a_closed_project() -> Vec<Event> {
    [
        an_open_project(),
        vec![closed(CloseReason::User, false), removed()],
    ]
    .concat()
}

fn a_closing_project() -> Vec<Event> {
    [an_open_project(), vec![closed(CloseReason::User, false)]].concat()
}

fn a_deleted_project() -> Vec<Event> {
    [
        a_closed_project(),
        vec![
            closed(CloseReason::Deleted, false),
            Event::WorkspaceDeleted(WorkspaceDeleted { generation: FIRST }),
        ],
    ]
    .concat()
}

fn a_failed_project() -> Vec<Event> {
    vec![
        opened(FIRST, OpenCause::Asked),
        started(),
        open_failed(),
        removed(),
    ]
}

fn with(mut events: Vec<Event>, event: Event) -> Vec<Event> {
    events.push(event);
    events
}
