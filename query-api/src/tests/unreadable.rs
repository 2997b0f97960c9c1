//! One event of a newer Firefly, and all that must go on beside it.

use firefly_domain::{Aggregate, EventId, Session};
use firefly_event_store::{Expected, Metadata, NewEvent, Revision, StreamId};
use serde_json::value::RawValue;

use super::followers::{TRANSPORTS, position};
use super::*;

/// An event that no Firefly of today can read where it knows the stream.
pub fn event() -> NewEvent {
    NewEvent {
        id: EventId::from_uuid(Uuid::now_v7()),
        event_type: "FromTheFuture".into(),
        schema_version: 1,
        data: RawValue::from_string("{}".into()).unwrap(),
        metadata: Metadata {
            actor: Actor::Anonymous,
            correlation_id: Uuid::nil(),
            causation_id: None,
            traceparent: None,
            idempotency: None,
        },
        recorded_at: None,
    }
}

impl Live {
    /// Appends an event that no Firefly of today can read.
    pub async fn append_unreadable(&self, stream: &StreamId, expected: Expected) -> u64 {
        let appended = self.store.append(stream, expected, vec![event()]).await;
        appended.unwrap().position.number()
    }

    /// Appends an event that every Firefly can read.
    async fn append_readable(&self, stream: &StreamId, expected: Expected) -> u64 {
        let readable = NewEvent {
            event_type: "ContainerRemoved".into(),
            data: RawValue::from_string(r#"{"generation":1}"#.into()).unwrap(),
            ..event()
        };
        let appended = self.store.append(stream, expected, vec![readable]).await;
        appended.unwrap().position.number()
    }
}

#[tokio::test]
async fn an_unreadable_event_costs_its_own_project_alone() {
    let live = Live::start().await;
    let broken = ProjectKey::new("alice", "montage", "broken").unwrap();
    live.open(&broken).await;
    let stream = StreamId::of(Project::CATEGORY, broken.id().as_uuid());
    let exact = |revision| Expected::Exact(Revision::new(revision));
    live.append_unreadable(&stream, exact(0)).await;
    live.append_unreadable(&stream, exact(1)).await;
    let other = live.open(&app()).await;

    let mut resumed = live.alice("&after=3").await;
    assert_eq!(resumed.changes_until(other).await.len(), 1);

    let mut fresh = live.alice("").await;
    let snapshot = fresh.next().await;
    assert_eq!(snapshot["position"], other);
    let projects = snapshot["projects"].as_array().unwrap();
    assert_eq!(projects.len(), 1, "{projects:?}");
    assert_eq!(projects[0]["key"], app().to_string());

    let (_, checks) = live.get("/readyz", &[]).await;
    let said = "[+] live state (projects left out, since an event of theirs cannot be read: 1)";
    assert!(checks.contains(said), "{checks}");

    let ready = live.become_ready(&app()).await;
    assert_eq!(fresh.changes_until(ready).await.last().unwrap().1, "ready");
}

#[tokio::test]
async fn an_unreadable_event_of_a_project_is_passed_over_for_nobody() {
    for transport in TRANSPORTS {
        let live = Live::start().await;
        let opened = live.open(&app()).await;
        live.reached(opened).await;
        let bobs = ProjectKey::new("bob", "montage", "app").unwrap();
        let of_project = format!("&project={}", app());
        let mut mine = live.follow(transport, "alice", "").await;
        let mut one = live.follow(transport, "alice", &of_project).await;
        let mut other = live
            .follow(transport, "bob", &format!("&project={bobs}"))
            .await;
        for follower in [&mut mine, &mut one, &mut other] {
            assert_eq!(position(&follower.next().await), opened);
        }

        let stream = StreamId::of(Project::CATEGORY, app().id().as_uuid());
        let exact = Expected::Exact(Revision::new(0));
        let unreadable = live.append_unreadable(&stream, exact).await;
        let exact = Expected::Exact(Revision::new(1));
        let behind = live.append_readable(&stream, exact).await;
        let bobs_opened = live.open(&bobs).await;
        let second = ProjectKey::new("alice", "montage", "second").unwrap();
        let last = live.open(&second).await;

        let told = mine.changes(last).await;
        let positions: Vec<u64> = told.iter().map(position).collect();
        assert_eq!(positions, [unreadable, behind, last]);
        let has_project: Vec<bool> = told
            .iter()
            .map(|change| change["project"].is_object())
            .collect();
        assert_eq!(has_project, [false, false, true]);
        let failed = ("failed".to_owned(), Some(opened));
        assert_eq!(one.closing().await, failed);
        assert_eq!(other.changes(bobs_opened).await.len(), 1);

        // Who comes back is told the same, from wherever that is.
        let mut whole = live.follow(transport, "alice", "&after=0").await;
        let whole = whole.changes(last).await;
        assert_eq!(position(&whole[0]), opened);
        assert_eq!(whole[0]["project"]["state"], "opening");
        assert_eq!(whole[1..], told);
        for after in opened..last {
            let query = format!("&after={after}");
            let mut resumed = live.follow(transport, "alice", &query).await;
            let missed = told.iter().filter(|change| position(change) > after);
            let missed: Vec<Value> = missed.cloned().collect();
            assert_eq!(resumed.changes(last).await, missed, "{transport:?}{query}");
            let query = format!("{of_project}&after={after}");
            let mut resumed = live.follow(transport, "alice", &query).await;
            let failed = ("failed".to_owned(), Some(after));
            assert_eq!(resumed.closing().await, failed, "{transport:?}{query}");
        }
        let query = format!("{of_project}&after=0");
        let mut resumed = live.follow(transport, "alice", &query).await;
        assert_eq!(resumed.changes(opened).await.len(), 1);
        assert_eq!(resumed.closing().await, failed);
        let mut fresh = live.follow(transport, "alice", &of_project).await;
        assert_eq!(fresh.closing().await, ("failed".to_owned(), None));
    }
}

#[tokio::test]
async fn history_shows_what_it_cannot_read_as_it_is() {
    let live = Live::start().await;
    live.open(&app()).await;
    let stream = StreamId::of(Project::CATEGORY, app().id().as_uuid());
    live.append_unreadable(&stream, Expected::Exact(Revision::new(0)))
        .await;
    let bearer = format!("Bearer {}", live.token("alice"));
    let path = format!("/api/v1/projects/{}/history", app());
    let (status, body) = live.get(&path, &[("authorization", &bearer)]).await;
    assert_eq!(status, 200, "{body}");
    let history: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(history["events"][0]["type"], "ProjectOpened");
    let unread = &history["events"][1];
    assert_eq!(
        (&unread["type"], &unread["version"]),
        (&"FromTheFuture".into(), &1.into())
    );
    assert_eq!(unread["data"], serde_json::json!({}));
    let summary = unread["summary"].as_str().unwrap();
    assert!(summary.contains("cannot read"), "{summary}");
}

#[tokio::test]
async fn the_past_leaves_out_what_cannot_be_read_and_nothing_else() {
    let live = Live::start().await;
    let broken = ProjectKey::new("alice", "montage", "broken").unwrap();
    let first = live.open(&broken).await;
    let stream = StreamId::of(Project::CATEGORY, broken.id().as_uuid());
    let exact = Expected::Exact(Revision::new(0));
    let unreadable = live.append_unreadable(&stream, exact).await;
    let other = live.open(&app()).await;
    let rows = [&broken, &app()].map(|key| (key.id().to_string(), "alice"));
    past::know(&live, "projects", &rows).await;

    let list = live.answer("alice", &format!("projects?at={other}")).await;
    let projects = list["projects"].as_array().unwrap();
    assert_eq!(projects.len(), 1, "{list}");
    assert_eq!(projects[0]["key"], app().to_string());
    let path = format!("projects/{broken}?at={unreadable}");
    let refused = live.refusal("alice", &path).await;
    assert_eq!(refused, (500, "event-unreadable".to_owned()));
    // What was before it can be read.
    let before = live
        .answer("alice", &format!("projects/{broken}?at={first}"))
        .await;
    assert_eq!(before["state"], "opening");
}

#[tokio::test]
async fn a_session_with_an_unreadable_event_is_over() {
    let live = Live::start().await;
    let identity = live.identity("alice");
    let token = live.tokens.issue(&identity, chrono::Utc::now()).token;
    assert!(live.authenticator.verify(&token).is_ok());
    let stream = StreamId::of(Session::CATEGORY, identity.session.as_uuid());
    let position = live.append_unreadable(&stream, Expected::NoStream).await;
    // Answered only when live state has come so far.
    live.alice(&format!("&after={position}")).await;
    assert!(live.authenticator.verify(&token).is_err());
}
