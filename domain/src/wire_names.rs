//! The names under which values are stored. Logs hold them for ever, so each stands here as it is written.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::project::{CloseReason, ExitCause, OpenCause, WakeCause};
use crate::session::EndReason;
use crate::{Actor, FailureCode, GitUrl, Segment, Source, Step};

#[track_caller]
fn stored_as<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T, wire: Value) {
    assert_eq!(serde_json::to_value(&value).unwrap(), wire);
    assert_eq!(serde_json::from_value::<T>(wire).unwrap(), value);
}

#[test]
fn steps() {
    for (step, name) in [
        (Step::Container, "container"),
        (Step::Source, "source"),
        (Step::Install, "install"),
        (Step::Preview, "preview"),
    ] {
        stored_as(step, json!(name));
        assert_eq!(step.as_str(), name);
    }
}

#[test]
fn failure_codes() {
    for (code, name) in [
        (FailureCode::EngineFailed, "engine-failed"),
        (FailureCode::NoAnswer, "no-answer"),
        (FailureCode::RemoteUnreachable, "remote-unreachable"),
        (FailureCode::RepositoryNotFound, "repository-not-found"),
        (FailureCode::AccessDenied, "access-denied"),
        (FailureCode::BranchNotFound, "branch-not-found"),
        (FailureCode::RepositoryEmpty, "repository-empty"),
        (FailureCode::CloneFailed, "clone-failed"),
        (FailureCode::TemplateUnknown, "template-unknown"),
        (FailureCode::PackageJsonInvalid, "package-json-invalid"),
        (FailureCode::InstallFailed, "install-failed"),
        (FailureCode::NoIndexPage, "no-index-page"),
        (FailureCode::DeadlineExceeded, "deadline-exceeded"),
        (FailureCode::WorkspaceFailed, "workspace-failed"),
    ] {
        stored_as(code, json!(name));
        assert_eq!(code.as_str(), name);
    }
}

#[test]
fn causes_and_reasons() {
    stored_as(OpenCause::Asked, json!("asked"));
    stored_as(OpenCause::Restarted, json!("restarted"));
    stored_as(OpenCause::Interrupted, json!("interrupted"));
    stored_as(OpenCause::Crashed, json!("crashed"));
    stored_as(OpenCause::CrashedAgain, json!("crashed-again"));
    stored_as(OpenCause::Woken, json!("woken"));
    stored_as(WakeCause::Asked, json!("asked"));
    stored_as(WakeCause::Preview, json!("preview"));
    stored_as(ExitCause::Crashed, json!("crashed"));
    stored_as(ExitCause::OutOfMemory, json!("out-of-memory"));
    stored_as(ExitCause::Vanished, json!("vanished"));
    stored_as(ExitCause::Interrupted, json!("interrupted"));
    for (reason, name) in [
        (CloseReason::User, "user"),
        (CloseReason::Crashed, "crashed"),
        (CloseReason::Deleted, "deleted"),
        (CloseReason::Idle, "idle"),
        (CloseReason::MemoryWanted, "memory-wanted"),
    ] {
        stored_as(reason, json!(name));
        assert_eq!(reason.as_str(), name);
    }
    stored_as(EndReason::SignedOut, json!("signed-out"));
    assert_eq!(EndReason::SignedOut.as_str(), "signed-out");
}

#[test]
fn sources_and_actors() {
    let url = "https://host/montage/app.git";
    let name = || Segment::parse("starter").unwrap();
    stored_as(
        Source::Git(GitUrl::parse(url).unwrap()),
        json!({"git": url}),
    );
    stored_as(
        Source::Path("/srv/app".to_owned()),
        json!({"path": "/srv/app"}),
    );
    stored_as(Source::Template(name()), json!({"template": "starter"}));
    stored_as(
        Actor::User(name()),
        json!({"kind": "user", "name": "starter"}),
    );
    stored_as(
        Actor::System("reactor".to_owned()),
        json!({"kind": "system", "name": "reactor"}),
    );
    stored_as(Actor::Anonymous, json!({"kind": "anonymous"}));
}
