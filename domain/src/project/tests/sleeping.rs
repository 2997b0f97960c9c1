//! Pausing, waking, and being put away.

use super::*;
use crate::project::WakeCause;
use crate::project::event::{ContainerStopped, Paused, Woken};

const QUIET: Outcome = Outcome::Quiet { quiet_ms: 300_000 };
const WAKE: Command = Command::Wake(WakeCause::Preview);

fn paused() -> Event {
    Event::Paused(Paused {
        generation: FIRST,
        quiet_ms: 300_000,
    })
}

fn woken(cause: WakeCause) -> Event {
    Event::Woken(Woken {
        generation: FIRST,
        cause,
    })
}

fn stopped() -> Event {
    Event::ContainerStopped(ContainerStopped {
        generation: FIRST,
        detail: None,
    })
}

fn a_paused_project() -> Vec<Event> {
    with(an_open_project(), paused())
}

fn a_project_put_away(reason: CloseReason) -> Vec<Event> {
    [a_paused_project(), vec![closed(reason, false), stopped()]].concat()
}

fn awake() -> Outcome {
    Outcome::Ready {
        endpoint: Endpoint::new("10.0.0.2:2441"),
        duration_ms: 17,
    }
}

#[test]
fn only_a_project_that_is_ready_is_paused() {
    given::<Project>(an_open_project())
        .when(report(FIRST, QUIET))
        .then([paused()]);
    let opening = vec![opened(FIRST, OpenCause::Asked), started()];
    let waking = with(a_paused_project(), woken(WakeCause::Preview));
    for events in [opening, a_paused_project(), waking, a_closed_project()] {
        given::<Project>(events)
            .when(report(FIRST, QUIET))
            .then_nothing();
    }
}

#[test]
fn a_visitor_wakes_what_sleeps_and_it_is_ready_once_it_answers() {
    given::<Project>(a_paused_project())
        .when(WAKE)
        .then([woken(WakeCause::Preview)]);
    let waking = with(a_paused_project(), woken(WakeCause::Preview));
    given::<Project>(waking.clone()).when(WAKE).then_nothing();
    let ready = Event::Ready(Ready {
        generation: FIRST,
        endpoint: Endpoint::new("10.0.0.2:2441"),
        duration_ms: 17,
    });
    given::<Project>(waking)
        .when(report(FIRST, awake()))
        .then([ready]);
    given::<Project>(a_paused_project())
        .when(report(FIRST, awake()))
        .then_nothing();
}

#[test]
fn opening_wakes_what_is_paused_from_there() {
    given::<Project>(a_paused_project())
        .when(open(remote()))
        .then([woken(WakeCause::Asked)]);
    given::<Project>(a_paused_project())
        .when(REOPEN)
        .then([woken(WakeCause::Asked)]);
    given::<Project>(a_paused_project())
        .when(open(elsewhere()))
        .then_rejected(Rejection::OtherSource {
            current: remote().to_string(),
        });
}

#[test]
fn what_is_put_away_keeps_its_container_and_comes_back_for_a_visitor() {
    for reason in [CloseReason::Idle, CloseReason::MemoryWanted] {
        for events in [an_open_project(), a_paused_project()] {
            given::<Project>(events)
                .when(report(FIRST, Outcome::PutAway(reason)))
                .then([closed(reason, false)]);
        }
        given::<Project>(with(a_paused_project(), closed(reason, false)))
            .when(report(FIRST, Outcome::ContainerStopped { detail: None }))
            .then([stopped()]);
        given::<Project>(a_project_put_away(reason))
            .when(WAKE)
            .then([opened(SECOND, OpenCause::Woken)]);
    }
}

#[test]
fn a_visitor_does_not_open_what_somebody_closed() {
    given::<Project>(a_closed_project())
        .when(WAKE)
        .then_rejected(Rejection::NotAsleep);
    given::<Project>(a_failed_project())
        .when(WAKE)
        .then_rejected(Rejection::NotAsleep);
    given::<Project>(a_closing_project())
        .when(WAKE)
        .then_rejected(Rejection::Closing);
    for events in [vec![], a_deleted_project()] {
        given::<Project>(events)
            .when(WAKE)
            .then_rejected(Rejection::NotFound);
    }
}

#[test]
fn work_is_not_put_away_while_it_is_on_its_way() {
    let opening = vec![opened(FIRST, OpenCause::Asked), started()];
    let waking = with(a_paused_project(), woken(WakeCause::Asked));
    for events in [opening, waking, a_closing_project()] {
        given::<Project>(events)
            .when(report(FIRST, Outcome::PutAway(CloseReason::Idle)))
            .then_nothing();
    }
}

#[test]
fn one_that_is_lost_in_its_sleep_is_not_started_for_nobody() {
    let lost = |cause| {
        let outcome = Outcome::Exited {
            exit_code: Some(137),
            oom: false,
            cause,
            occupied: true,
            stable: true,
        };
        report(FIRST, outcome)
    };
    for (cause, reason) in [
        (ExitCause::Interrupted, CloseReason::Idle),
        (ExitCause::Crashed, CloseReason::Crashed),
    ] {
        given::<Project>(a_paused_project())
            .when(lost(cause))
            .then([exited(cause), closed(reason, false)]);
    }
    let waking = with(a_paused_project(), woken(WakeCause::Preview));
    given::<Project>(waking)
        .when(lost(ExitCause::Interrupted))
        .then([
            exited(ExitCause::Interrupted),
            opened(SECOND, OpenCause::Interrupted),
        ]);
}

#[test]
fn a_paused_project_is_closed_restarted_and_deleted_like_any_other() {
    given::<Project>(a_paused_project())
        .when(Command::Close)
        .then([closed(CloseReason::User, false)]);
    given::<Project>(a_paused_project())
        .when(Command::Restart)
        .then([opened(SECOND, OpenCause::Restarted)]);
    given::<Project>(a_paused_project())
        .when(Command::Delete { force: false })
        .then([closed(CloseReason::Deleted, false)]);
}
