//! What each scope is told, and who may follow what.

use firefly_domain::session::Command as SessionCommand;
use serde_json::json;

use super::followers::{TRANSPORTS, position};
use super::*;

fn bobs() -> ProjectKey {
    ProjectKey::new("bob", "montage", "app").unwrap()
}

#[tokio::test]
async fn each_scope_is_told_of_its_own_and_of_nothing_else() {
    for transport in TRANSPORTS {
        let live = Live::start().await;
        let (alice, _) = live.signed_in("alice").await;
        let (bob, _) = live.signed_in("bob").await;
        let other = ProjectKey::new("alice", "montage", "other").unwrap();
        live.open(&app()).await;
        let opened = live.open(&other).await;
        live.reached(opened).await;

        let scopes = [
            (
                "alice",
                String::new(),
                json!([app().to_string(), other.to_string()]),
                json!([]),
            ),
            (
                "alice",
                format!("&project={other}"),
                json!([other.to_string()]),
                json!([]),
            ),
            (
                "alice",
                format!("&session={alice}"),
                json!([]),
                json!([alice.to_string()]),
            ),
            (
                AUDITOR,
                format!("&project={}", app()),
                json!([app().to_string()]),
                json!([]),
            ),
            (
                AUDITOR,
                format!("&session={bob}"),
                json!([]),
                json!([bob.to_string()]),
            ),
            (AUDITOR, "&log=true".to_owned(), json!([]), json!([])),
        ];
        let mut followers = Vec::new();
        for (user, query, projects, sessions) in scopes {
            let mut follower = live.follow(transport, user, &query).await;
            let snapshot = follower.next().await;
            assert_eq!(snapshot["type"], "snapshot");
            assert_eq!(snapshot["position"], opened, "{query}");
            let part = |list: &str, field: &str| -> Value {
                let list = snapshot[list].as_array().unwrap();
                list.iter().map(|entry| entry[field].clone()).collect()
            };
            assert_eq!(part("projects", "key"), projects, "{query}");
            assert_eq!(part("sessions", "id"), sessions, "{query}");
            followers.push((query, follower));
        }

        let closed = live.command(&app(), Command::Close).await;
        let restarted = live.command(&other, Command::Close).await;
        let joined = live.session(alice, SessionCommand::Join(app().id())).await;
        let bob_joined = live.session(bob, SessionCommand::Join(bobs().id())).await;
        let bob_opened = live.open(&bobs()).await;
        let expected = [
            vec![closed, restarted],
            vec![restarted],
            vec![joined],
            vec![closed],
            vec![bob_joined],
            vec![closed, restarted, joined, bob_joined, bob_opened],
        ];
        for ((query, mut follower), positions) in followers.into_iter().zip(expected) {
            let last = *positions.last().unwrap();
            let changes = follower.changes(last).await;
            let got: Vec<u64> = changes.iter().map(position).collect();
            assert_eq!(got, positions, "{transport:?}{query}");
            let shows = |part: &str| changes.iter().all(|change| change[part].is_object());
            let hides = |part: &str| changes.iter().all(|change| change[part].is_null());
            let (of_session, of_log) = (query.contains("session"), query.contains("log"));
            assert!(if of_session || of_log {
                hides("project")
            } else {
                shows("project")
            });
            assert!(if of_session {
                shows("session")
            } else {
                hides("session")
            });
        }
    }
}

#[tokio::test]
async fn a_project_is_followed_before_it_is_opened() {
    for transport in TRANSPORTS {
        let live = Live::start().await;
        let query = format!("&project={}", app());
        let mut follower = live.follow(transport, "alice", &query).await;
        assert_eq!(follower.next().await["projects"], json!([]));
        let opened = live.open(&app()).await;
        let change = follower.next().await;
        assert_eq!(position(&change), opened);
        assert_eq!(change["project"]["key"], app().to_string());
    }
}

#[tokio::test]
async fn a_session_and_a_log_speak_of_projects_by_name() {
    for transport in TRANSPORTS {
        let live = Live::start().await;
        let (session, _) = live.signed_in("alice").await;
        live.open(&app()).await;
        let queries = [format!("&session={session}"), "&log=true".to_owned()];
        let mut followers = Vec::new();
        for query in &queries {
            let mut follower = live.follow(transport, AUDITOR, query).await;
            follower.next().await;
            followers.push(follower);
        }
        let joined = live
            .session(session, SessionCommand::Join(app().id()))
            .await;
        for (query, follower) in queries.iter().zip(&mut followers) {
            let change = follower.changes(joined).await.pop().unwrap();
            let summary = change["event"]["summary"].as_str().unwrap();
            assert!(summary.contains("montage/app"), "{summary}");
            // What comes later is told in the same words.
            let query = format!("{query}&after={}", joined - 1);
            let mut resumed = live.follow(transport, AUDITOR, &query).await;
            assert_eq!(resumed.next().await, change);
        }
    }
}

