//! What is started ahead, who gets it, and who comes first.

use firefly_domain::Segment;

use super::*;
use crate::plan::fair::{STARTS_PER_USER_MAX, in_turn};
use crate::runtime::Slot;

fn slot(number: u128) -> Slot {
    Slot::from_uuid(Uuid::from_u128(number))
}

fn id(number: u128) -> ContainerId {
    ContainerId::new(format!("p{number}"))
}

/// With so many containers in the pool, of which there should be `size`.
fn pooled(case: Case, size: usize, statuses: &[Status]) -> Case {
    let pool = Pool {
        size,
        fresh: (100..110).map(slot).collect(),
    };
    let case = Case { pool, ..case };
    statuses.iter().zip(1..).fold(case, |case, (status, number)| {
        case.there_is(id(number), Serves::Pool(slot(number)), status.clone())
    })
}

fn discarded(number: u128) -> Action {
    Action::Discard {
        subject: Subject::Pool(slot(number)),
        containers: vec![id(number)],
    }
}

fn claimed(number: u128) -> Basis {
    Basis::Pooled {
        container: id(number),
        slot: slot(number),
    }
}

#[test]
fn the_pool_is_filled() {
    pooled(nothing_wanted(), 2, &[]).plans([100, 101].map(|it| Action::Prepare(slot(it))));
    pooled(nothing_wanted(), 2, &[running()]).plans([Action::Prepare(slot(100))]);
    pooled(nothing_wanted(), 2, &[running(), running()]).plans_nothing();
}

#[test]
fn what_is_in_preparation_counts() {
    let mut case = pooled(nothing_wanted(), 2, &[Status::Created]);
    case.busy = BTreeSet::from([Subject::Pool(slot(1))]);
    case.plans([Action::Prepare(slot(100))]);
}

#[test]
fn what_cannot_be_claimed_goes_and_so_does_what_is_too_much() {
    for status in [Status::Created, paused(), exited(1, false)] {
        pooled(nothing_wanted(), 0, &[status]).plans([discarded(1)]);
    }
    pooled(nothing_wanted(), 1, &[running(), running()]).plans([discarded(2)]);
}

#[test]
fn each_new_project_gets_one_of_its_own_while_there_are_some() {
    let case = ["one", "two", "three"]
        .into_iter()
        .fold(nothing_wanted(), |case, repo| {
            case.and(opening_of(repo), a_container())
        });
    let case = pooled(case, 2, &[running(), running()]);
    let bases: Vec<Basis> = case
        .planned()
        .into_iter()
        .filter_map(|action| match action {
            Action::Start { basis, .. } => Some(basis),
            _ => None,
        })
        .collect();
    assert_eq!(bases, [claimed(1), claimed(2), Basis::Nothing]);
}

#[test]
fn one_that_is_being_claimed_is_not_given_away_again() {
    let mut case = pooled(wanting(a_container()), 1, &[running()]);
    case.busy = BTreeSet::from([Subject::Pool(slot(1))]);
    case.plans([super::start(Basis::Nothing)]);
}

#[test]
fn a_project_with_files_or_with_a_source_on_this_host_gets_none() {
    let filled = Opening {
        filled: true,
        ..(*opening()).clone()
    };
    let local = Opening {
        source: Source::Path("/srv/app".to_owned()),
        ..(*opening()).clone()
    };
    for opening in [filled, local] {
        let opening = Arc::new(opening);
        let case = nothing_wanted().and(Arc::clone(&opening), a_container());
        let basis = Basis::Nothing;
        pooled(case, 1, &[running()]).plans([Action::Start { opening, basis }]);
    }
}

#[test]
fn users_take_turns_and_none_takes_all_places() {
    let start = |user: &str, number: i64| {
        let key = ProjectKey::new(user, "montage", &format!("app{number}")).unwrap();
        Action::Start {
            opening: Arc::new(Opening {
                project: key.id(),
                key,
                since: DateTime::UNIX_EPOCH + TimeDelta::seconds(number),
                ..(*opening()).clone()
            }),
            basis: Basis::Nothing,
        }
    };
    let ahead = Action::Prepare(slot(1));
    let mut actions: Vec<Action> = (0..50).map(|number| start("alice", number)).collect();
    actions.insert(0, ahead.clone());
    actions.push(start("bob", 60));
    actions.push(super::discarded(the_id()));
    let ordered = in_turn(actions.clone(), &BTreeMap::new());
    let mut expected = vec![super::discarded(the_id()), start("alice", 0), start("bob", 60)];
    expected.extend((1..).map(|number| start("alice", number)).take(STARTS_PER_USER_MAX - 1));
    expected.push(ahead.clone());
    assert_eq!(ordered, expected);

    let under_way = BTreeMap::from([(Segment::parse("alice").unwrap(), STARTS_PER_USER_MAX)]);
    let ordered = in_turn(actions, &under_way);
    assert_eq!(ordered, [super::discarded(the_id()), start("bob", 60), ahead]);
}
