//! What is done in each situation.

mod pool;
mod sleeping;

use firefly_domain::project::CloseReason;
use firefly_domain::{Endpoint, EventId, GitUrl, ProjectKey, Source};
use uuid::Uuid;

use super::*;
use crate::runtime::Exit;

const GENERATION: Generation = Generation::new(3);

fn opening() -> Arc<Opening> {
    opening_of("app")
}

fn opening_of(repo: &str) -> Arc<Opening> {
    let key = ProjectKey::new("alice", "montage", repo).unwrap();
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
        fresh: false,
        filled: false,
        active_at: DateTime::UNIX_EPOCH,
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

fn paused() -> Status {
    Status::Paused {
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

fn the_id() -> ContainerId {
    ContainerId::new("c1")
}

fn another_id() -> ContainerId {
    ContainerId::new("c2")
}

/// A situation; the defaults are the quiet ones.
struct Case {
    wanted: BTreeMap<ProjectId, Wanted>,
    observed: Vec<Observed>,
    busy: BTreeSet<Subject>,
    linked: bool,
    seen: bool,
    used: BTreeMap<ProjectId, DateTime<Utc>>,
    memory_wanted: bool,
    pool: Pool,
    begun: DateTime<Utc>,
    now: DateTime<Utc>,
}

fn nothing_wanted() -> Case {
    Case {
        wanted: BTreeMap::new(),
        observed: vec![],
        busy: BTreeSet::new(),
        linked: false,
        seen: true,
        used: BTreeMap::new(),
        memory_wanted: false,
        pool: Pool::default(),
        begun: DateTime::UNIX_EPOCH,
        now: DateTime::UNIX_EPOCH,
    }
}

fn wanting(want: Want) -> Case {
    nothing_wanted().and(opening(), want)
}

impl Case {
    fn and(mut self, opening: Arc<Opening>, want: Want) -> Self {
        let wanted = Wanted { opening, want };
        self.wanted.insert(wanted.opening.project, wanted);
        self
    }

    /// With the container that history knows.
    fn with(self, status: Status) -> Self {
        self.there_is(the_id(), Serves::Project(opening().project), status)
    }

    /// With one that history does not know.
    fn with_another(self, status: Status) -> Self {
        self.there_is(another_id(), Serves::Project(opening().project), status)
    }

    fn there_is(mut self, id: ContainerId, serves: Serves, status: Status) -> Self {
        self.observed.push(Observed { id, serves, status });
        self
    }

    fn linked(mut self) -> Self {
        self.linked = true;
        self
    }

    fn busy(mut self) -> Self {
        self.busy.insert(Subject::Project(opening().project));
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

    fn planned(&self) -> Vec<Action> {
        let links = self
            .wanted
            .values()
            .map(|it| (it.opening.project, it.opening.generation));
        let seen = [the_id(), another_id()];
        plan(Situation {
            wanted: &self.wanted,
            observed: &self.observed,
            busy: &self.busy,
            linked: &links.filter(|_| self.linked).collect(),
            seen: &seen.into_iter().filter(|_| self.seen).collect(),
            used: &self.used,
            sleep: &Sleep::default(),
            memory_wanted: self.memory_wanted,
            pool: &self.pool,
            begun: self.begun,
            now: self.now,
        })
    }

    #[track_caller]
    fn plans(self, expected: impl IntoIterator<Item = Action>) {
        let expected: Vec<Action> = expected.into_iter().collect();
        assert_eq!(self.planned(), expected);
    }

    #[track_caller]
    fn plans_nothing(self) {
        self.plans([]);
    }
}

fn a_container() -> Want {
    Want::Running {
        started: None,
        ready: false,
    }
}

fn the_container() -> Want {
    Want::Running {
        started: Some(the_id()),
        ready: true,
    }
}

fn the_container_still_opening() -> Want {
    Want::Running {
        started: Some(the_id()),
        ready: false,
    }
}

fn start(basis: Basis) -> Action {
    Action::Start {
        opening: opening(),
        basis,
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

fn discarded(container: ContainerId) -> Action {
    Action::Discard {
        subject: Subject::Project(opening().project),
        containers: vec![container],
    }
}

#[test]
fn an_opening_without_a_container_gets_one() {
    wanting(a_container()).plans([start(Basis::Nothing)]);
}

/// It may be one that an earlier attempt made, or that of an earlier opening: whoever starts it finds out.
#[test]
fn an_opening_begins_with_the_container_that_there_is() {
    for status in [running(), paused(), Status::Created, exited(1, false)] {
        let found = Observed {
            id: another_id(),
            serves: Serves::Project(opening().project),
            status: status.clone(),
        };
        wanting(a_container())
            .with_another(status)
            .plans([start(Basis::Found(found))]);
    }
}

#[test]
fn a_running_container_is_linked_once() {
    let link = Action::Link {
        opening: opening(),
        endpoint: endpoint(),
    };
    wanting(the_container()).with(running()).plans([link]);
    wanting(the_container())
        .with(running())
        .linked()
        .plans_nothing();
}

#[test]
fn an_exit_is_reported_with_its_cause() {
    wanting(the_container())
        .with(exited(1, false))
        .plans([exit(Some(1), false, ExitCause::Crashed)]);
    wanting(the_container())
        .with(exited(137, true))
        .plans([exit(Some(137), true, ExitCause::OutOfMemory)]);
    wanting(the_container()).plans([exit(None, false, ExitCause::Vanished)]);
}

#[test]
fn a_container_that_had_run_for_long_was_stable() {
    for (after, expected) in [(STABLE - TimeDelta::seconds(1), false), (STABLE, true)] {
        let started = Opening {
            started_at: Some(DateTime::UNIX_EPOCH),
            ..(*opening()).clone()
        };
        let case = nothing_wanted()
            .and(Arc::new(started), the_container())
            .after(after);
        let [Action::ReportExit { stable, .. }] = case.planned()[..] else {
            panic!("{:?}", case.planned());
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
    let case = || nothing_wanted().and(Arc::clone(&waiting), a_container());
    case()
        .after(wait - TimeDelta::milliseconds(1))
        .plans_nothing();
    case().after(wait).plans([Action::Start {
        opening: Arc::clone(&waiting),
        basis: Basis::Nothing,
    }]);
}

#[test]
fn what_was_lost_while_nobody_looked_was_interrupted() {
    wanting(the_container())
        .never_seen()
        .plans([exit(None, false, ExitCause::Interrupted)]);
    wanting(the_container())
        .with(exited(255, false))
        .never_seen()
        .plans([exit(Some(255), false, ExitCause::Interrupted)]);
}

#[test]
fn a_container_that_history_does_not_know_goes() {
    for status in [running(), paused(), Status::Created, exited(0, false)] {
        wanting(the_container())
            .with(running())
            .with_another(status)
            .plans([discarded(another_id())]);
    }
}

#[test]
fn an_opening_that_is_over_gives_its_container_back() {
    for (status, endpoint) in [
        (running(), Some(endpoint())),
        (paused(), Some(endpoint())),
        (exited(0, false), None),
    ] {
        for keep in [true, false] {
            let id = the_id();
            let endpoint = endpoint.clone();
            wanting(Want::Released { keep })
                .with(status.clone())
                .plans([Action::Release {
                    opening: opening(),
                    containers: vec![Held { id, endpoint }],
                    keep,
                }]);
        }
    }
    // It may never have had one; history still waits for word.
    wanting(Want::Released { keep: true }).plans([Action::Release {
        opening: opening(),
        containers: vec![],
        keep: true,
    }]);
}

#[test]
fn a_deletion_takes_container_and_workspace() {
    let held = Held {
        id: the_id(),
        endpoint: None,
    };
    wanting(Want::Deleted { force: true })
        .with(exited(0, false))
        .plans([Action::Delete {
            opening: opening(),
            containers: vec![held],
            force: true,
        }]);
}

#[test]
fn what_nobody_wants_is_discarded() {
    let nothing = |keep| wanting(Want::Nothing { keep });
    for keep in [true, false] {
        nothing(keep).with(running()).plans([discarded(the_id())]);
        nothing(keep).plans_nothing();
    }
    nothing(false)
        .with(exited(0, false))
        .plans([discarded(the_id())]);
    nothing_wanted()
        .with(running())
        .plans([discarded(the_id())]);
}

#[test]
fn a_closed_project_keeps_its_container_for_the_next_opening() {
    for status in [exited(0, false), Status::Created] {
        wanting(Want::Nothing { keep: true })
            .with(status)
            .plans_nothing();
    }
}

#[test]
fn a_project_whose_history_cannot_be_read_is_left_alone() {
    for status in [running(), paused(), exited(0, false)] {
        wanting(Want::Unknown).with(status).plans_nothing();
    }
}

#[test]
fn one_thing_at_a_time_is_done_about_a_project() {
    wanting(a_container()).busy().plans_nothing();
    nothing_wanted().with(running()).busy().plans_nothing();
}

#[test]
fn an_opening_that_takes_too_long_is_given_up() {
    let too_long = OPENING_DEADLINE + TimeDelta::seconds(1);
    let case = || {
        wanting(the_container_still_opening())
            .with(running())
            .linked()
    };
    case().after(OPENING_DEADLINE).plans_nothing();
    case().after(too_long).plans([Action::GiveUp {
        opening: opening(),
        failure: too_slow(),
    }]);
}

#[test]
fn time_in_which_nobody_worked_is_not_held_against_an_opening() {
    let week = TimeDelta::days(7);
    let case = |after| Case {
        begun: DateTime::UNIX_EPOCH + week,
        ..wanting(the_container_still_opening())
            .with(running())
            .linked()
            .after(after)
    };
    case(week).plans_nothing();
    case(week + OPENING_DEADLINE + TimeDelta::seconds(1)).plans([Action::GiveUp {
        opening: opening(),
        failure: too_slow(),
    }]);
}

#[test]
fn however_many_projects_were_interrupted_none_is_taken_for_a_crash() {
    let mut case = (0..20).fold(nothing_wanted().never_seen(), |case, number| {
        case.and(opening_of(&format!("app{number}")), the_container())
    });
    // A pass does a few of them; the rest are looked at again, as often as it takes.
    while !case.wanted.is_empty() {
        let actions = case.planned();
        assert_eq!(actions.len(), case.wanted.len());
        for action in actions.into_iter().take(8) {
            let Action::ReportExit { opening, cause, .. } = action else {
                panic!("{action:?}")
            };
            assert_eq!(cause, ExitCause::Interrupted);
            case.wanted.remove(&opening.project);
        }
    }
}
