//! What became of an opening.

use super::*;

#[test]
fn the_steps_of_an_opening_are_recorded_once_and_in_order() {
    let outcomes = [
        (
            Outcome::ContainerStarted {
                container: ContainerId::new("c1"),
                image: "image".into(),
                origin: Origin::New,
                duration_ms: 400,
            },
            started(),
        ),
        (
            Outcome::Cloned {
                branch: "main".into(),
                commit: "c0ffee".into(),
                duration_ms: 900,
            },
            cloned(),
        ),
        (
            Outcome::Installed {
                packages: 3,
                reused: false,
                duration_ms: 2_000,
            },
            installed(),
        ),
        (
            Outcome::Ready {
                endpoint: Endpoint::new("10.0.0.2:2441"),
                duration_ms: 3_000,
            },
            ready(),
        ),
    ];
    let mut history = vec![opened(FIRST, OpenCause::Asked)];
    for (outcome, event) in outcomes {
        given::<Project>(history.clone())
            .when(report(FIRST, outcome.clone()))
            .then([event.clone()]);
        history.push(event);
        given::<Project>(history.clone())
            .when(report(FIRST, outcome))
            .then_nothing();
    }
}

#[test]
fn a_step_that_is_not_at_work_cannot_end() {
    given::<Project>([opened(FIRST, OpenCause::Asked)])
        .when(report(
            FIRST,
            Outcome::Ready {
                endpoint: Endpoint::new("x:1"),
                duration_ms: 1,
            },
        ))
        .then_nothing();
}

#[test]
fn an_older_generation_changes_nothing() {
    let events = with(a_closed_project(), opened(SECOND, OpenCause::Asked));
    given::<Project>(events)
        .when(report(FIRST, Outcome::Failed(failure())))
        .then_rejected(Rejection::Fenced {
            reported: FIRST,
            current: SECOND,
        });
}

#[test]
fn a_failed_opening_says_where_and_why() {
    given::<Project>([opened(FIRST, OpenCause::Asked), started()])
        .when(report(FIRST, Outcome::Failed(failure())))
        .then([open_failed()]);
    given::<Project>(a_failed_project())
        .when(report(FIRST, Outcome::Failed(failure())))
        .then_nothing();
    given::<Project>(an_open_project())
        .when(report(FIRST, Outcome::Failed(failure())))
        .then_nothing();
}
