//! Closing, restarting, crashing and deleting.

use super::super::report::CRASHES_MAX;
use super::*;
use crate::Aggregate;
use crate::project::State;

#[test]
fn closing_waits_for_the_container() {
    given::<Project>(an_open_project())
        .when(Command::Close)
        .then([closed(CloseReason::User, false)]);
    given::<Project>(a_closing_project())
        .when(Command::Close)
        .then_nothing();
    given::<Project>(a_closing_project())
        .when(report(FIRST, Outcome::ContainerRemoved))
        .then([removed()]);
    given::<Project>(a_closed_project())
        .when(Command::Close)
        .then_nothing();
    given::<Project>(a_closed_project())
        .when(report(FIRST, Outcome::ContainerRemoved))
        .then_nothing();
    given::<Project>([])
        .when(Command::Close)
        .then_rejected(Rejection::NotFound);
}

#[test]
fn a_failed_project_gives_its_container_back_and_can_be_closed() {
    given::<Project>([opened(FIRST, OpenCause::Asked), open_failed()])
        .when(report(FIRST, Outcome::ContainerRemoved))
        .then([removed()]);
    let events = with(a_failed_project(), closed(CloseReason::User, false));
    given::<Project>(events)
        .when(open(remote()))
        .then([opened(SECOND, OpenCause::Asked)]);
}

#[test]
fn restarting_begins_the_next_generation_with_the_same_source() {
    for events in [an_open_project(), a_failed_project(), a_closed_project()] {
        given::<Project>(events)
            .when(Command::Restart)
            .then([opened(SECOND, OpenCause::Restarted)]);
    }
    given::<Project>([])
        .when(Command::Restart)
        .then_rejected(Rejection::NotFound);
}

/// A container's end, as it is reported.
fn ended(generation: Generation, cause: ExitCause, occupied: bool, stable: bool) -> Command {
    let outcome = Outcome::Exited {
        exit_code: Some(137),
        oom: false,
        cause,
        occupied,
        stable,
    };
    report(generation, outcome)
}

#[test]
fn a_crash_closes_a_project_that_nobody_works_on() {
    for cause in [ExitCause::Crashed, ExitCause::Vanished] {
        given::<Project>(an_open_project())
            .when(ended(FIRST, cause, false, true))
            .then([exited(cause), closed(CloseReason::Crashed, false)]);
    }
}

#[test]
fn a_project_that_somebody_works_on_comes_back() {
    for (stable, cause) in [(true, OpenCause::Crashed), (false, OpenCause::CrashedAgain)] {
        given::<Project>(an_open_project())
            .when(ended(FIRST, ExitCause::Crashed, true, stable))
            .then([exited(ExitCause::Crashed), opened(SECOND, cause)]);
    }
}

/// A project whose container has crashed so often in a row, and runs again.
fn crashed(times: u64) -> (Generation, Vec<Event>) {
    let mut events = an_open_project();
    let mut generation = FIRST;
    for _ in 0..times {
        generation = generation.next();
        let started = Event::ContainerStarted(ContainerStarted {
            generation,
            container: ContainerId::new("c"),
            image: "image".into(),
            from_pool: false,
            kept: false,
            duration_ms: 1,
        });
        events.extend([opened(generation, OpenCause::CrashedAgain), started]);
    }
    (generation, events)
}

