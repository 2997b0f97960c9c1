//! What an action has come to when it failed too often.

use chrono::DateTime;
use firefly_domain::{EventId, FailureCode, Generation, ProjectKey, Segment};
use uuid::Uuid;

use super::*;
use crate::runtime::process;

fn opening() -> Arc<Opening> {
    let key = ProjectKey::new("alice", "montage", "app").unwrap();
    Arc::new(Opening {
        project: key.id(),
        key,
        source: Source::Template(Segment::parse("starter").unwrap()),
        branch: None,
        generation: Generation::new(3),
        since: DateTime::UNIX_EPOCH,
        not_before: DateTime::UNIX_EPOCH,
        started_at: None,
        occupied: false,
        fresh: false,
        filled: false,
        active_at: DateTime::UNIX_EPOCH,
        cause: EventId::from_uuid(Uuid::nil()),
        correlation_id: Uuid::nil(),
    })
}

fn unkillable() -> Error {
    Error::Runtime(runtime::Error::Process(process::Error::Unkillable {
        id: ContainerId::new("c2"),
    }))
}

fn release(keep: bool) -> Action {
    Action::Release {
        opening: opening(),
        containers: vec![],
        keep,
    }
}

#[test]
fn an_opening_fails_if_its_container_cannot_be_had() {
    let start = Action::Start {
        opening: opening(),
        basis: Basis::Nothing,
    };
    let Some(Action::GiveUp { failure, .. }) = unkillable().outcome(&start) else {
        panic!("it would be tried for ever");
    };
    assert_eq!(
        (failure.step, failure.code),
        (Step::Container, FailureCode::EngineFailed)
    );
    assert!(failure.detail.contains("c2"), "{}", failure.detail);
}

#[test]
fn a_container_that_does_not_wake_is_taken_for_interrupted() {
    let wake = Action::Wake {
        opening: opening(),
        container: ContainerId::new("c2"),
        endpoint: Endpoint::new("h:1"),
    };
    let Some(Action::ReportExit { cause, .. }) = unkillable().outcome(&wake) else {
        panic!("it would be tried for ever");
    };
    assert_eq!(cause, ExitCause::Interrupted);
}

#[test]
fn a_project_is_closed_even_if_its_container_does_not_end() {
    let Some(Action::GiveUpRelease { detail, .. }) = unkillable().outcome(&release(true)) else {
        panic!("it would be closing for ever");
    };
    assert!(detail.contains("c2"), "{detail}");
    // Nobody waits for the container of an opening that has failed.
    assert_eq!(unkillable().outcome(&release(false)), None);
}

#[test]
fn what_was_not_let_through_has_come_to_nothing() {
    let fenced = Error::NotLeading(NotLeading::NotHeld);
    assert!(fenced.is_fenced());
    assert_eq!(fenced.outcome(&release(true)), None);
}
