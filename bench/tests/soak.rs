//! The log, all of Firefly, copies and backups survive being killed, and the checks that say so would find it if they did not.

#![expect(
    clippy::unwrap_used,
    reason = "a test that meets the unexpected fails where it stands"
)]

use std::process::{Command, Output};

const LOST: &str = "was acknowledged and is lost";

fn soak(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_firefly-bench"))
        .arg("soak")
        .args(args)
        .output()
        .unwrap()
}

#[test]
fn nothing_acknowledged_is_lost_on_sqlite() {
    let survived = soak(&["--kills", "200"]);
    assert!(survived.status.success(), "{survived:?}");
}

#[test]
fn nothing_acknowledged_is_lost_on_postgres() {
    let survived = soak(&["--kills", "60", "--postgres"]);
    assert!(survived.status.success(), "{survived:?}");
}

#[test]
fn a_log_that_acknowledges_before_the_commit_is_found_out() {
    let lost = soak(&["--kills", "60", "--acknowledge-early"]);
    assert!(!lost.status.success(), "{lost:?}");
    let said = String::from_utf8(lost.stderr).unwrap();
    assert!(said.contains(LOST), "{said}");
}

#[test]
fn nothing_a_whole_firefly_acknowledged_is_lost() {
    let survived = soak(&["--whole", "--kills", "200"]);
    assert!(survived.status.success(), "{survived:?}");
    let said = String::from_utf8(survived.stdout).unwrap();
    let compared = "10 times the read models were those that are made anew";
    assert!(said.contains(compared), "{said}");
}

#[test]
fn a_firefly_that_acknowledges_before_the_commit_is_found_out() {
    let lost = soak(&["--whole", "--kills", "60", "--acknowledge-early"]);
    assert!(!lost.status.success(), "{lost:?}");
    let said = String::from_utf8(lost.stderr).unwrap();
    assert!(said.contains(LOST), "{said}");
}

#[test]
fn a_copy_that_is_killed_goes_on_until_it_is_whole() {
    let survived = soak(&["--copy", "--kills", "30"]);
    assert!(survived.status.success(), "{survived:?}");
}

#[test]
fn a_copy_to_a_server_that_is_killed_goes_on_until_it_is_whole() {
    let survived = soak(&["--copy", "--kills", "8", "--postgres"]);
    assert!(survived.status.success(), "{survived:?}");
}

#[test]
fn a_backup_that_is_killed_is_none() {
    let survived = soak(&["--backup", "--kills", "40"]);
    assert!(survived.status.success(), "{survived:?}");
}

#[test]
fn a_backup_without_what_was_acknowledged_before_it_is_found_out() {
    let lost = soak(&["--backup", "--kills", "10", "--keep-old"]);
    assert!(!lost.status.success(), "{lost:?}");
    let said = String::from_utf8(lost.stderr).unwrap();
    assert!(said.contains(LOST), "{said}");
}

#[test]
fn figures_come_one_a_line() {
    let survived = soak(&["--quick", "--kills", "4", "--json"]);
    assert!(survived.status.success(), "{survived:?}");
    let said = String::from_utf8(survived.stdout).unwrap();
    let figures: Vec<serde_json::Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let kills = serde_json::json!({"name": "kills survived", "value": 4.0, "unit": "kills"});
    assert_eq!(figures[0], kills);
    let names: Vec<_> = figures.iter().map(|figure| &figure["name"]).collect();
    assert_eq!(
        names,
        [
            "kills survived",
            "appends acknowledged",
            "events in the log"
        ]
    );
}
