//! Projects and sessions as they were, and what changed since.

use chrono::{DateTime, TimeDelta, Utc};
use firefly_domain::session;

use firefly_read_models::builds::{Projected, Status};
use firefly_read_models::{ProjectRow, Row, SessionRow};

use super::history::{bobs, in_url, positions};
use super::*;

/// A read model as the lists of the past need it.
pub async fn know(live: &Live, table: &str, rows: &[(String, &str)]) {
    match table {
        "projects" => {
            fill(
                live,
                rows.iter().map(|(id, user)| a_project(id, user)).collect(),
            )
            .await
        }
        _ => {
            fill(
                live,
                rows.iter().map(|(id, user)| a_session(id, user)).collect(),
            )
            .await
        }
    }
}

async fn fill<R: Row>(live: &Live, rows: Vec<R>) {
    let projected = Projected {
        projection: R::TABLE.name,
        version: 1,
        table: R::TABLE,
    };
    let mut transaction = live.read_models.begin().await.unwrap();
    let build = transaction
        .start(projected, live.store.id(), Status::Live)
        .await
        .unwrap();
    let rows: Vec<&R> = rows.iter().collect();
    transaction.save(build.build, &rows).await.unwrap();
    transaction.commit().await.unwrap();
}

fn a_project(id: &str, user: &str) -> ProjectRow {
    ProjectRow {
        id: id.into(),
        user: user.into(),
        owner: "montage".into(),
        repo: "app".into(),
        source: "template:starter".into(),
        branch: None,
        state: "ready".into(),
        step: None,
        generation: 1,
        container: None,
        released: false,
        failure_step: None,
        failure_code: None,
        failure_detail: None,
        closed_reason: None,
        unsaved_files: 0,
        unsaved_commits: 0,
        opened_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
        revision: 0,
        position: 0,
    }
}

fn a_session(id: &str, user: &str) -> SessionRow {
    SessionRow {
        id: id.into(),
        user: user.into(),
        client: "console".into(),
        projects: "[]".into(),
        started_at: DateTime::UNIX_EPOCH,
        ended_at: None,
        end_reason: None,
        position: 0,
    }
}

#[tokio::test]
async fn a_project_is_shown_as_it_was_after_each_event() {
    let (live, _) = Live::of_two_users().await;
    let closed = live.command(&app(), Command::Close).await;
    for (position, state, step, revision) in [
        (2, "opening", "container".into(), 0),
        (3, "opening", "source".into(), 1),
        (4, "opening", "install".into(), 2),
        (5, "opening", "preview".into(), 3),
        (6, "ready", Value::Null, 4),
        // Nothing happened to it at this position.
        (7, "ready", Value::Null, 4),
        (closed, "closing", Value::Null, 5),
    ] {
        let time = in_url(live.time_of(position).await);
        for at in [position.to_string(), time, format!("rev-{revision}")] {
            let path = format!("projects/{}?at={at}", app());
            let project = live.answer("alice", &path).await;
            let seen = (&project["state"], &project["step"], &project["revision"]);
            assert_eq!(seen, (&state.into(), &step, &revision.into()), "{path}");
        }
    }
}

#[tokio::test]
async fn the_past_comes_in_the_same_form_as_the_present() {
    let (live, _) = Live::of_two_users().await;
    let mut socket = live.alice("&after=5").await;
    let change = socket.next().await;
    let path = format!("projects/{}?at=6", app());
    assert_eq!(live.answer("alice", &path).await, change["project"]);
}

#[tokio::test]
async fn a_moment_that_was_not_or_is_not_yet_is_refused() {
    let (live, session) = Live::of_two_users().await;
    let before = in_url(live.time_of(1).await - TimeDelta::microseconds(1));
    let future = in_url(Utc::now() + TimeDelta::hours(1));
    let project = format!("projects/{}", app());
    for path in [
        project.clone(),
        "projects".into(),
        "sessions".into(),
        format!("sessions/{session}"),
    ] {
        for (at, code) in [
            ("0", "moment-before-beginning"),
            (&before, "moment-before-beginning"),
            (&future, "moment-in-future"),
            ("8", "position-unknown"),
        ] {
            let refused = live.refusal("alice", &format!("{path}?at={at}")).await;
            assert_eq!(refused, (400, code.into()), "{path}?at={at}");
        }
    }
    let (_, problem) = live.ask("alice", &format!("{project}?at={before}")).await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("history begins at position 1 on 2"),
        "{detail}"
    );

    let (status, problem) = live.ask("alice", &format!("{project}?at=1")).await;
    assert_eq!(
        (status, &problem["code"]),
        (404, &"project-not-found".into())
    );
    let detail = problem["detail"].as_str().unwrap();
    let said = "alice/montage/app was not opened yet at position 1; it was first opened at position 2 on 2";
    assert!(detail.starts_with(said), "{detail}");
    let refused = live
        .refusal("alice", &format!("sessions/{session}?at=6"))
        .await;
    assert_eq!(refused, (404, "session-not-found".into()));
}

