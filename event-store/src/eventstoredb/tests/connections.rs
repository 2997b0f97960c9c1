//! Connections that break, leaders that change, users that are refused.

use std::fs;

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};

use super::*;

#[tokio::test]
async fn the_log_goes_on_when_its_server_comes_back() {
    let (mut server, store) = store().await;
    let mut seen = std::pin::pin!(follow(Arc::clone(&store), Position::START));
    let first = append_one(&*store).await;
    assert_eq!(seen.next().await.unwrap().unwrap().len(), 1);
    server.stop();
    let stream = contract::a_stream();
    let events = contract::some_events(1);
    let failed = store.append(&stream, Expected::NoStream, events.clone());
    let failed = tokio::time::timeout(DEADLINE, failed).await.unwrap();
    assert!(matches!(failed, Err(Error::Engine { .. })), "{failed:?}");
    server.resume();

    let appended = store
        .append(&stream, Expected::NoStream, events)
        .await
        .unwrap();
    assert!(appended.position > first.position);
    let page = tokio::time::timeout(DEADLINE, seen.next()).await.unwrap();
    assert_eq!(page.unwrap().unwrap().len(), 1);
    // The subscription is there again, too.
    let other = EventStoreDbEventStore::open(&server.url()).await.unwrap();
    subscribed(&server, 2).await;
    let theirs = append_one(&other).await;
    reaches(&*store, theirs.position).await;
}

async fn subscribed(server: &StandIn, count: usize) {
    let waiting = async {
        while server.subscriptions() < count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting)
        .await
        .expect("the subscription is not there");
}

#[tokio::test]
async fn a_subscription_that_the_server_ends_is_started_anew() {
    let (server, store) = store().await;
    for _ in 0..3 {
        subscribed(&server, 1).await;
        server.end_subscriptions();
        let other = EventStoreDbEventStore::open(&server.url()).await.unwrap();
        let theirs = append_one(&other).await;
        reaches(&*store, theirs.position).await;
    }
    subscribed(&server, 1).await;
}

#[tokio::test]
async fn writes_go_to_the_leader_whoever_that_is() {
    let ports = [free_port(), free_port()];
    let behaviour = Behaviour {
        cluster: ports.to_vec(),
        ..roomy()
    };
    let mut first = StandIn::start_with(ports[0], behaviour);
    let second = first.start_member(ports[1]);
    let seeds = format!("{},127.0.0.1:{}", ports[0], ports[1]);
    let url = format!("esdb://127.0.0.1:{seeds}?tls=false&discoveryInterval=20");
    let store = EventStoreDbEventStore::open(&url).await.unwrap();
    append_one(&store).await;

    // The old leader refuses and names the new one.
    first.lead_by(second.port());
    append_one(&store).await;
    // A leader that is gone is given up for the one that was elected.
    first.lead_by(first.port());
    append_one(&store).await;
    first.stop();
    second.lead_by(second.port());
    append_one(&store).await;
    assert_eq!(store.read_all(Position::START, 10).await.unwrap().len(), 4);
}

#[tokio::test]
async fn whichever_node_is_preferred_the_leader_is_asked() {
    let ports = [free_port(), free_port()];
    let behaviour = Behaviour {
        cluster: ports.to_vec(),
        ..roomy()
    };
    let leader = StandIn::start_with(ports[0], behaviour);
    let _follower = leader.start_member(ports[1]);
    let seeds = format!("{},127.0.0.1:{}", ports[0], ports[1]);
    let url =
        format!("esdb://127.0.0.1:{seeds}?tls=false&discoveryInterval=20&nodePreference=follower");
    let store = EventStoreDbEventStore::open(&url).await.unwrap();
    let other = EventStoreDbEventStore::open(&leader.url()).await.unwrap();
    append_one(&store).await;
    assert_eq!(store.read_all(Position::START, 10).await.unwrap().len(), 1);
    let theirs = append_one(&other).await;
    reaches(&store, theirs.position).await;
    subscribed(&leader, 2).await;
    assert_eq!(leader.reads_of_followers(), 0);
}

