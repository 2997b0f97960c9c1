//! Clients that read more slowly than changes come.

use firefly_domain::session::Command as SessionCommand;
use firefly_event_store::store::EVENTS_PER_APPEND_MAX;
use firefly_event_store::{Expected, StreamId};

use super::followers::{TRANSPORTS, position};
use super::*;

/// What one large change has; a socket's own buffers hold a few of them.
const LARGE_BYTES: usize = 400_000;

/// Changes that no buffer holds: of four megabytes in a socket, and six in a queue. Each has its large text twice.
const CHANGES: usize = 24;

#[tokio::test]
async fn a_slow_client_is_told_where_to_come_back_and_misses_nothing() {
    for transport in TRANSPORTS {
        let live = Live::start().await;
        let opened = live.open(&app()).await;
        live.reached(opened).await;
        let mut follower = live.follow(transport, AUDITOR, "&log=true").await;
        let mut seen = position(&follower.next().await);
        let mut last = 0;
        for _ in 0..CHANGES {
            let identity = live.identity("alice");
            let start = SessionCommand::Start {
                user: identity.user,
                client: "x".repeat(LARGE_BYTES),
            };
            last = live.session(identity.session, start).await;
        }
        live.reached(last).await;
        assert_eq!(live.hub.closed_as_too_slow(), 1, "{transport:?}");
        loop {
            let message = follower.next().await;
            if message["type"] == "closing" {
                assert_eq!(message["code"], "too-slow");
                assert_eq!(position(&message), seen);
                break;
            }
            seen += 1;
            assert_eq!(position(&message), seen);
        }
        assert!(seen < last);
        match &mut follower {
            followers::Follower::WebSocket(socket) => {
                let frame = socket.close_frame().await;
                assert_eq!(u16::from(frame.code), 1013);
                assert!(frame.reason.contains(&format!("after={seen}")), "{frame:?}");
            }
            stream => assert_eq!(stream.message().await, None),
        }
        let query = format!("&log=true&after={seen}");
        let mut resumed = live.follow(transport, AUDITOR, &query).await;
        let changes = resumed.changes(last).await;
        let got: Vec<u64> = changes.iter().map(position).collect();
        assert_eq!(got, (seen + 1..=last).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_catch_up_is_as_long_as_it_is_and_ends_nothing() {
    let live = Live::start().await;
    let mut last = 0;
    for _ in 0..3 {
        let stream = StreamId::of("measured", &Uuid::new_v4());
        let events = (0..EVENTS_PER_APPEND_MAX).map(|_| unreadable::event());
        let appended = live
            .store
            .append(&stream, Expected::NoStream, events.collect())
            .await;
        last = appended.unwrap().position.number();
    }
    assert!(last > hub::queue::MESSAGES_MAX as u64);
    live.reached(last).await;
    for transport in TRANSPORTS {
        let mut follower = live.follow(transport, AUDITOR, "&log=true&after=0").await;
        assert_eq!(follower.changes(last).await.len() as u64, last);
    }
    assert_eq!(live.hub.closed_as_too_slow(), 0);
}
