//! When projects are put to sleep, and woken.

use super::*;

const PAUSE_AFTER: TimeDelta = TimeDelta::minutes(5);
const STOP_AFTER: TimeDelta = TimeDelta::minutes(60);

fn asleep() -> Want {
    Want::Asleep {
        container: the_id(),
    }
}

fn awake() -> Want {
    Want::Awake {
        container: the_id(),
    }
}

fn quiet(quiet: TimeDelta) -> Action {
    Action::ReportQuiet {
        opening: opening(),
        quiet: quiet.to_std().unwrap(),
    }
}

fn put_away(reason: CloseReason) -> Action {
    Action::PutAway {
        opening: opening(),
        reason,
    }
}

#[test]
fn a_project_that_nobody_uses_is_said_to_be_quiet() {
    let ready = || wanting(the_container()).with(running()).linked();
    ready()
        .after(PAUSE_AFTER - TimeDelta::seconds(1))
        .plans_nothing();
    ready().after(PAUSE_AFTER).plans([quiet(PAUSE_AFTER)]);
}

#[test]
fn a_project_that_is_being_opened_does_not_sleep() {
    wanting(the_container_still_opening())
        .with(running())
        .linked()
        .after(PAUSE_AFTER * 2)
        .plans_nothing();
}

#[test]
fn use_keeps_it_awake_and_so_does_a_time_that_nobody_saw() {
    let ready = || {
        wanting(the_container())
            .with(running())
            .linked()
            .after(PAUSE_AFTER)
    };
    let minute = DateTime::UNIX_EPOCH + TimeDelta::minutes(1);
    Case {
        used: BTreeMap::from([(opening().project, minute)]),
        ..ready()
    }
    .plans_nothing();
    Case {
        begun: minute,
        ..ready()
    }
    .plans_nothing();
}

#[test]
fn what_is_to_sleep_is_paused_and_what_is_to_go_on_is_woken() {
    wanting(asleep()).with(running()).plans([Action::Pause {
        opening: opening(),
        container: the_id(),
    }]);
    let wake = || Action::Wake {
        opening: opening(),
        container: the_id(),
        endpoint: endpoint(),
    };
    for status in [paused(), running()] {
        wanting(awake()).with(status).plans([wake()]);
    }
    // Somebody else paused it.
    wanting(the_container()).with(paused()).plans([wake()]);
}

#[test]
fn one_that_sleeps_for_long_is_put_away() {
    let sleeping = || wanting(asleep()).with(paused());
    sleeping()
        .after(STOP_AFTER - TimeDelta::seconds(1))
        .plans_nothing();
    sleeping()
        .after(STOP_AFTER)
        .plans([put_away(CloseReason::Idle)]);
}

#[test]
fn where_memory_is_short_the_longest_sleeper_is_put_away() {
    let other = opening_of("other");
    let minute = DateTime::UNIX_EPOCH + TimeDelta::minutes(1);
    let two = || {
        Case {
            used: BTreeMap::from([(other.project, minute)]),
            memory_wanted: true,
            ..wanting(asleep()).with(paused())
        }
        .and(
            Arc::clone(&other),
            Want::Asleep {
                container: another_id(),
            },
        )
        .there_is(another_id(), Serves::Project(other.project), paused())
    };
    two().plans([put_away(CloseReason::MemoryWanted)]);
    two().busy().plans([Action::PutAway {
        opening: Arc::clone(&other),
        reason: CloseReason::MemoryWanted,
    }]);
    Case {
        memory_wanted: false,
        ..two()
    }
    .plans_nothing();
}

#[test]
fn one_that_is_lost_in_its_sleep_is_reported() {
    for want in [asleep(), awake()] {
        wanting(want).plans([exit(None, false, ExitCause::Vanished)]);
    }
}