#[tokio::test]
async fn what_cannot_be_followed_is_refused() {
    let live = Live::start().await;
    let (bob, _) = live.signed_in("bob").await;
    let (alice, _) = live.signed_in("alice").await;
    let opened = live.open(&app()).await;
    live.reached(opened).await;
    let nobody = Uuid::nil();
    let refusals = [
        (format!("project={}", bobs()), 403, "not-an-auditor"),
        (format!("session={bob}"), 403, "not-an-auditor"),
        ("log=true".to_owned(), 403, "not-an-auditor"),
        (format!("session={nobody}"), 404, "session-not-found"),
        ("session=x".to_owned(), 400, "malformed"),
        ("project=alice/app".to_owned(), 400, "malformed"),
        ("project=alice/montage/%2e%2e".to_owned(), 400, "malformed"),
        ("log=1".to_owned(), 400, "malformed"),
        (
            format!("project={}&session={alice}", app()),
            400,
            "malformed",
        ),
        (format!("session={alice}&log=true"), 400, "malformed"),
        (
            format!("project={}&project={}", app(), app()),
            400,
            "malformed",
        ),
        ("everything=true".to_owned(), 400, "malformed"),
        ("after=-1".to_owned(), 400, "malformed"),
        ("after=".to_owned(), 400, "malformed"),
        (format!("after={}", opened + 1), 400, "position-unknown"),
        (format!("after={}", u64::MAX), 400, "position-unknown"),
    ];
    let token = live.token("alice");
    for transport in TRANSPORTS {
        for (query, status, code) in &refusals {
            let refused = live
                .refused(transport, &format!("token={token}&{query}"))
                .await;
            assert_eq!(
                refused,
                (*status, (*code).to_owned()),
                "{transport:?} {query}"
            );
        }
        let refused = live.refused(transport, "log=true").await;
        assert_eq!(refused, (401, "token-missing".to_owned()));
        let refused = live.refused(transport, "token=x&log=true").await;
        assert_eq!(refused, (401, "token-invalid".to_owned()));
    }
    assert_eq!(live.hub.subscribers(), Subscribers::default());
}

#[tokio::test]
async fn an_event_stream_takes_the_token_and_the_position_from_headers() {
    let live = Live::start().await;
    let opened = live.open(&app()).await;
    let closed = live.command(&app(), Command::Close).await;
    live.reached(closed).await;
    let bearer = format!("Bearer {}", live.token("alice"));
    let path = "/api/v1/events/stream?after=0";
    let request = |id: &str| {
        http::Request::get(path)
            .header("authorization", &bearer)
            .header("last-event-id", id)
    };
    let mut follower = live.event_stream(request(&opened.to_string())).await;
    assert_eq!(position(&follower.next().await), closed);
    for (id, code) in [
        ("x", "malformed"),
        ("-1", "malformed"),
        ("99", "position-unknown"),
    ] {
        let headers = [("authorization", bearer.as_str()), ("last-event-id", id)];
        let (status, body) = live.get(path, &headers).await;
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &problem["code"]), (400, &json!(code)), "{id}");
    }
}

#[tokio::test]
async fn progress_reaches_those_who_follow_the_project() {
    for transport in TRANSPORTS {
        let live = Live::start().await;
        let step = |key: ProjectKey| ProjectProgress {
            project: key,
            generation: Generation::new(1),
            progress: Progress {
                step: Step::Install,
                done: 40,
                total: Some(212),
                text: "fetching".into(),
            },
        };
        let queries = [String::new(), format!("&project={}", app())];
        for query in &queries {
            let mut follower = live.follow(transport, "alice", query).await;
            follower.next().await;
            live.progress.send(step(bobs())).unwrap();
            live.progress.send(step(app())).unwrap();
            let message = follower.next().await;
            assert_eq!(message["type"], "progress");
            assert_eq!(
                message["project"],
                app().to_string(),
                "{transport:?}{query}"
            );
            assert_eq!(message["position"], Value::Null);
        }
    }
}

#[tokio::test]
async fn subscribers_are_counted_and_streams_are_bounded() {
    let live = Live::with(Arc::new(AlwaysFresh), 1).await;
    for transport in TRANSPORTS {
        let mut follower = live.follow(transport, AUDITOR, "&log=true").await;
        follower.next().await;
        let subscribers = live.hub.subscribers();
        assert_eq!((subscribers.log, subscribers.mine), (1, 0));
        if transport == followers::Transport::EventStream {
            let query = format!("token={}", live.token("alice"));
            let refused = live.refused(transport, &query).await;
            assert_eq!(refused, (503, "live-busy".to_owned()));
        }
        drop(follower);
        let gone = async {
            while live.hub.subscribers() != Subscribers::default() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, gone).await.unwrap();
    }
    assert_eq!(live.hub.messages_sent(), 2);
}
