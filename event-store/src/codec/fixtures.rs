//! Every event type and version that was ever written is read by these tests for ever.
//!
//! A fixture is never edited: a new form of an event is a new version, with a fixture of its own.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use firefly_domain::control::Unsaved;
use firefly_domain::project::{self, CloseReason, ExitCause, OpenCause, WakeCause, event as p};
use firefly_domain::session::{self, EndReason};
use firefly_domain::{
    Branch, ContainerId, Endpoint, Failure, FailureCode, Generation, GitUrl, Lease, Project,
    ProjectKey, Projection, Segment, Session, Source, Step,
};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{PayloadError, Wire};

const GENERATION: Generation = Generation::new(3);

fn project_events() -> Vec<project::Event> {
    use project::Event;

    let commit = || "9fceb02d0ae598e95dc970b74767f19372d61af8".to_owned();
    let unsaved = Unsaved {
        files: 2,
        commits: 1,
    };
    vec![
        Event::Opened(p::Opened {
            generation: GENERATION,
            key: ProjectKey::new("alice", "montage", "app").unwrap(),
            source: Source::Git(GitUrl::parse("https://host/montage/app.git").unwrap()),
            branch: Some(Branch::parse("main").unwrap()),
            cause: OpenCause::Asked,
        }),
        Event::ContainerStarted(p::ContainerStarted {
            generation: GENERATION,
            container: ContainerId::new("4f66ad9a0b2e"),
            image: "firefly-project:1a2b3c".into(),
            from_pool: false,
            kept: false,
            duration_ms: 412,
        }),
        Event::RepositoryCloned(p::RepositoryCloned {
            generation: GENERATION,
            branch: "main".into(),
            commit: commit(),
            duration_ms: 930,
        }),
        Event::TemplateApplied(p::TemplateApplied {
            generation: GENERATION,
            template: "starter".into(),
            commit: commit(),
            duration_ms: 35,
        }),
        Event::WorkspaceResumed(p::WorkspaceResumed {
            generation: GENERATION,
            branch: Some("main".into()),
            commit: Some(commit()),
            duration_ms: 4,
        }),
        Event::DependenciesInstalled(p::DependenciesInstalled {
            generation: GENERATION,
            packages: 212,
            reused: false,
            duration_ms: 6_100,
        }),
        Event::Ready(p::Ready {
            generation: GENERATION,
            endpoint: Endpoint::new("172.18.0.2:2441"),
            duration_ms: 7_200,
        }),
        Event::Paused(p::Paused {
            generation: GENERATION,
            quiet_ms: 300_000,
        }),
        Event::Woken(p::Woken {
            generation: GENERATION,
            cause: WakeCause::Preview,
        }),
        Event::OpenFailed(p::OpenFailed {
            generation: GENERATION,
            failure: Failure::new(
                Step::Source,
                FailureCode::RepositoryNotFound,
                "host has no repository a/b",
            ),
        }),
        Event::ContainerExited(p::ContainerExited {
            generation: GENERATION,
            exit_code: Some(137),
            oom: true,
            cause: ExitCause::OutOfMemory,
        }),
        Event::Closed(p::Closed {
            generation: GENERATION,
            reason: CloseReason::User,
            force: false,
        }),
        Event::ContainerStopped(p::ContainerStopped {
            generation: GENERATION,
            detail: None,
        }),
        Event::ContainerRemoved(p::ContainerRemoved {
            generation: GENERATION,
        }),
        Event::UnsavedWorkChanged(p::UnsavedWorkChanged {
            generation: GENERATION,
            unsaved,
        }),
        Event::WorkspaceKept(p::WorkspaceKept {
            generation: GENERATION,
            unsaved,
            detail: Some("the workspace could not be inspected".into()),
        }),
        Event::WorkspaceDeleted(p::WorkspaceDeleted {
            generation: GENERATION,
        }),
    ]
}

fn session_events() -> Vec<session::Event> {
    use session::Event;

    let project = ProjectKey::new("alice", "montage", "app").unwrap().id();
    vec![
        Event::Started(session::Started {
            user: Segment::parse("alice").unwrap(),
            client: "console".into(),
        }),
        Event::Joined(session::Joined { project }),
        Event::Left(session::Left { project }),
        Event::Ended(session::Ended {
            reason: EndReason::SignedOut,
        }),
    ]
}

