//! What is done in each situation.

use firefly_domain::{EventId, GitUrl, ProjectKey, Source};
use uuid::Uuid;

use super::*;
use crate::runtime::Exit;

const GENERATION: Generation = Generation::new(3);

fn opening() -> Arc<Opening> {
    let key = ProjectKey::new("alice", "montage", "app").unwrap();
    Arc::new(Opening {
        project: key.id(),
        key,
        source: Source::Git(GitUrl::parse("https://host/montage/app.git").unwrap()),
        branch: None,
        generation: GENERATION,
        since: DateTime::UNIX_EPOCH,
        not_before: DateTime::UNIX_EPOCH,
        started_at: None,
        occupied: false,
        cause: EventId::from_uuid(Uuid::nil()),
        correlation_id: Uuid::nil(),
    })
}

fn endpoint() -> Endpoint {
    Endpoint::new("10.0.0.2:2441")
}

fn running() -> Status {
    Status::Running {
        endpoint: endpoint(),
    }
}

fn exited(exit_code: i64, oom: bool) -> Status {
    Status::Exited(Exit {
        exit_code: Some(exit_code),
        oom,
        finished_at: None,
    })
}

fn container(generation: Generation, status: Status) -> Observed {
    let id = ContainerId::new(format!("c{generation}"));
    Observed {
        id,
        project: opening().project,
        generation,
        status,
    }
}

/// A situation of one project; the defaults are the quiet ones.
struct Case {
    want: Option<Want>,
    observed: Vec<Observed>,
    busy: bool,
    linked: bool,
    seen: bool,
    begun: DateTime<Utc>,
    now: DateTime<Utc>,
}

fn wanting(want: Want) -> Case {
    Case {
        want: Some(want),
        observed: vec![],
        busy: false,
        linked: false,
        seen: true,
        begun: DateTime::UNIX_EPOCH,
        now: DateTime::UNIX_EPOCH,
    }
}

impl Case {
    fn with(mut self, generation: Generation, status: Status) -> Self {
        self.observed.push(container(generation, status));
        self
    }

    fn linked(mut self) -> Self {
        self.linked = true;
        self
    }

    fn busy(mut self) -> Self {
        self.busy = true;
        self
    }

    fn never_seen(mut self) -> Self {
        self.seen = false;
        self
    }

    fn after(mut self, time: TimeDelta) -> Self {
        self.now += time;
        self
    }

    #[track_caller]
    fn plans(self, expected: impl IntoIterator<Item = Action>) {
        let project = opening().project;
        let wanted = self
            .want
            .map(|want| {
                (
                    project,
                    Wanted {
                        opening: opening(),
                        want,
                    },
                )
            })
            .into_iter()
            .collect();
        let situation = Situation {
            wanted: &wanted,
            observed: &self.observed,
            busy: &self.busy.then_some(project).into_iter().collect(),
            linked: &self
                .linked
                .then_some((project, GENERATION))
                .into_iter()
                .collect(),
            seen: &self
                .seen
                .then_some((project, GENERATION))
                .into_iter()
                .collect(),
            begun: self.begun,
            now: self.now,
        };
        assert_eq!(plan(situation), expected.into_iter().collect::<Vec<_>>());
    }

    #[track_caller]
    fn plans_nothing(self) {
        self.plans([]);
    }
}

fn a_new_container() -> Want {
    Want::Running {
        started: None,
        ready: false,
    }
}

fn the_container() -> Want {
    Want::Running {
        started: Some(ContainerId::new("c3")),
        ready: true,
    }
}

fn exit(exit_code: Option<i64>, oom: bool, cause: ExitCause) -> Action {
    Action::ReportExit {
        opening: opening(),
        exit_code,
        oom,
        cause,
        stable: false,
    }
}

fn discarded(generation: u64) -> Action {
    Action::Discard {
        project: opening().project,
        opening: None,
        containers: vec![ContainerId::new(format!("c{generation}"))],
    }
}

fn discarded_before_a_start(generation: u64) -> Action {
    Action::Discard {
        project: opening().project,
        opening: Some(opening()),
        containers: vec![ContainerId::new(format!("c{generation}"))],
    }
}

