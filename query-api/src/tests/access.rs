//! Access that ends while somebody follows, and what silent connections are told.

use firefly_domain::{Aggregate, Session};
use firefly_event_store::{Expected, Revision, StreamId};
use firefly_web::Caller;

use super::followers::{Follower, TRANSPORTS, Transport, position};
use super::*;
use crate::live::{request, scope, subscription};

/// Well before the next heartbeat.
const AT_ONCE: Duration = Duration::from_secs(8);

/// Moves the clock to the next heartbeat.
async fn heartbeat() {
    tokio::time::pause();
    tokio::time::advance(subscription::HEARTBEAT_INTERVAL).await;
    tokio::time::resume();
}

#[tokio::test]
async fn the_end_of_a_session_ends_its_subscriptions_at_once_and_no_others() {
    for transport in TRANSPORTS {
        let live = Live::start().await;
        let (session, token) = live.signed_in("alice").await;
        let (_, other_token) = live.signed_in("alice").await;
        let opened = live.open(&app()).await;
        live.reached(opened).await;
        let mut ended = Vec::new();
        let queries = [
            String::new(),
            format!("&project={}", app()),
            format!("&session={session}"),
            format!("&after={opened}"),
        ];
        for query in queries {
            let mut follower = live.follow_with(transport, &token, &query).await;
            if !query.contains("after") {
                follower.next().await;
            }
            ended.push(follower);
        }
        let mut other = live.follow_with(transport, &other_token, "").await;
        other.next().await;

        live.sign_out(session).await;
        for mut follower in ended {
            let closing = tokio::time::timeout(AT_ONCE, follower.closing()).await;
            assert_eq!(closing.unwrap(), ("signed-out".to_owned(), Some(opened)));
        }
        let refused = live.refused(transport, &format!("token={token}")).await;
        assert_eq!(refused, (401, "session-over".to_owned()));
        let closed = live.command(&app(), Command::Close).await;
        assert_eq!(position(&other.next().await), closed);
    }
}

#[tokio::test]
async fn a_token_that_is_no_longer_good_ends_its_subscription_at_the_next_heartbeat() {
    for transport in TRANSPORTS {
        let live = Live::start().await;
        let identity = live.identity("alice");
        let now = chrono::Utc::now();
        let issued = live.tokens.issue(&identity, now);
        let mut follower = live.follow_with(transport, &issued.token, "").await;
        follower.next().await;
        // Nothing in the log says so, as nothing does where a token runs out.
        live.authenticator.end(identity.session, now);
        heartbeat().await;
        assert_eq!(follower.closing().await, ("signed-out".to_owned(), Some(0)));
    }
}

#[tokio::test]
async fn a_token_that_has_run_out_ends_its_subscription_before_anything_is_sent() {
    let live = Live::start().await;
    let identity = live.identity("alice");
    let past = chrono::Utc::now() - firefly_identity::token::TOKEN_LIFETIME;
    let issued = live
        .tokens
        .issue(&identity, past - chrono::TimeDelta::minutes(1));
    let mut subscription = live.subscription(identity, issued.token, scope::Scope::Mine);
    let closing = subscription.next().await.unwrap();
    assert!(closing.json.contains("signed-out"), "{closing:?}");
    // Nothing was seen, so there is nowhere to come back to.
    assert_eq!(closing.position, None);
    assert!(!closing.json.contains("position"), "{closing:?}");
    assert_eq!(subscription.next().await, None);
}

#[tokio::test]
async fn a_session_that_ended_before_the_subscription_began_ends_it() {
    let live = Live::start().await;
    let (session, token) = live.signed_in("alice").await;
    // Checked, and then over before anything is sent.
    let identity = live.authenticator.verify(&token).unwrap();
    live.authenticator.end(session, chrono::Utc::now());
    let mut subscription = live.subscription(identity, token, scope::Scope::Mine);
    let closing = subscription.next().await.unwrap();
    assert!(closing.json.contains("signed-out"), "{closing:?}");
    assert_eq!(subscription.next().await, None);
}

#[tokio::test]
async fn what_is_no_longer_allowed_ends() {
    let live = Live::start().await;
    let identity = live.identity("alice");
    let token = live.tokens.issue(&identity, chrono::Utc::now()).token;
    let mut subscription = live.subscription(identity, token, scope::Scope::Log);
    let closing = subscription.next().await.unwrap();
    assert!(closing.json.contains("not-allowed"), "{closing:?}");
}

impl Live {
    fn subscription(
        &self,
        identity: Identity,
        token: String,
        scope: scope::Scope,
    ) -> subscription::Subscription {
        let caller = Caller(identity);
        let room = self.app.room(&caller, &self.app.stream_places).unwrap();
        let request = request::Request {
            caller,
            token,
            scope,
            after: None,
            room,
        };
        subscription::Subscription::new(self.app.clone(), request)
    }
}

#[tokio::test]
async fn a_silent_connection_hears_how_far_it_has_come() {
    for transport in TRANSPORTS {
        let live = Live::start().await;
        let bobs = ProjectKey::new("bob", "montage", "app").unwrap();
        live.reached(live.open(&app()).await).await;
        let mut followers = Vec::new();
        for query in ["", "&project=alice/montage/app", "&after=0"] {
            let mut follower = live.follow(transport, "alice", query).await;
            follower.next().await;
            // Nothing is left to be caught up with.
            assert_eq!(follower.message().now_or_never(), None);
            followers.push(follower);
        }
        let opened = live.open(&bobs).await;
        live.reached(opened).await;
        heartbeat().await;
        for follower in &mut followers {
            let message = follower.next().await;
            assert_eq!(message["type"], "heartbeat", "{transport:?}");
            assert_eq!(position(&message), opened);
        }
    }
}

#[tokio::test]
async fn a_session_that_cannot_be_read_any_more_fails_who_follows_it() {
    for transport in TRANSPORTS {
        let live = Live::start().await;
        let (session, _) = live.signed_in("bob").await;
        let query = format!("&session={session}");
        let mut follower = live.follow(transport, AUDITOR, &query).await;
        let snapshot = follower.next().await;
        let stream = StreamId::of(Session::CATEGORY, session.as_uuid());
        let exact = Expected::Exact(Revision::new(0));
        live.append_unreadable(&stream, exact).await;
        let failed = ("failed".to_owned(), Some(position(&snapshot)));
        assert_eq!(follower.closing().await, failed);
        // Nor can it be followed from now on.
        let mut again = live.follow(transport, AUDITOR, &query).await;
        assert_eq!(again.closing().await, ("failed".to_owned(), None));
    }
}

#[tokio::test]
async fn a_stop_says_where_to_come_back() {
    for transport in TRANSPORTS {
        let live = Live::start().await;
        let opened = live.open(&app()).await;
        let mut follower = live.follow(transport, "alice", "&after=0").await;
        follower.changes(opened).await;
        live.shutdown.cancel();
        let message = follower.next().await;
        assert_eq!(
            (&message["type"], &message["code"], position(&message)),
            (&"closing".into(), &"restarting".into(), opened)
        );
        if let Follower::WebSocket(socket) = &mut follower {
            let frame = socket.close_frame().await;
            assert_eq!(u16::from(frame.code), 1012);
            assert!(
                frame.reason.contains(&format!("after={opened}")),
                "{frame:?}"
            );
        } else {
            assert_eq!(follower.message().await, None);
        }
        // Whoever comes later is not kept waiting.
        let mut late = live.follow(Transport::EventStream, "alice", "").await;
        assert_eq!(late.closing().await, ("restarting".to_owned(), None));
    }
}
