//! More than may be at once: connections of one user, catch-ups that read, and large events in them.

use firefly_event_store::{Expected, NewEvent, StreamId};
use serde_json::value::RawValue;

use super::followers::{TRANSPORTS, Transport, position};
use super::*;
use crate::live::room::USER_CONNECTIONS_MAX;
use crate::live::subscription::HEARTBEAT_INTERVAL;

/// Of which a page of a catch-up holds one.
const LARGE_BYTES: usize = 600_000;

#[tokio::test]
async fn one_user_leaves_room_for_others() {
    let live = Live::start().await;
    let mut followers = Vec::new();
    for _ in 0..USER_CONNECTIONS_MAX {
        followers.push(live.follow(Transport::EventStream, "alice", "").await);
    }
    for transport in TRANSPORTS {
        let query = format!("token={}", live.token("alice"));
        let refused = match transport {
            Transport::EventStream => live.refused(transport, &query).await,
            Transport::WebSocket => match live.connect(&query).await {
                Err(SocketError::Http(response)) => {
                    let body = response.body().as_deref().unwrap_or_default();
                    let problem: Value = serde_json::from_slice(body).unwrap();
                    let code = problem["code"].as_str().unwrap().to_owned();
                    (response.status().as_u16(), code)
                }
                Err(error) => panic!("{error}"),
                Ok(_) => panic!("one more was served"),
            },
        };
        assert_eq!(refused, (429, "live-too-many".to_owned()));
        let mut others = live.follow(transport, "bob", "").await;
        assert_eq!(others.next().await["type"], "snapshot");
    }
    followers.pop();
    let mut again = live.follow(Transport::EventStream, "alice", "").await;
    assert_eq!(again.next().await["type"], "snapshot");
}

#[tokio::test]
async fn whoever_waits_for_a_turn_to_read_hears_heartbeats_and_the_end() {
    for transport in TRANSPORTS {
        let live = Live::start().await;
        let opened = live.open(&app()).await;
        live.reached(opened).await;
        let (session, token) = live.signed_in("alice").await;
        let turns = Arc::clone(&live.app.catch_ups);
        let all = u32::try_from(CATCH_UPS_MAX).unwrap();
        let held = turns.acquire_many(all).await.unwrap();
        let mut waiting = live.follow(transport, "alice", "&after=0").await;
        let mut ended = live.follow_with(transport, &token, "&after=0").await;
        let of_session = format!("&session={session}");
        let mut begins = live.follow_with(transport, &token, &of_session).await;
        assert_eq!(waiting.message().now_or_never(), None);
        tokio::time::pause();
        tokio::time::advance(HEARTBEAT_INTERVAL).await;
        tokio::time::resume();
        for (follower, seen) in [
            (&mut waiting, Some(0)),
            (&mut ended, Some(0)),
            (&mut begins, None),
        ] {
            let heartbeat = follower.next().await;
            assert_eq!(heartbeat["type"], "heartbeat", "{heartbeat}");
            assert_eq!(heartbeat["position"].as_u64(), seen);
        }
        live.sign_out(session).await;
        let signed_out = "signed-out".to_owned();
        assert_eq!(ended.closing().await, (signed_out.clone(), Some(0)));
        assert_eq!(begins.closing().await, (signed_out, None));
        drop(held);
        assert_eq!(position(&waiting.changes(opened).await[0]), opened);
    }
}

#[tokio::test]
async fn large_events_are_caught_up_with_a_few_at_a_time() {
    let live = Live::start().await;
    let stream = StreamId::of("measured", &Uuid::new_v4());
    let large = || NewEvent {
        data: RawValue::from_string(format!(r#"{{"x":"{}"}}"#, "x".repeat(LARGE_BYTES))).unwrap(),
        ..unreadable::event()
    };
    let events: Vec<NewEvent> = [large(), large(), unreadable::event(), large(), large()]
        .into_iter()
        .chain((0..40).map(|_| unreadable::event()))
        .collect();
    let appended = live.store.append(&stream, Expected::NoStream, events).await;
    let last = appended.unwrap().position.number();
    live.reached(last).await;
    for transport in TRANSPORTS {
        let mut follower = live.follow(transport, AUDITOR, "&log=true&after=0").await;
        let changes = follower.changes(last).await;
        let positions: Vec<u64> = changes.iter().map(position).collect();
        assert_eq!(positions, (1..=last).collect::<Vec<_>>());
    }
}