#[test]
fn an_opening_without_a_container_gets_one() {
    wanting(a_new_container()).plans([Action::Start(opening())]);
}

#[test]
fn a_start_that_history_has_not_heard_of_is_taken_up_again() {
    for status in [running(), Status::Created, exited(1, false)] {
        wanting(a_new_container())
            .with(GENERATION, status)
            .plans([Action::Start(opening())]);
    }
}

#[test]
fn a_running_container_is_linked_once() {
    wanting(the_container())
        .with(GENERATION, running())
        .plans([Action::Link {
            opening: opening(),
            endpoint: endpoint(),
        }]);
    wanting(the_container())
        .with(GENERATION, running())
        .linked()
        .plans_nothing();
}

#[test]
fn an_exit_is_reported_with_its_cause() {
    wanting(the_container())
        .with(GENERATION, exited(1, false))
        .plans([exit(Some(1), false, ExitCause::Crashed)]);
    wanting(the_container())
        .with(GENERATION, exited(137, true))
        .plans([exit(Some(137), true, ExitCause::OutOfMemory)]);
    wanting(the_container()).plans([exit(None, false, ExitCause::Vanished)]);
}

#[test]
fn a_container_that_had_run_for_long_was_stable() {
    let started = Arc::new(Opening {
        started_at: Some(DateTime::UNIX_EPOCH),
        ..(*opening()).clone()
    });
    for (after, expected) in [(STABLE - TimeDelta::seconds(1), false), (STABLE, true)] {
        let wanted = Wanted {
            opening: Arc::clone(&started),
            want: the_container(),
        };
        let actions = plan(Situation {
            wanted: &BTreeMap::from([(started.project, wanted)]),
            observed: &[],
            busy: &BTreeSet::new(),
            linked: &BTreeSet::new(),
            seen: &BTreeSet::new(),
            begun: DateTime::UNIX_EPOCH,
            now: DateTime::UNIX_EPOCH + after,
        });
        let [Action::ReportExit { stable, .. }] = actions[..] else {
            panic!("{actions:?}");
        };
        assert_eq!(stable, expected, "{after}");
    }
}

#[test]
fn what_crashed_waits_before_it_is_started_again() {
    let wait = TimeDelta::seconds(4);
    let waiting = Arc::new(Opening {
        not_before: DateTime::UNIX_EPOCH + wait,
        ..(*opening()).clone()
    });
    let wanted = Wanted {
        opening: Arc::clone(&waiting),
        want: a_new_container(),
    };
    let wanted = BTreeMap::from([(waiting.project, wanted)]);
    let planned = |after| {
        plan(Situation {
            wanted: &wanted,
            observed: &[],
            busy: &BTreeSet::new(),
            linked: &BTreeSet::new(),
            seen: &BTreeSet::new(),
            begun: DateTime::UNIX_EPOCH,
            now: DateTime::UNIX_EPOCH + after,
        })
    };
    assert_eq!(planned(wait - TimeDelta::milliseconds(1)), []);
    assert_eq!(planned(wait), [Action::Start(waiting)]);
}

#[test]
fn what_was_lost_while_nobody_looked_was_interrupted() {
    wanting(the_container())
        .never_seen()
        .plans([exit(None, false, ExitCause::Interrupted)]);
    wanting(the_container())
        .with(GENERATION, exited(255, false))
        .never_seen()
        .plans([exit(Some(255), false, ExitCause::Interrupted)]);
}

#[test]
fn an_older_container_goes_before_its_successor_starts() {
    let older = Generation::new(2);
    wanting(a_new_container())
        .with(older, running())
        .plans([discarded_before_a_start(2)]);
    wanting(the_container())
        .with(older, exited(0, false))
        .with(GENERATION, running())
        .plans([discarded(2)]);
}

#[test]
fn an_opening_that_is_over_gives_its_container_back() {
    let held = Held {
        id: ContainerId::new("c3"),
        endpoint: Some(endpoint()),
    };
    wanting(Want::Released)
        .with(GENERATION, running())
        .plans([Action::Release {
            opening: opening(),
            containers: vec![held],
        }]);
    // It may never have had one; history still waits for word.
    wanting(Want::Released).plans([Action::Release {
        opening: opening(),
        containers: vec![],
    }]);
}

