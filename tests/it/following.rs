//! Following live state on both transports, over kills of the server and to the end of a session.

use std::collections::BTreeMap;
use std::time::Duration;

use firefly_tests::postgres::Postgres;
use firefly_tests::{Api, Firefly, Follower, Runtime, Settings, Transport, wait_for};
use serde_json::{Value, json};
use tokio::task::{LocalSet, spawn_local};

/// Rounds of commands; the server is killed in the middle of each.
const ROUNDS: usize = 3;

/// Events before the kill of a round.
const EVENTS_BEFORE_KILL: u64 = 6;

/// Projects of a round, each of which has four commands: enough that the kill comes in the middle of them.
const PROJECTS: usize = 12;

/// Well before a connection hears a heartbeat.
const AT_ONCE: Duration = Duration::from_secs(8);

#[tokio::test]
async fn followers_of_a_server_that_is_killed_miss_nothing_and_hear_nothing_twice() {
    let settings = Settings::new(Runtime::Process);
    LocalSet::new().run_until(over_kills(settings)).await;
}

#[tokio::test]
async fn followers_of_a_server_on_postgres_that_is_killed_miss_nothing_and_hear_nothing_twice() {
    let server = Postgres::start();
    let settings = Settings::new(Runtime::Process)
        .on_log(&server.url())
        .with_read_models(&server.url());
    LocalSet::new().run_until(over_kills(settings)).await;
}

async fn over_kills(settings: Settings) {
    let mut firefly = Firefly::start_with(settings).await;
    let api = firefly.api().await;
    let session = format!("session={}", api.session);
    let scopes = ["", session.as_str(), "log=true"];
    let mut followers = Vec::new();
    for transport in Transport::ALL {
        for scope in scopes {
            followers.push(Follower::start(&api, transport, scope).await);
        }
    }
    let begun = api.head().await;
    let mut following = Vec::new();
    let (ends, _) = tokio::sync::watch::channel(None::<BTreeMap<&'static str, u64>>);
    for (number, mut follower) in followers.into_iter().enumerate() {
        let mut end = ends.subscribe();
        let scope = ["mine", "session", "log"][number % scopes.len()];
        following.push(spawn_local(async move {
            // It reads all along, and learns only at last where to stop.
            tokio::select! {
                () = follower.until(u64::MAX) => {}
                _ = end.wait_for(Option::is_some) => {}
            }
            let end = end.borrow().as_ref().unwrap()[scope];
            follower.until(end).await;
            (scope, end, follower)
        }));
    }

    for round in 0..ROUNDS {
        let before = api.head().await;
        let writing = spawn_local(write(api.clone(), round));
        wait_for("some commands", async || {
            (api.head().await > before + EVENTS_BEFORE_KILL).then_some(())
        })
        .await;
        firefly.kill();
        firefly.restart_on_same_port().await;
        writing.await.unwrap();
    }
    let project = api.post(
        "projects/local/followed/last/open",
        json!({"source": "template:starter"}),
    );
    let mine = project.await.position();
    let joined = api.post("sessions/join", json!({"project": "local/followed/last"}));
    let end = joined.await.position();
    ends.send_replace(Some(BTreeMap::from([
        ("mine", mine),
        ("session", end),
        ("log", end),
    ])));

    let log = exported(&api).await;
    for follower in following {
        let (scope, end, follower) = follower.await.unwrap();
        assert!(follower.resumes >= ROUNDS, "{follower:?} was never cut off");
        let concerns = |event: &&Value| match scope {
            "mine" => event["stream"].as_str().unwrap().starts_with("project-"),
            "session" => event["stream"] == format!("session-{}", api.session),
            _ => true,
        };
        let expected: Vec<u64> = log
            .iter()
            .filter(concerns)
            .filter_map(|event| event["position"].as_u64())
            .filter(|position| *position > begun && *position <= end)
            .collect();
        let told = follower.changes.iter();
        let told: Vec<u64> = told
            .filter_map(|change| change["position"].as_u64())
            .filter(|position| *position > begun && *position <= end)
            .collect();
        assert_eq!(told, expected, "{follower:?}");
        assert!(expected.len() > ROUNDS * PROJECTS / 2, "{follower:?}");
    }
}

/// Commands whose answers do not matter, since the server may be killed at any of them.
async fn write(api: Api, round: usize) {
    for number in 0..PROJECTS {
        let project = format!("local/followed/app-{round}-{number}");
        let open = (
            format!("projects/{project}/open"),
            json!({"source": "template:starter"}),
        );
        let join = ("sessions/join".to_owned(), json!({"project": project}));
        let leave = ("sessions/leave".to_owned(), json!({"project": project}));
        let close = (format!("projects/{project}/close"), json!({}));
        for (path, body) in [open, join, leave, close] {
            wait_for("the server", async || api.try_post(&path, &body).await).await;
        }
    }
}

/// All events of the log, from the log itself.
async fn exported(api: &Api) -> Vec<Value> {
    let answer = api.get("events?format=ndjson").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let lines = answer.text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn the_end_of_a_session_ends_its_connections_at_once_and_no_others() {
    let firefly = Firefly::start(Runtime::Process).await;
    let (api, other) = (firefly.api().await, firefly.api().await);
    for transport in Transport::ALL {
        let ending = firefly.api().await;
        let own = format!("session={}", ending.session);
        let mut followers = Vec::new();
        for scope in ["", own.as_str(), "log=true"] {
            followers.push(Follower::start(&ending, transport, scope).await);
        }
        let mut kept = Follower::start(&other, transport, "log=true").await;
        let ended = ending.post("sessions/end", json!({})).await;
        assert_eq!(ended.status, 200, "{ended:?}");
        for mut follower in followers {
            let last = tokio::time::timeout(AT_ONCE, last_message(&mut follower)).await;
            let last = last.unwrap_or_else(|_| panic!("{follower:?} stays"));
            assert_eq!(
                (&last["type"], &last["code"]),
                (&json!("closing"), &json!("signed-out"))
            );
        }
        let joined = api
            .post("sessions/join", json!({"project": "local/a/b"}))
            .await;
        kept.until(joined.position()).await;
        let left = api
            .post("sessions/leave", json!({"project": "local/a/b"}))
            .await;
        kept.until(left.position()).await;
        assert_eq!(kept.resumes, 0);
    }
}

async fn last_message(follower: &mut Follower) -> Value {
    let mut last = Value::Null;
    while let Some(message) = follower.message().await {
        last = message;
    }
    last
}
