//! What is said of logs and read models, good ones and others.

use uuid::Uuid;

use super::super::check::Verdict;
use super::*;

fn read(faults: u64) -> Log {
    let told = (0..faults).map(|fault| format!("fault {fault}")).collect();
    Log::Read {
        head: 7,
        faults: (told, faults),
        whole: true,
        last: None,
    }
}

fn build(status: Status, position: i64, failure: Option<&str>) -> Build {
    Build {
        projection: "projects".to_owned(),
        build: 1,
        version: 1,
        log: Uuid::nil(),
        status,
        position,
        events: position,
        started_at: 0,
        updated_at: 0,
        failure: failure.map(str::to_owned),
        failed_position: None,
        failed_event: None,
        owner: None,
        owned_until: None,
    }
}

#[test]
fn a_log_is_broken_if_it_cannot_be_read_or_has_faults() {
    for log in [Log::None, read(0)] {
        assert_eq!(judge_log(&log).verdict, Verdict::Fine, "{log:?}");
    }
    let refused = judge_log(&Log::Refused("no disk".to_owned()));
    assert_eq!(refused.verdict, Verdict::Broken);
    assert!(refused.said.ends_with("no disk"));
    let faulty = judge_log(&read(2));
    assert_eq!(faulty.verdict, Verdict::Broken);
    assert_eq!(faulty.said, "faults: 2\nfault 0\nfault 1");
}

#[test]
fn read_models_are_judged_by_what_is_live() {
    let of = |builds: Vec<Build>, head, is_running| {
        judge_models(&Models::Read(builds), head, is_running)
    };
    let live = |position, failure| build(Status::Live, position, failure);
    let stopped_rebuild = build(Status::Building, 1, Some("x"));
    let current = of(vec![live(7, None), stopped_rebuild], Some(7), true);
    assert_eq!(current.verdict, Verdict::Fine, "{current:?}");
    let behind = of(vec![live(7, None), live(4, None)], Some(7), true);
    assert_eq!(behind.verdict, Verdict::Warning);
    assert!(
        behind.said.starts_with("at 4, 3 positions behind"),
        "{behind:?}"
    );
    let asleep = of(vec![live(4, None)], Some(7), false);
    assert_eq!(asleep.verdict, Verdict::Fine);
    let stopped = of(vec![live(4, Some("an event"))], None, true);
    assert_eq!(stopped.verdict, Verdict::Broken);
    assert_eq!(of(vec![], Some(7), true).verdict, Verdict::Fine);
    assert_eq!(
        judge_models(&Models::None, None, false).verdict,
        Verdict::Fine
    );
    let refused = Models::Refused("no server".to_owned());
    assert_eq!(judge_models(&refused, None, false).verdict, Verdict::Broken);
}

#[test]
fn a_clock_that_is_behind_the_log_is_broken() {
    let now = Utc::now();
    assert_eq!(judge_clock(now, now).verdict, Verdict::Fine);
    assert_eq!(
        judge_clock(now + CLOCK_TOLERANCE, now).verdict,
        Verdict::Fine
    );
    assert_eq!(
        judge_clock(now + CLOCK_TOLERANCE * 2, now).verdict,
        Verdict::Broken
    );
}
