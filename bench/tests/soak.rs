//! The log survives being killed, and the check that says so would find it if it did not.

#![expect(
    clippy::unwrap_used,
    reason = "a test that meets the unexpected fails where it stands"
)]

use std::process::{Command, Output};

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
    assert!(said.contains("was acknowledged and is lost"), "{said}");
}