fn folder(category: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/codec/fixtures")
        .join(category)
}

/// Each event is written as its fixture says, and each fixture is read as its event.
fn check<A: Wire>(category: &str, events: &[A::Event])
where
    A::Event: PartialEq + std::fmt::Debug,
{
    let mut covered = BTreeSet::new();
    for event in events {
        let encoded = A::encode(event);
        let name = format!("{}.v{}.json", encoded.event_type, encoded.schema_version);
        let text = std::fs::read_to_string(folder(category).join(&name)).unwrap_or_else(|error| {
            panic!("fixture {name}: {error}; it should hold {}", encoded.data)
        });
        let fixture: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(encoded.data.get()).unwrap(),
            fixture,
            "{name}"
        );
        let data = RawValue::from_string(text).unwrap();
        let decoded = A::decode_payload(encoded.event_type, encoded.schema_version, &data).unwrap();
        assert_eq!(&decoded, event, "{name}");
        covered.insert(name);
    }
    let present: BTreeSet<String> = std::fs::read_dir(folder(category))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        present, covered,
        "a fixture has no test, or a test no fixture"
    );
}

#[test]
fn project_events_are_written_and_read_as_their_fixtures_say() {
    check::<Project>("project", &project_events());
}

#[test]
fn session_events_are_written_and_read_as_their_fixtures_say() {
    check::<Session>("session", &session_events());
}

#[test]
fn projection_events_are_written_and_read_as_their_fixtures_say() {
    use firefly_domain::projection::{Event, Skipped};

    let skipped = Event::Skipped(Skipped {
        projection: "projects".into(),
        event: "0193a6c8-7e1d-7c31-9d4b-3f5a2b1c0d9e".parse().unwrap(),
        position: 1_201,
        reason: "it was made by hand".into(),
    });
    check::<Projection>("projection", &[skipped]);
}

#[test]
fn lease_events_are_written_and_read_as_their_fixtures_say() {
    use firefly_domain::lease::{Acquired, Awaited, Event, Holder, Released, Renewed, Token};

    let holder = Holder {
        process: "0193a6c8-7e1d-7c31-9d4b-3f5a2b1c0d9e".parse().unwrap(),
        instance: "5b0f8e52-6a1e-4a0b-9a53-0f6d2f6f8f11".parse().unwrap(),
    };
    let token = Token::new(7);
    let events = [
        Event::Acquired(Acquired { holder, token }),
        Event::Renewed(Renewed { token }),
        Event::Released(Released { token }),
        Event::Awaited(Awaited { holder }),
    ];
    check::<Lease>("lease", &events);
}

/// A fixture is what a log somewhere holds. One that was edited, renamed or removed differs from this list; a new one is
/// added to it: `sha256sum */*.json > SHA256SUMS`.
#[test]
fn no_fixture_was_ever_changed() {
    let mut listed = String::new();
    for category in ["lease", "project", "projection", "session"] {
        let mut files: Vec<_> = std::fs::read_dir(folder(category))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        for file in files {
            let digest = Sha256::digest(std::fs::read(&file).unwrap());
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            let name = file.file_name().unwrap().to_string_lossy();
            writeln!(listed, "{hex}  {category}/{name}").unwrap();
        }
    }
    assert_eq!(listed, include_str!("fixtures/SHA256SUMS"));
}

#[test]
fn an_unknown_type_or_version_is_said_to_be_unknown() {
    let data = RawValue::from_string("{}".into()).unwrap();
    for (event_type, version) in [("ProjectPainted", 1), ("ProjectOpened", 2)] {
        let outcome = Project::decode_payload(event_type, version, &data);
        assert!(
            matches!(outcome, Err(PayloadError::Unknown)),
            "{event_type} v{version}"
        );
    }
    assert!(matches!(
        Project::decode_payload("ProjectOpened", 1, &data),
        Err(PayloadError::Malformed(_))
    ));
}