#[test]
fn a_container_that_crashes_again_and_again_has_failed() {
    let again = |times: u64| {
        let (generation, events) = crashed(times);
        let state = events.iter().fold(State::default(), Project::evolve);
        let crash = ended(generation, ExitCause::Crashed, true, false);
        Project::decide(&state, crash).unwrap()
    };
    let max = u64::from(CRASHES_MAX);
    assert!(matches!(again(max - 1)[..], [_, Event::Opened(_)]));
    let events = again(max);
    let [Event::ContainerExited(_), Event::OpenFailed(failed)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(failed.failure.code, FailureCode::CrashLoop);
    assert_eq!(
        failed.failure.detail,
        "the container ended 5 times, each time soon after it was started, the last time with exit code 137; mend what \
         ends it, then open the project again"
    );
}

#[test]
fn a_row_of_crashes_ends_with_a_good_while_or_when_somebody_asks() {
    let (generation, events) = crashed(u64::from(CRASHES_MAX));
    let state = |events: &[Event]| events.iter().fold(State::default(), Project::evolve);
    let decided = Project::decide(
        &state(&events),
        ended(generation, ExitCause::Crashed, true, true),
    );
    let reopened = opened(generation.next(), OpenCause::Crashed);
    assert_eq!(decided.unwrap()[1], reopened);
    for (cause, crashes) in [
        (OpenCause::Crashed, 0),
        (OpenCause::Restarted, 0),
        (OpenCause::Asked, 0),
        (OpenCause::Interrupted, 0),
    ] {
        let events = with(events.clone(), opened(generation.next(), cause));
        let state = state(&events);
        assert_eq!(state.known().unwrap().crashes, crashes, "{cause:?}");
    }
}

#[test]
fn an_interrupted_project_goes_on_in_the_next_generation() {
    let lost = ended(FIRST, ExitCause::Interrupted, false, false);
    for events in [
        an_open_project(),
        vec![opened(FIRST, OpenCause::Asked), started()],
    ] {
        given::<Project>(events).when(lost.clone()).then([
            exited(ExitCause::Interrupted),
            opened(SECOND, OpenCause::Interrupted),
        ]);
    }
    // It was on its way out, or had never begun to run.
    given::<Project>(a_closing_project())
        .when(lost.clone())
        .then_nothing();
    given::<Project>([opened(FIRST, OpenCause::Asked)])
        .when(lost)
        .then_nothing();
}

#[test]
fn unsaved_work_is_recorded_when_it_changes() {
    given::<Project>(an_open_project())
        .when(report(FIRST, Outcome::UnsavedWork(SOME_WORK)))
        .then([unsaved(SOME_WORK)]);
    given::<Project>(with(an_open_project(), unsaved(SOME_WORK)))
        .when(report(FIRST, Outcome::UnsavedWork(SOME_WORK)))
        .then_nothing();
}

#[test]
fn deleting_is_refused_while_work_would_be_lost() {
    let events = with(an_open_project(), unsaved(SOME_WORK));
    given::<Project>(events.clone())
        .when(Command::Delete { force: false })
        .then_rejected(Rejection::UnsavedWork(SOME_WORK));
    given::<Project>(events)
        .when(Command::Delete { force: true })
        .then([closed(CloseReason::Deleted, true)]);
}

#[test]
fn deleting_ends_with_the_workspace() {
    let deleting = with(a_closed_project(), closed(CloseReason::Deleted, false));
    given::<Project>(a_closed_project())
        .when(Command::Delete { force: false })
        .then([closed(CloseReason::Deleted, false)]);
    given::<Project>(deleting.clone())
        .when(Command::Delete { force: false })
        .then_nothing();
    given::<Project>(deleting.clone())
        .when(open(remote()))
        .then_rejected(Rejection::Deleting);
    given::<Project>(deleting.clone())
        .when(report(FIRST, Outcome::WorkspaceDeleted))
        .then([Event::WorkspaceDeleted(WorkspaceDeleted {
            generation: FIRST,
        })]);

    let deleted = with(
        deleting,
        Event::WorkspaceDeleted(WorkspaceDeleted { generation: FIRST }),
    );
    given::<Project>(deleted.clone())
        .when(Command::Delete { force: false })
        .then_rejected(Rejection::NotFound);
    given::<Project>(deleted)
        .when(open(elsewhere()))
        .then([opened_from(SECOND, elsewhere(), OpenCause::Asked)]);
}

#[test]
fn work_found_at_the_last_moment_keeps_the_workspace() {
    let deleting = with(a_closed_project(), closed(CloseReason::Deleted, false));
    let kept = Event::WorkspaceKept(WorkspaceKept {
        generation: FIRST,
        unsaved: SOME_WORK,
        detail: None,
    });
    given::<Project>(deleting.clone())
        .when(report(FIRST, Outcome::WorkspaceKept(SOME_WORK)))
        .then([kept.clone()]);
    given::<Project>(with(deleting, kept))
        .when(Command::Delete { force: false })
        .then_rejected(Rejection::UnsavedWork(SOME_WORK));

    let forced = with(a_closed_project(), closed(CloseReason::Deleted, true));
    given::<Project>(forced)
        .when(report(FIRST, Outcome::WorkspaceKept(SOME_WORK)))
        .then_nothing();
}

#[test]
fn a_deletion_that_fails_says_so_and_ends() {
    let failed = |force| Outcome::DeletionFailed {
        force,
        detail: "no permission".into(),
    };
    for force in [false, true] {
        let deleting = with(a_closed_project(), closed(CloseReason::Deleted, force));
        let kept = Event::WorkspaceKept(WorkspaceKept {
            generation: FIRST,
            unsaved: Unsaved::NONE,
            detail: Some("no permission".into()),
        });
        given::<Project>(deleting)
            .when(report(FIRST, failed(force)))
            .then([kept]);
    }
    given::<Project>(a_closed_project())
        .when(report(FIRST, failed(false)))
        .then_nothing();
}

#[test]
fn a_deletion_can_be_forced_while_it_is_at_work() {
    let deleting = with(a_closed_project(), closed(CloseReason::Deleted, false));
    given::<Project>(deleting)
        .when(Command::Delete { force: true })
        .then([closed(CloseReason::Deleted, true)]);

    // What the attempt before came to is no longer what was asked.
    let forced = [false, true].map(|force| closed(CloseReason::Deleted, force));
    let failed = Outcome::DeletionFailed {
        force: false,
        detail: "it cannot be inspected".into(),
    };
    given::<Project>([a_closed_project(), forced.into()].concat())
        .when(report(FIRST, failed))
        .then_nothing();
}
