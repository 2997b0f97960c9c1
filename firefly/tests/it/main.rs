//! The program by itself: how it is called, how it starts and how it ends. No project is opened here.

#![expect(
    clippy::unwrap_used,
    reason = "a test that meets the unexpected fails where it stands"
)]

mod log;
mod program;

use std::net::TcpListener;

use program::{Up, firefly, run};
use rustix::process::Signal;

/// What the shell calls a wrong call.
const USAGE: i32 = 64;

#[test]
fn a_bad_value_is_one_line_and_nothing_is_made() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    for (flag, value) in [
        ("--host", "127.0.0.1"),
        ("--github-url", "ftp://x"),
        ("--log", "=x"),
        ("--event-log", "postgers://u:secret@host/d"),
        ("--listen", "localhost"),
    ] {
        let ended = run(firefly(home.path())
            .args(["up", flag, value, "--data-dir"])
            .arg(&data));
        assert_eq!(ended.code, Some(USAGE), "{flag} {value}: {ended:?}");
        assert_eq!(ended.errors.lines().count(), 1, "{ended:?}");
        assert!(ended.errors.contains(flag), "{ended:?}");
        assert!(!ended.errors.contains("secret"), "{ended:?}");
        assert!(!data.exists(), "{flag} {value} was found out too late");
    }
    let ended = run(firefly(home.path()).args(["projects", "--server", "localhost"]));
    assert_eq!(ended.code, Some(USAGE), "{ended:?}");
    assert_eq!(ended.errors.lines().count(), 1, "{ended:?}");
    assert!(ended.errors.contains("--server"), "{ended:?}");
}

#[test]
fn a_wrong_call_ends_with_64_and_a_call_for_help_with_0() {
    let home = tempfile::tempdir().unwrap();
    for (arguments, code) in [
        (&["fly"][..], USAGE),
        (&[], USAGE),
        (&["open"], USAGE),
        (&["--help"], 0),
        (&["up", "--help"], 0),
    ] {
        let ended = run(firefly(home.path()).args(arguments));
        assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:?}");
    }
}

#[test]
fn a_path_that_is_not_there_is_told_as_such() {
    let home = tempfile::tempdir().unwrap();
    let ended = run(firefly(home.path()).args(["open", "./missing"]));
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.errors, "firefly: there is no directory ./missing\n");
}

#[test]
fn a_start_that_hangs_ends_at_the_first_signal() {
    let home = tempfile::tempdir().unwrap();
    // A database server that takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let log = format!("postgres://u@{}/d", silent.local_addr().unwrap());
    let mut up = Up::start(
        home.path(),
        &["--listen", "127.0.0.1:0", "--event-log", &log],
    );
    let _connection = silent.accept().unwrap();
    up.signal(Signal::INT);
    let ended = up.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        ended.output,
        "stopping; open projects come back with the next start\n"
    );
    assert_eq!(ended.errors, "");
}

#[test]
fn a_firefly_on_the_other_loopback_address_is_found_by_its_name() {
    let home = tempfile::tempdir().unwrap();
    let mut up = Up::start(home.path(), &["--listen", "[::1]:0", "--open", "nonsense"]);
    let url = up.url();
    // What is opened at the start reaches the same address.
    up.until_error("is neither a git URL");
    let listed = run(firefly(home.path()).args(["projects", "--server", &url]));
    assert_eq!(listed.code, Some(0), "{listed:?}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let home = tempfile::tempdir().unwrap();
    let mut up = Up::start(home.path(), &["--listen", "127.0.0.1:0"]);
    let url = up.url();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut projects = firefly(home.path());
    let ended = run(projects.args(["projects", "--server", &url]).stdout(writer));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.errors, "");

    // A Firefly that nobody listens to serves on, and ends as any other.
    up.stop_reading();
    up.signal(Signal::INT);
    let ended = up.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.errors, "");
}

#[test]
fn nobody_is_signed_in_under_a_name_that_others_may_reach() {
    let home = tempfile::tempdir().unwrap();
    let mut up = Up::start(
        home.path(),
        &["--listen", "127.0.0.1:0", "--host", "firefly.example.org"],
    );
    up.until_output(
        "nobody can sign in: others may reach this Firefly by the name firefly.example.org",
    );
}
