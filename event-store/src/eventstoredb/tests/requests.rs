//! Keyed requests, found again without an index of event ids.

use super::*;
use crate::transfer::copy::copy;

#[tokio::test]
async fn a_claim_without_an_append_finds_nothing() {
    let (_server, store) = store().await;
    let (stream, key) = (contract::a_stream(), Uuid::new_v4());
    let late = store
        .append(
            &stream,
            Expected::Exact(Revision::new(7)),
            contract::keyed_events(key, 1),
        )
        .await;
    assert!(matches!(late, Err(Error::Conflict { .. })), "{late:?}");
    for revision in 0..9 {
        let expected = Expected::after(u64::checked_sub(revision, 1).map(Revision::new));
        let events = contract::some_events(1);
        store.append(&stream, expected, events).await.unwrap();
    }
    // Another event stands now where the request's would have.
    assert!(store.find_request(&key).await.unwrap().is_none());
    let events = contract::keyed_events(key, 1);
    let expected = Expected::Exact(Revision::new(8));
    store.append(&stream, expected, events).await.unwrap();
    let found = store.find_request(&key).await.unwrap().unwrap();
    assert_eq!(found.revision, Revision::new(9));
}

#[tokio::test]
async fn requests_that_were_copied_are_found() {
    let home = tempfile::tempdir().unwrap();
    let source = crate::sqlite::SqliteEventStore::open(&home.path().join("source.db"))
        .await
        .unwrap();
    let (stream, keys) = (contract::a_stream(), [Uuid::new_v4(), Uuid::new_v4()]);
    let mut last = None;
    for events in [
        contract::keyed_events(keys[0], 2),
        contract::some_events(3),
        contract::keyed_events(keys[1], 1),
    ] {
        let expected = Expected::after(last);
        let appended = source.append(&stream, expected, events).await.unwrap();
        last = Some(appended.revision);
    }
    let (_server, store) = store().await;
    copy(&source, &*store, &mut |_| {}).await.unwrap();
    for (key, revision) in keys.iter().zip([0, 5]) {
        let found = store.find_request(key).await.unwrap().unwrap();
        assert_eq!(found.stream, stream);
        assert_eq!(found.revision, Revision::new(revision));
        let again = store
            .append(
                &contract::a_stream(),
                Expected::NoStream,
                contract::keyed_events(*key, 1),
            )
            .await;
        assert!(
            matches!(again, Err(Error::EventIdTaken { .. })),
            "{again:?}"
        );
    }
}

#[tokio::test]
async fn a_request_that_is_made_many_times_at_once_happens_once() {
    let (_server, store) = store().await;
    let (stream, key) = (contract::a_stream(), Uuid::new_v4());
    let request = || {
        let events = contract::keyed_events(key, 1);
        store.append(&stream, Expected::NoStream, events)
    };
    let outcomes = futures::future::join_all((0..8).map(|_| request())).await;
    let first = |outcome: &Result<Appended, Error>| !outcome.as_ref().unwrap().repeated;
    assert_eq!(outcomes.iter().filter(|outcome| first(outcome)).count(), 1);
    assert_eq!(store.read_all(Position::START, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_claim_that_cannot_be_read_is_not_passed_over() {
    let (server, store) = store().await;
    let key = Uuid::new_v4();
    let claims = format!("firefly-request-{key}");
    server.write_data(&claims, "RequestClaimed", r#"{"stream":7}"#);
    let found = store.find_request(&key).await;
    let Err(Error::Corrupt { what, detail, .. }) = found else {
        panic!("{found:?}")
    };
    assert!(what.contains(&claims), "{what}");
    assert!(detail.contains("event 0"), "{detail}");
    let events = contract::keyed_events(key, 1);
    let stream = contract::a_stream();
    let refused = store.append(&stream, Expected::NoStream, events).await;
    assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_key_that_was_claimed_too_often_is_refused() {
    let (server, store) = store().await;
    let (stream, key) = (contract::a_stream(), Uuid::new_v4());
    for revision in 1..=claims::CLAIMS_MAX {
        let claim = format!(r#"{{"stream":"{stream}","revision":{revision}}}"#);
        server.write_data(&format!("firefly-request-{key}"), "RequestClaimed", &claim);
    }
    let events = contract::keyed_events(key, 1);
    let refused = store.append(&stream, Expected::NoStream, events).await;
    let Err(Error::Engine { source, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert!(source.to_string().contains("too often"), "{source}");
}
