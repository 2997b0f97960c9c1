//! `firefly log` from the outside: a log goes out, in, across and back without a Firefly that runs.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::program::{Ended, firefly, run};

/// Two events of one stream, as an export has them.
const LINES: &str = concat!(
    r#"{"position":1,"stream":"project-1","revision":0,"id":"00000000-0000-7000-8000-000000000001","type":"Made","version":1,"recorded_at":"2026-11-23T10:00:00.000001Z","actor":"user:alice","correlation_id":"00000000-0000-7000-8000-000000000009","data":{"a": "ü"}}"#,
    "\n",
    r#"{"position":2,"stream":"project-1","revision":1,"id":"00000000-0000-7000-8000-000000000002","type":"Made","version":1,"recorded_at":"2026-11-23T10:00:01Z","actor":"system:reactor","correlation_id":"00000000-0000-7000-8000-000000000009","causation_id":"00000000-0000-7000-8000-000000000001","idempotency":{"key":"00000000-0000-7000-8000-000000000008","fingerprint":"f"},"data":[]}"#,
    "\n",
);

fn log(home: &Path, arguments: &[&str]) -> Ended {
    run(firefly(home).arg("log").args(arguments))
}

fn done(home: &Path, arguments: &[&str]) -> String {
    let ended = log(home, arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
    ended.output
}

#[test]
fn a_log_goes_out_in_across_and_back() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    std::fs::create_dir(home.join(".firefly")).unwrap();

    let missing = log(home, &["info"]);
    assert_eq!(missing.code, Some(1));
    assert!(
        missing.errors.contains("there is no event log at"),
        "{missing:?}"
    );
    assert!(!home.join(".firefly/events.db").exists());

    std::fs::write(home.join("lines"), LINES).unwrap();
    assert_eq!(
        done(home, &["import", "lines"]),
        "imported 2 events; 0 more were there already\n"
    );
    assert_eq!(
        done(home, &["import", "lines"]),
        "imported 0 events; 2 more were there already\n"
    );
    assert_eq!(done(home, &["export"]), LINES);
    assert_eq!(done(home, &["read", "--json"]), LINES);
    let second = LINES.lines().nth(1).unwrap();
    for arguments in [
        &["tail", "--lines", "1", "--json"][..],
        &["read", "--after", "1", "--json"],
        &["read", "--stream", "project-1", "--after", "1", "--json"],
        &[
            "read",
            "--stream",
            "project-1",
            "--backward",
            "--limit",
            "1",
            "--json",
        ],
        &["read", "--after", "1", "--backward", "--json"],
    ] {
        assert_eq!(
            done(home, arguments),
            format!("{second}\n"),
            "{arguments:?}"
        );
    }
    let shown = done(home, &["read", "--limit", "1"]);
    assert!(shown.contains("project-1@0  Made v1  by alice"), "{shown}");

    let copied = done(
        home,
        &[
            "copy",
            "--from",
            "sqlite:.firefly/events.db",
            "--to",
            "sqlite:copy.db",
        ],
    );
    assert!(
        copied.starts_with("copied 2 events; 0 more were there already"),
        "{copied}"
    );
    let mode = std::fs::metadata(home.join("copy.db")).unwrap().mode();
    assert_eq!(mode & 0o077, 0, "others read a log: {mode:o}");
    done(
        home,
        &[
            "export",
            "cloud",
            "--cloudevents",
            "--event-log",
            "sqlite:copy.db",
        ],
    );
    let cloud = std::fs::read_to_string(home.join("cloud")).unwrap();
    assert!(cloud.starts_with(r#"{"specversion":"1.0","#), "{cloud}");
    let again = log(home, &["export", "cloud"]);
    assert_eq!(again.code, Some(1));
    assert!(again.errors.contains("is not overwritten"), "{again:?}");
    done(home, &["import", "cloud", "--event-log", "sqlite:third.db"]);
    assert_eq!(
        done(home, &["export", "--event-log", "sqlite:third.db"]),
        LINES
    );

    done(home, &["backup", "kept.db"]);
    let refused = log(home, &["restore", "kept.db"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.errors.contains("is not overwritten"), "{refused:?}");
    done(
        home,
        &["restore", "kept.db", "--event-log", "sqlite:restored.db"],
    );
    assert_eq!(
        done(home, &["export", "--event-log", "sqlite:restored.db"]),
        LINES
    );
    let info = done(
        home,
        &["info", "--json", "--event-log", "sqlite:restored.db"],
    );
    assert!(
        info.contains(r#""events":2"#) && info.contains(r#""streams":1"#),
        "{info}"
    );
    let verified = done(home, &["verify"]);
    assert!(
        verified.ends_with("read 2 events in 1 stream: nothing is damaged or missing\n"),
        "{verified}"
    );
}

#[test]
fn what_is_wrong_is_told_and_counts() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let bad = LINES.replace("\"revision\":1", "\"revision\":7");
    std::fs::write(home.join("bad"), bad).unwrap();
    let refused = log(home, &["import", "bad", "--event-log", "sqlite:a.db"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.errors.contains("line 2 is refused"), "{refused:?}");
    let server = "postgres://u@127.0.0.1:1/d";
    let elsewhere = log(home, &["backup", "x", "--event-log", server]);
    assert!(elsewhere.errors.contains("pg_dump"), "{elsewhere:?}");
    assert_eq!(log(home, &["fly"]).code, Some(64));
}

#[test]
fn a_flipped_bit_is_named_and_fails_the_verification() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    std::fs::write(home.join("lines"), LINES).unwrap();
    done(home, &["import", "lines", "--event-log", "sqlite:a.db"]);
    done(home, &["backup", "b.db", "--event-log", "sqlite:a.db"]);

    let mut bytes = std::fs::read(home.join("b.db")).unwrap();
    let payload = r#"{"a": "#.as_bytes();
    let found = bytes.windows(payload.len()).position(|at| at == payload);
    bytes[found.unwrap() + 2] ^= 1;
    std::fs::write(home.join("b.db"), bytes).unwrap();

    let verified = log(home, &["verify", "--event-log", "sqlite:b.db"]);
    assert_eq!(verified.code, Some(1), "{verified:?}");
    let first = verified.output.lines().next().unwrap();
    assert!(
        first.starts_with("position 1: it cannot be read: "),
        "{verified:?}"
    );
    let refused = log(home, &["restore", "b.db", "--event-log", "sqlite:c.db"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(!home.join("c.db").exists());
}

#[test]
fn nothing_is_answered_from_a_file_whose_structure_is_damaged() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    std::fs::write(home.join("lines"), LINES).unwrap();
    done(home, &["import", "lines", "--event-log", "sqlite:a.db"]);
    done(home, &["backup", "b.db", "--event-log", "sqlite:a.db"]);

    // The index of streams' names comes behind everything else that has them; one letter of one is another there.
    let mut bytes = std::fs::read(home.join("b.db")).unwrap();
    let name = b"project-1";
    let found = bytes.windows(name.len()).rposition(|at| at == name);
    bytes[found.unwrap()] ^= 1;
    std::fs::write(home.join("b.db"), bytes).unwrap();

    let damaged = ["--event-log", "sqlite:b.db"];
    for command in [
        &["read", "--stream", "project-1"][..],
        &["read"],
        &["tail"],
        &["tail", "--follow"],
        &["info"],
        &["export"],
        &["copy", "--from", "sqlite:b.db", "--to", "sqlite:c.db"],
    ] {
        let which = if command[0] == "copy" {
            &[][..]
        } else {
            &damaged
        };
        let refused = log(home, &[command, which].concat());
        assert_eq!(refused.code, Some(1), "{command:?}: {refused:?}");
        assert_eq!(refused.output, "", "{command:?}");
        let told = "its file cannot be trusted: ";
        assert!(refused.errors.contains(told), "{command:?}: {refused:?}");
    }
    let verified = log(home, &[&["verify"], &damaged[..]].concat());
    assert_eq!(verified.code, Some(1), "{verified:?}");
    let named = "the file's structure is damaged: ";
    assert!(verified.output.contains(named), "{verified:?}");
}