#[tokio::test]
async fn a_node_that_falls_silent_is_given_up() {
    let (server, _) = store().await;
    // Long for an answer on this machine, and short for a test.
    let patience = Duration::from_millis(500);
    let store = EventStoreDbEventStore::open_with(&server.url(), patience)
        .await
        .unwrap();
    for _ in 0..2 {
        append_one(&store).await;
    }
    server.leave_unanswered(2);
    assert_eq!(store.read_all(Position::START, 10).await.unwrap().len(), 2);
    // It happens the first time, and is recognised when it is repeated.
    server.leave_unanswered(1);
    let appended = append_one(&store).await;
    assert!(!appended.repeated, "{appended:?}");
    assert_eq!(store.read_all(Position::START, 10).await.unwrap().len(), 3);
    // There is an end to it.
    server.leave_unanswered(usize::MAX);
    let failed = store.read_all(Position::START, 10).await;
    assert!(matches!(failed, Err(Error::Engine { .. })), "{failed:?}");
}

#[tokio::test]
async fn a_page_may_take_longer_than_an_answer() {
    let behaviour = Behaviour {
        pause: Some(Duration::from_millis(100)),
        ..roomy()
    };
    let server = StandIn::start_with(free_port(), behaviour);
    let patience = Duration::from_secs(1);
    let store = EventStoreDbEventStore::open_with(&server.url(), patience)
        .await
        .unwrap();
    let stream = contract::a_stream();
    let append = store.append(&stream, Expected::NoStream, contract::some_events(15));
    append.await.unwrap();
    let page = store.read_stream(&stream, Revision::FIRST, 20).await;
    assert_eq!(page.unwrap().len(), 15);
}

#[tokio::test]
async fn a_silent_subscription_is_made_up_for() {
    let behaviour = Behaviour {
        mutes_subscriptions: true,
        ..roomy()
    };
    let server = StandIn::start_with(free_port(), behaviour);
    let here = EventStoreDbEventStore::open(&server.url()).await.unwrap();
    let there = EventStoreDbEventStore::open(&server.url()).await.unwrap();
    for _ in 0..2 {
        for _ in 0..300 {
            server.write_foreign("orders-1", "OrderPlaced", "{}");
        }
        let theirs = append_one(&there).await;
        reaches(&here, theirs.position).await;
    }
}

#[tokio::test]
async fn the_user_and_the_certificate_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, identity) = certificates();
    let trusted = folder.path().join("authority.pem");
    fs::write(&trusted, authority).unwrap();
    let behaviour = Behaviour {
        user: Some(("admin".into(), "a-secret".into())),
        identity: Some(identity),
        ..roomy()
    };
    let server = StandIn::start_with(free_port(), behaviour);
    let open = async |user: &str, more: &str| {
        let port = server.port();
        let url = format!("kurrentdb://{user}@localhost:{port}?discoveryInterval=20{more}");
        EventStoreDbEventStore::open(&url).await
    };
    let trusting = format!("&tlsCaFile={}", trusted.display());
    let store = open("admin:a-secret", &trusting).await.unwrap();
    append_one(&store).await;

    let stranger = open("admin:changeit", &trusting).await;
    let Err(Error::Engine { source, .. }) = stranger else {
        panic!("{stranger:?}")
    };
    assert!(source.to_string().contains("refuses the user"), "{source}");
    assert!(source.to_string().contains("$all"), "{source}");
    let distrusting = open("admin:a-secret", "").await;
    assert!(
        matches!(distrusting, Err(Error::Engine { .. })),
        "{distrusting:?}"
    );
}

/// An authority, and the certificate and key of a server on this machine.
fn certificates() -> (String, (String, String)) {
    let mut authority = CertificateParams::new(vec![]).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = server.signed_by(&key, &authority).unwrap();
    (authority.pem(), (certificate.pem(), key.serialize_pem()))
}

#[tokio::test]
async fn what_is_wrong_is_said_without_the_password() {
    for url in [
        "esdb://admin:secret@",
        "esdb://admin:secret@host:port:7",
        "esdb:x",
    ] {
        let refused = EventStoreDbEventStore::open(url).await;
        assert!(refused.is_err(), "{url}");
        assert!(!format!("{refused:?}").contains("secret"), "{refused:?}");
    }
    let url = format!(
        "esdb://admin:secret@127.0.0.1:{}?tls=false&discoveryInterval=20",
        free_port()
    );
    let missing = EventStoreDbEventStore::open(&url).await;
    assert!(matches!(missing, Err(Error::Engine { .. })), "{missing:?}");
    assert!(!format!("{missing:?}").contains("secret"), "{missing:?}");
}
