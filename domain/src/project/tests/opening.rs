//! Asking for a project.

use super::*;

#[test]
fn opening_a_new_project_begins_its_first_generation() {
    given::<Project>([])
        .when(open(remote()))
        .then([opened(FIRST, OpenCause::Asked)]);
}

#[test]
fn opening_an_open_project_again_changes_nothing() {
    given::<Project>([opened(FIRST, OpenCause::Asked)])
        .when(open(remote()))
        .then_nothing();
    given::<Project>(an_open_project())
        .when(open(remote()))
        .then_nothing();
}

#[test]
fn opening_a_closed_project_begins_the_next_generation() {
    given::<Project>(a_closed_project())
        .when(open(remote()))
        .then([opened(SECOND, OpenCause::Asked)]);
}

#[test]
fn a_project_is_opened_again_from_where_it_came() {
    given::<Project>(a_closed_project())
        .when(REOPEN)
        .then([opened(SECOND, OpenCause::Asked)]);
    given::<Project>(an_open_project())
        .when(REOPEN)
        .then_nothing();
    given::<Project>(a_closing_project())
        .when(REOPEN)
        .then_rejected(Rejection::Closing);
    given::<Project>([])
        .when(REOPEN)
        .then_rejected(Rejection::NotFound);
}

#[test]
fn a_deleted_project_is_opened_again_from_where_it_came() {
    given::<Project>(a_deleted_project())
        .when(REOPEN)
        .then([opened(SECOND, OpenCause::Asked)]);
    given::<Project>(a_deleted_project())
        .when(open(elsewhere()))
        .then([opened_from(SECOND, elsewhere(), OpenCause::Asked)]);
    given::<Project>(a_deleted_project())
        .when(Command::Restart)
        .then_rejected(Rejection::NotFound);
}

#[test]
fn a_workspace_is_never_given_to_another_source() {
    for events in [an_open_project(), a_closed_project()] {
        given::<Project>(events)
            .when(open(elsewhere()))
            .then_rejected(Rejection::OtherSource {
                current: "https://host/montage/app.git".into(),
            });
    }
}

#[test]
fn a_workspace_stays_on_its_branch() {
    for events in [
        an_open_project(),
        a_closed_project(),
        vec![opened(FIRST, OpenCause::Asked)],
    ] {
        given::<Project>(events)
            .when(open_at(remote(), Some("dev")))
            .then_rejected(Rejection::OtherBranch { current: None });
    }
    let other_branch = |generation| {
        let branch = Some(Branch::parse("dev").unwrap());
        Event::Opened(Opened {
            generation,
            key: key(),
            source: remote(),
            branch,
            cause: OpenCause::Asked,
        })
    };
    // There is nothing to be kept yet.
    given::<Project>(a_failed_project())
        .when(open_at(remote(), Some("dev")))
        .then([other_branch(SECOND)]);
    // Whoever names none means the one it is on.
    let on_dev = [vec![other_branch(FIRST)], a_closed_project().split_off(1)].concat();
    given::<Project>(on_dev.clone())
        .when(open(remote()))
        .then([other_branch(SECOND)]);
    given::<Project>(on_dev)
        .when(REOPEN)
        .then([other_branch(SECOND)]);
}

#[test]
fn a_workspace_that_was_made_while_its_project_closed_counts() {
    let closing = vec![
        opened(FIRST, OpenCause::Asked),
        started(),
        closed(CloseReason::User, false),
    ];
    let was_cloned = Outcome::Cloned {
        branch: "main".into(),
        commit: "c0ffee".into(),
        duration_ms: 900,
    };
    given::<Project>(closing.clone())
        .when(report(FIRST, was_cloned.clone()))
        .then([cloned()]);
    given::<Project>(with(closing.clone(), cloned()))
        .when(report(FIRST, was_cloned))
        .then_nothing();
    given::<Project>([closing, vec![cloned(), removed()]].concat())
        .when(open(elsewhere()))
        .then_rejected(Rejection::OtherSource {
            current: "https://host/montage/app.git".into(),
        });
}

#[test]
fn a_wrong_source_is_corrected_while_there_is_no_workspace() {
    given::<Project>(a_failed_project())
        .when(open(elsewhere()))
        .then([opened_from(SECOND, elsewhere(), OpenCause::Asked)]);
}

#[test]
fn a_closing_project_is_not_opened_or_restarted() {
    given::<Project>(a_closing_project())
        .when(open(remote()))
        .then_rejected(Rejection::Closing);
    given::<Project>(a_closing_project())
        .when(Command::Restart)
        .then_rejected(Rejection::Closing);
}
