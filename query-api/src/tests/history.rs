//! History over HTTP: whose it is, what of it is wanted, and how it is paged.

use chrono::{DateTime, TimeDelta, Utc};
use firefly_domain::{Session, session};

use super::*;

impl Live {
    /// What a user is answered, as JSON.
    pub async fn ask(&self, user: &str, path: &str) -> (u16, Value) {
        let bearer = format!("Bearer {}", self.token(user));
        let headers = [("authorization", bearer.as_str())];
        let (status, body) = self.get(&format!("/api/v1/{path}"), &headers).await;
        let body = serde_json::from_str(&body).unwrap_or_else(|_| panic!("no JSON: {body}"));
        (status, body)
    }

    /// What a user is answered who must be answered.
    pub async fn answer(&self, user: &str, path: &str) -> Value {
        let (status, body) = self.ask(user, path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// The status and the code of a refusal.
    pub async fn refusal(&self, user: &str, path: &str) -> (u16, String) {
        let (status, body) = self.ask(user, path).await;
        let code = body["code"].as_str();
        let code = code.unwrap_or_else(|| panic!("{path} is not refused: {body}"));
        (status, code.to_owned())
    }

    pub async fn sign_in(&self, user: &str) -> SessionId {
        let id = SessionId::from_uuid(Uuid::now_v7());
        let command = session::Command::Start {
            user: Segment::parse(user).unwrap(),
            client: "test".into(),
        };
        self.in_session(id, user, command).await;
        id
    }

    pub async fn in_session(&self, id: SessionId, user: &str, command: session::Command) -> u64 {
        let actor = Actor::User(Segment::parse(user).unwrap());
        let context = Context::new(actor, Uuid::new_v4());
        let handled = handle::<Session>(&*self.store, id.as_uuid(), command, &context)
            .await
            .unwrap();
        handled.position.number()
    }

    /// When the event at a position was recorded.
    pub async fn time_of(&self, position: u64) -> DateTime<Utc> {
        let before = Position::new(position - 1);
        let page = self.store.read_all(before, 1).await.unwrap();
        page[0].recorded_at
    }

    /// A log of two users: alice's project, ready at 6, behind bob's at 1; alice's session is at 7.
    pub async fn of_two_users() -> (Self, SessionId) {
        let live = Self::start().await;
        assert_eq!(live.open(&bobs()).await, 1);
        live.open(&app()).await;
        assert_eq!(live.become_ready(&app()).await, 6);
        let session = live.sign_in("alice").await;
        (live, session)
    }
}

pub fn bobs() -> ProjectKey {
    ProjectKey::new("bob", "montage", "app").unwrap()
}

/// A time as it stands in a URL.
pub fn in_url(time: DateTime<Utc>) -> String {
    time.to_rfc3339().replace('+', "%2B")
}

pub fn positions(history: &Value) -> Vec<u64> {
    let events = history["events"].as_array().unwrap().iter();
    events
        .map(|event| event["position"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn history_is_found_by_whom_it_is_about_and_by_what_happened() {
    let (live, session) = Live::of_two_users().await;
    let correlation = {
        let all = live.answer(AUDITOR, "history?limit=1").await;
        all["events"][0]["correlation_id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for (query, wanted) in [
        (String::new(), vec![1, 2, 3, 4, 5, 6, 7]),
        ("?project=bob/montage/app".into(), vec![1]),
        ("?user=alice".into(), vec![2, 3, 4, 5, 6, 7]),
        (format!("?session={session}"), vec![7]),
        (format!("?correlation={correlation}"), vec![1]),
        ("?actor=bob".into(), vec![1]),
        ("?actor=system:reactor".into(), vec![]),
        ("?type=ProjectOpened,SessionStarted".into(), vec![1, 2, 7]),
        ("?type=ProjectOpened&user=alice".into(), vec![2]),
        ("?project=alice/montage/app&user=bob".into(), vec![]),
        ("?from=3&to=4".into(), vec![3, 4]),
        (
            "?project=alice/montage/app&after=3&before=6".into(),
            vec![4, 5],
        ),
        (
            "?project=alice/montage/app&from=rev-1&to=rev-2".into(),
            vec![3, 4],
        ),
        ("?order=newest&limit=2".into(), vec![7, 6]),
        ("?order=newest&user=bob".into(), vec![1]),
    ] {
        let history = live.answer(AUDITOR, &format!("history{query}")).await;
        assert_eq!(positions(&history), wanted, "{query}");
    }
    let history = live.answer(AUDITOR, "history?from=6").await;
    let named = |index: usize| {
        let event = &history["events"][index];
        (event["user"].clone(), event["project"].clone())
    };
    assert_eq!(named(0), ("alice".into(), "alice/montage/app".into()));
    assert_eq!(named(1), ("alice".into(), Value::Null));
}

#[tokio::test]
async fn times_bound_history_and_both_ends_are_in_it() {
    let (live, _) = Live::of_two_users().await;
    let (third, fifth) = (live.time_of(3).await, live.time_of(5).await);
    let query = format!("history?from={}&to={}", in_url(third), in_url(fifth));
    let history = live.answer(AUDITOR, &query).await;
    assert_eq!(positions(&history), [3, 4, 5]);
    let earlier = in_url(third - TimeDelta::days(1));
    let later = in_url(fifth + TimeDelta::days(1));
    for (query, count) in [
        (format!("from={earlier}&to={later}"), 7),
        (format!("to={earlier}"), 0),
        (format!("from={later}"), 0),
    ] {
        let history = live.answer(AUDITOR, &format!("history?{query}")).await;
        assert_eq!(positions(&history).len(), count, "{query}");
    }
}

#[tokio::test]
async fn a_page_says_where_the_next_one_begins() {
    let (live, _) = Live::of_two_users().await;
    for (order, parameter, wanted) in [
        ("oldest", "after", vec![2, 3, 4, 5, 6]),
        ("newest", "before", vec![6, 5, 4, 3, 2]),
    ] {
        for source in [
            "history?project=alice/montage/app&",
            "projects/alice/montage/app/history?",
        ] {
            let (mut seen, mut go_on) = (Vec::new(), String::new());
            loop {
                let path = format!("{source}order={order}&limit=2{go_on}");
                let page = live.answer("alice", &path).await;
                seen.extend(positions(&page));
                assert_eq!(page["truncated"], !page["next"].is_null(), "{page}");
                match page["next"].as_u64() {
                    Some(next) => go_on = format!("&{parameter}={next}"),
                    None => break,
                }
            }
            assert_eq!(seen, wanted, "{source} {order}");
        }
    }
}

#[tokio::test]
async fn a_project_and_a_session_have_histories_of_their_own() {
    let (live, session) = Live::of_two_users().await;
    let history = live
        .answer("alice", "projects/alice/montage/app/history")
        .await;
    assert_eq!(positions(&history), [2, 3, 4, 5, 6]);
    assert_eq!(history["position"], 6);
    let filtered = "projects/alice/montage/app/history?type=ProjectReady";
    assert_eq!(positions(&live.answer("alice", filtered).await), [6]);
    let signed_in = live
        .answer("alice", &format!("sessions/{session}/history"))
        .await;
    assert_eq!(positions(&signed_in), [7]);
    assert_eq!(
        signed_in["events"][0]["summary"],
        "alice signed in with test"
    );
}

#[tokio::test]
async fn everybody_reads_their_own_and_an_auditor_everything() {
    let (live, session) = Live::of_two_users().await;
    let bobs_history = live.answer("bob", "history").await;
    assert_eq!(positions(&bobs_history), [1]);
    for path in [
        "history?user=alice".to_owned(),
        "history?project=alice/montage/app".into(),
        format!("history?session={session}"),
        "events?user=alice".into(),
        "events?project=alice/montage/app".into(),
    ] {
        let refused = live.refusal("bob", &path).await;
        assert_eq!(refused, (403, "not-an-auditor".into()), "{path}");
        let (status, _) = live.ask(AUDITOR, &path).await;
        assert_eq!(status, 200, "{path}");
    }
    for path in [
        "projects/alice/montage/app/history",
        "projects/alice/montage/app/history/diff?from=1",
        "projects/alice/montage/app?at=7",
    ] {
        let refused = live.refusal("bob", path).await;
        assert_eq!(refused, (403, "not-an-auditor".into()), "{path}");
        let (status, _) = live.ask(AUDITOR, path).await;
        assert_eq!(status, 200, "{path}");
    }
    for path in [
        format!("sessions/{session}"),
        format!("sessions/{session}/history"),
    ] {
        let refused = live.refusal("bob", &path).await;
        assert_eq!(refused, (403, "not-an-auditor".into()), "{path}");
    }
}

#[tokio::test]
async fn what_cannot_be_understood_is_refused() {
    let (live, session) = Live::of_two_users().await;
    let project = "projects/alice/montage/app";
    for path in [
        "history?colour=red".to_owned(),
        "history?limit=0".into(),
        "history?limit=1001".into(),
        "history?order=sideways".into(),
        "history?from=yesterday".into(),
        "history?from=rev-1".into(),
        "history?from=5&to=4".into(),
        "history?after=-1".into(),
        "history?actor=fire%20fly".into(),
        "history?correlation=7".into(),
        "history?project=montage/app".into(),
        "history?session=7".into(),
        format!("history?project=alice/montage/app&session={session}"),
        format!("{project}?colour=red"),
        format!("{project}/history?project=alice/montage/app"),
        format!("{project}/history?colour=red"),
        format!("{project}/history/diff"),
        format!("{project}/history/diff?from=5&to=3"),
        "projects?at=rev-1".into(),
        "sessions?colour=red".into(),
        "events?format=xml".into(),
        "events?limit=3".into(),
    ] {
        let refused = live.refusal("alice", &path).await;
        assert_eq!(refused, (400, "malformed".into()), "{path}");
    }
    for (path, code) in [
        ("history?after=8", "position-unknown"),
        ("projects/alice/montage/app?at=8", "position-unknown"),
        ("projects/alice/montage/app?at=rev-5", "revision-unknown"),
    ] {
        let refused = live.refusal("alice", path).await;
        assert_eq!(refused, (400, code.into()), "{path}");
    }
    for (path, code) in [
        (
            "history?project=alice/never/opened".to_owned(),
            "project-not-found",
        ),
        (
            "projects/alice/never/opened/history".into(),
            "project-not-found",
        ),
        (
            "projects/alice/never/opened/history/diff?from=1".into(),
            "project-not-found",
        ),
        (format!("sessions/{}", Uuid::now_v7()), "session-not-found"),
    ] {
        let refused = live.refusal("alice", &path).await;
        assert_eq!(refused, (404, code.into()), "{path}");
    }
}

#[tokio::test]
async fn a_search_that_has_found_nothing_yet_says_where_to_go_on() {
    let live = Live::start().await;
    live.fill(50_500, 1).await;
    let opened = live.open(&app()).await;
    let first = live.answer("alice", "history").await;
    assert_eq!(positions(&first), [0; 0]);
    assert_eq!(first["next"], 50_000);
    let second = live.answer("alice", "history?after=50000").await;
    assert_eq!(positions(&second), [opened]);
    assert!(second["next"].is_null(), "{second}");
}

#[tokio::test]
async fn large_events_make_short_answers() {
    let live = Live::start().await;
    live.fill(20, 1_000_000).await;
    let first = live.answer(AUDITOR, "history").await;
    let seen = positions(&first);
    assert_eq!(first["next"].as_u64(), seen.last().copied());
    assert!((8..=9).contains(&seen.len()), "{seen:?}");
}