#[tokio::test]
async fn an_empty_log_has_no_past() {
    let live = Live::start().await;
    let now = in_url(Utc::now());
    let refused = live.refusal("alice", &format!("projects?at={now}")).await;
    assert_eq!(refused, (400, "moment-before-beginning".into()));
    assert_eq!(positions(&live.answer("alice", "history").await), [0; 0]);
}

#[tokio::test]
async fn lists_show_what_a_user_had_then() {
    let (live, _) = Live::of_two_users().await;
    let other = ProjectKey::new("alice", "montage", "other").unwrap();
    let opened = live.open(&other).await;
    let rows =
        [&app(), &other, &bobs()].map(|key| (key.id().to_string(), key.user.as_str().to_owned()));
    let rows: Vec<(String, &str)> = rows
        .iter()
        .map(|(id, user)| (id.clone(), user.as_str()))
        .collect();
    know(&live, "projects", &rows).await;
    let keys = |list: &Value| -> Vec<String> {
        let projects = list["projects"].as_array().unwrap().iter();
        projects
            .map(|project| project["key"].as_str().unwrap().to_owned())
            .collect()
    };
    let mine = app().to_string();
    for (query, wanted) in [
        ("at=1".to_owned(), vec![]),
        ("at=2".into(), vec![mine.clone()]),
        (
            format!("at={opened}"),
            vec![other.to_string(), mine.clone()],
        ),
        (format!("at={opened}&state=ready"), vec![mine]),
    ] {
        let list = live.answer("alice", &format!("projects?{query}")).await;
        assert_eq!(keys(&list), wanted, "{query}");
    }
}

#[tokio::test]
async fn a_session_is_shown_as_it_was() {
    let (live, id) = Live::of_two_users().await;
    know(&live, "sessions", &[(id.to_string(), "alice")]).await;
    let project = app().id();
    let joined = live
        .in_session(id, "alice", session::Command::Join(project))
        .await;
    let ended = session::Command::End(session::EndReason::SignedOut);
    let ended = live.in_session(id, "alice", ended).await;
    for (position, state, projects) in [
        (joined - 1, "active", serde_json::json!([])),
        (joined, "active", serde_json::json!([project.to_string()])),
        (ended, "ended", serde_json::json!([])),
    ] {
        let session = live
            .answer("alice", &format!("sessions/{id}?at={position}"))
            .await;
        let list = live
            .answer("alice", &format!("sessions?at={position}"))
            .await;
        assert_eq!(list["sessions"], serde_json::json!([session]));
        assert_eq!(
            (&session["state"], &session["projects"]),
            (&state.into(), &projects)
        );
    }
    let history = live
        .answer("alice", &format!("sessions/{id}/history"))
        .await;
    assert_eq!(
        history["events"][1]["summary"],
        "alice took montage/app in hand"
    );
    let now = live.answer("alice", &format!("sessions/{id}")).await;
    assert_eq!(now["end_reason"], "signed-out");
    let earlier = live.answer("alice", "sessions?at=6").await;
    assert_eq!(earlier["sessions"], serde_json::json!([]));
}

#[tokio::test]
async fn a_diff_tells_what_changed_and_what_happened() {
    let (live, _) = Live::of_two_users().await;
    let path = format!("projects/{}/history/diff", app());
    let diff = live
        .answer("alice", &format!("{path}?from=rev-1&to=6"))
        .await;
    assert_eq!(positions(&diff), [4, 5, 6]);
    let changes = serde_json::json!([
        {"field": "state", "from": "opening", "to": "ready"},
        {"field": "step", "from": "source", "to": null},
    ]);
    assert_eq!(diff["changes"], changes);
    assert_eq!(
        (&diff["from"]["position"], &diff["from"]["revision"]),
        (&3.into(), &1.into())
    );
    assert_eq!(
        (&diff["to"]["position"], &diff["to"]["revision"]),
        (&6.into(), &4.into())
    );

    // Before it was opened there was nothing of it; without an end, now is meant.
    let whole = live.answer("alice", &format!("{path}?from=1")).await;
    assert_eq!(positions(&whole), [2, 3, 4, 5, 6]);
    assert!(whole["from"]["revision"].is_null(), "{whole}");
    let fields: Vec<&Value> = whole["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| &change["from"])
        .collect();
    assert!(fields.iter().all(|from| from.is_null()), "{whole}");

    let nothing = live.answer("alice", &format!("{path}?from=6&to=7")).await;
    assert_eq!(
        (&nothing["changes"], &nothing["events"]),
        (&serde_json::json!([]), &serde_json::json!([]))
    );
}
