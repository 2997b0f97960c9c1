//! Coming back at every position of a history, and in the middle of one that goes on.

use firefly_domain::session::Command as SessionCommand;
use serde_json::json;

use super::followers::{TRANSPORTS, Transport, position};
use super::*;

/// Changes while clients come and go: more than a page of a catch-up, so that it takes several.
const CHANGES: usize = 300;

/// Where a history ends for those who follow it.
struct Ends {
    /// For one user, and for one project.
    project: u64,
    /// For a session, and for the log.
    session: u64,
}

/// Two users at work, with what one session has to do with it.
async fn history(live: &Live, sessions: [SessionId; 2]) -> Ends {
    let key = |user: &str, repo: &str| ProjectKey::new(user, "montage", repo).unwrap();
    let (first, second, bobs) = (app(), key("alice", "second"), key("bob", "app"));
    live.session(sessions[0], SessionCommand::Join(second.id()))
        .await;
    live.open(&first).await;
    live.open(&bobs).await;
    live.become_ready(&first).await;
    live.session(sessions[0], SessionCommand::Join(first.id()))
        .await;
    live.open(&second).await;
    live.session(sessions[1], SessionCommand::Join(bobs.id()))
        .await;
    live.session(sessions[0], SessionCommand::Leave(second.id()))
        .await;
    live.command(&first, Command::Close).await;
    live.report(&first, Outcome::ContainerRemoved).await;
    live.command(&bobs, Command::Close).await;
    live.command(&first, Command::Delete { force: true }).await;
    live.report(&first, Outcome::WorkspaceDeleted).await;
    live.session(sessions[0], SessionCommand::Join(second.id()))
        .await;
    let project = live.open(&first).await;
    let session = live.sign_out(sessions[0]).await;
    live.reached(session).await;
    Ends { project, session }
}

/// The scopes in which the history is followed.
fn scopes(session: SessionId) -> [(&'static str, String); 4] {
    [
        ("alice", String::new()),
        ("alice", format!("&project={}", app())),
        (AUDITOR, format!("&session={session}")),
        (AUDITOR, "&log=true".to_owned()),
    ]
}

#[tokio::test]
async fn resuming_anywhere_gives_what_came_live_and_nothing_else() {
    let live = Live::start().await;
    let (first, _) = live.signed_in("alice").await;
    let (second, _) = live.signed_in("bob").await;
    let mut followers = Vec::new();
    for (user, query) in scopes(first) {
        let mut follower = live.follow(Transport::WebSocket, user, &query).await;
        let begun = position(&follower.next().await);
        followers.push((user, query, begun, follower));
    }
    let ends = history(&live, [first, second]).await;
    for (user, query, begun, mut follower) in followers {
        let is_of_project = user == "alice";
        let end = if is_of_project {
            ends.project
        } else {
            ends.session
        };
        let whole = follower.changes(end).await;
        for after in begun..end {
            let missed = whole.iter().filter(|change| position(change) > after);
            let missed: Vec<&Value> = missed.collect();
            for transport in TRANSPORTS {
                let query = format!("{query}&after={after}");
                let mut resumed = live.follow(transport, user, &query).await;
                let changes = resumed.changes(end).await;
                assert_eq!(
                    changes.iter().collect::<Vec<_>>(),
                    missed,
                    "{transport:?}{query}"
                );
            }
        }
    }
}

#[tokio::test]
async fn what_is_shown_is_the_fold_of_the_log_up_to_there() {
    let live = Live::start().await;
    let (first, _) = live.signed_in("alice").await;
    let (second, _) = live.signed_in("bob").await;
    let ends = history(&live, [first, second]).await;
    let mut projects = live
        .follow(Transport::EventStream, "alice", "&after=0")
        .await;
    for change in projects.changes(ends.project).await {
        let key = change["project"]["key"].as_str().unwrap();
        let path = format!("projects/{key}?at={}", position(&change));
        let then = live.answer("alice", &path).await;
        assert_eq!(change["project"], then, "{change}");
    }
    let query = format!("&session={first}&after=0");
    let mut last = Value::Null;
    let mut session = live.follow(Transport::EventStream, "alice", &query).await;
    for change in session.changes(ends.session).await {
        let path = format!("sessions/{first}?at={}", position(&change));
        assert_eq!(
            change["session"],
            live.answer("alice", &path).await,
            "{change}"
        );
        last = json!([change["session"]]);
    }
    // A snapshot shows what the changes before it came to.
    let query = format!("&session={first}");
    let mut fresh = live.follow(Transport::EventStream, "alice", &query).await;
    let snapshot = fresh.next().await;
    assert_eq!(
        (&snapshot["sessions"], &snapshot["position"]),
        (&last, &json!(ends.session))
    );
}

#[tokio::test]
async fn clients_that_come_in_the_middle_of_it_all_see_each_change_once() {
    let live = Live::start().await;
    let (session, _) = live.signed_in("alice").await;
    let opened = live.open(&app()).await;
    // From here on, all that happens is of the session.
    live.reached(opened).await;
    let last = opened + CHANGES as u64;
    let writing = async {
        for number in 0..CHANGES {
            let command = match number % 2 {
                0 => SessionCommand::Join(app().id()),
                _ => SessionCommand::Leave(app().id()),
            };
            live.session(session, command).await;
        }
    };
    let reading = async {
        let scopes = [format!("&session={session}"), "&log=true".to_owned()];
        let (mut began, mut round) = (opened, 0);
        while began < last {
            for transport in TRANSPORTS {
                for scope in &scopes {
                    // A snapshot at times, and a catch-up from the beginning or from here at others.
                    let query = match round % 3 {
                        0 => scope.clone(),
                        1 => format!("{scope}&after={opened}"),
                        _ => format!("{scope}&after={began}"),
                    };
                    round += 1;
                    let mut follower = live.follow(transport, AUDITOR, &query).await;
                    let first = follower.next().await;
                    began = position(&first);
                    let mut reached = began;
                    while reached < last.min(began + 7) {
                        reached += 1;
                        assert_eq!(position(&follower.next().await), reached, "{query}");
                    }
                }
            }
        }
    };
    let both = futures::future::join(writing, reading);
    tokio::time::timeout(4 * DEADLINE, both).await.unwrap();
}