#[test]
fn a_deletion_takes_container_and_workspace() {
    let held = Held {
        id: ContainerId::new("c3"),
        endpoint: None,
    };
    wanting(Want::Deleted { force: true })
        .with(GENERATION, exited(0, false))
        .plans([Action::Delete {
            opening: opening(),
            containers: vec![held],
            force: true,
        }]);
}

#[test]
fn what_nobody_wants_is_discarded() {
    wanting(Want::Nothing)
        .with(GENERATION, running())
        .plans([discarded(3)]);
    wanting(Want::Nothing).plans_nothing();
    Case {
        want: None,
        ..wanting(Want::Nothing)
    }
    .with(GENERATION, running())
    .plans([discarded(3)]);
}

#[test]
fn a_project_whose_history_cannot_be_read_is_left_alone() {
    wanting(Want::Unknown)
        .with(GENERATION, running())
        .plans_nothing();
    wanting(Want::Unknown)
        .with(Generation::new(2), exited(0, false))
        .plans_nothing();
}

#[test]
fn one_thing_at_a_time_is_done_about_a_project() {
    wanting(a_new_container()).busy().plans_nothing();
    Case {
        want: None,
        ..wanting(Want::Nothing)
    }
    .with(GENERATION, running())
    .busy()
    .plans_nothing();
}

#[test]
fn an_opening_that_takes_too_long_is_given_up() {
    let opening_still = || {
        wanting(Want::Running {
            started: Some(ContainerId::new("c3")),
            ready: false,
        })
    };
    opening_still()
        .with(GENERATION, running())
        .linked()
        .after(OPENING_DEADLINE)
        .plans_nothing();
    opening_still()
        .with(GENERATION, running())
        .linked()
        .after(OPENING_DEADLINE + TimeDelta::seconds(1))
        .plans([Action::GiveUp {
            opening: opening(),
            failure: too_slow(),
        }]);
    wanting(the_container())
        .with(GENERATION, running())
        .linked()
        .after(TimeDelta::days(9))
        .plans_nothing();
}

#[test]
fn time_in_which_nobody_worked_is_not_held_against_an_opening() {
    let week = TimeDelta::days(7);
    let opening_still = || {
        wanting(Want::Running {
            started: Some(ContainerId::new("c3")),
            ready: false,
        })
    };
    Case {
        begun: DateTime::UNIX_EPOCH + week,
        ..opening_still()
    }
    .with(GENERATION, running())
    .linked()
    .after(week)
    .plans_nothing();
    Case {
        begun: DateTime::UNIX_EPOCH + week,
        ..opening_still()
    }
    .with(GENERATION, running())
    .linked()
    .after(week + OPENING_DEADLINE + TimeDelta::seconds(1))
    .plans([Action::GiveUp {
        opening: opening(),
        failure: too_slow(),
    }]);
}

#[test]
fn however_many_projects_were_interrupted_none_is_taken_for_a_crash() {
    let openings: Vec<Arc<Opening>> = (0..20)
        .map(|number| {
            let key = ProjectKey::new("alice", "montage", &format!("app{number}")).unwrap();
            Arc::new(Opening {
                project: key.id(),
                key,
                ..(*opening()).clone()
            })
        })
        .collect();
    let want = |opening: &Arc<Opening>| Wanted {
        opening: Arc::clone(opening),
        want: the_container(),
    };
    let mut wanted: BTreeMap<ProjectId, Wanted> = openings
        .iter()
        .map(|opening| (opening.project, want(opening)))
        .collect();
    // A pass does a few of them; the rest are looked at again, as often as it takes.
    while !wanted.is_empty() {
        let actions = plan(Situation {
            wanted: &wanted,
            observed: &[],
            busy: &BTreeSet::new(),
            linked: &BTreeSet::new(),
            seen: &BTreeSet::new(),
            begun: DateTime::UNIX_EPOCH,
            now: DateTime::UNIX_EPOCH,
        });
        assert_eq!(actions.len(), wanted.len());
        for action in actions.into_iter().take(8) {
            let Action::ReportExit { opening, cause, .. } = action else {
                panic!("{action:?}")
            };
            assert_eq!(cause, ExitCause::Interrupted);
            wanted.remove(&opening.project);
        }
    }
}
