//! What is particular to EventStoreDB, besides the suite that every engine passes. The server is a stand-in, except where
//! [`REAL_SERVER`] names one.

mod connections;
mod positions;
mod real;
mod requests;
mod stand_in;

use std::sync::Arc;

use futures::StreamExt;

use super::*;
use crate::contract;
use crate::follow::follow;

#[path = "../../../tests/support/eventstoredb.rs"]
pub(crate) mod server;

use real::{FromNowOn, REAL_SERVER};
use server::{Behaviour, StandIn, free_port};

/// Long enough for a loaded machine; reached only by a test that fails.
const DEADLINE: Duration = Duration::from_secs(30);

/// Takes appends of the size that our limits allow, as a server for Firefly must be told to.
pub(crate) fn roomy() -> Behaviour {
    Behaviour {
        append_bytes_max: Some(16 * 1024 * 1024),
        ..Behaviour::default()
    }
}

async fn store() -> (StandIn, Arc<dyn EventStore>) {
    let server = StandIn::start_with(free_port(), roomy());
    let store = EventStoreDbEventStore::open(&server.url()).await.unwrap();
    (server, Arc::new(store))
}

/// For the suite: the real server if one is named, which `real` tells more of.
async fn any_store() -> (Option<StandIn>, Arc<dyn EventStore>) {
    match std::env::var(REAL_SERVER) {
        Ok(url) => (None, Arc::new(FromNowOn::open(&url).await)),
        Err(_) => {
            let (server, store) = store().await;
            (Some(server), store)
        }
    }
}

contract::suite!(any_store);

async fn append_one(store: &dyn EventStore) -> Appended {
    let (stream, events) = (contract::a_stream(), contract::some_events(1));
    let appended = store.append(&stream, Expected::NoStream, events).await;
    appended.unwrap()
}

async fn reaches(store: &dyn EventStore, position: Position) {
    let mut head = store.head();
    let reached = head.wait_for(|head| *head >= position);
    tokio::time::timeout(DEADLINE, reached)
        .await
        .expect("the head is not announced")
        .unwrap();
}

#[tokio::test]
async fn another_process_sees_the_same_log() {
    let (server, here) = store().await;
    let there = EventStoreDbEventStore::open(&server.url()).await.unwrap();
    assert_eq!(there.id(), here.id());
    let appended = append_one(&*here).await;
    reaches(&there, appended.position).await;
    assert_eq!(there.read_all(Position::START, 10).await.unwrap().len(), 1);
    let late = EventStoreDbEventStore::open(&server.url()).await.unwrap();
    assert_eq!(*late.head().borrow(), appended.position);
}

#[tokio::test]
async fn events_of_others_are_passed_over() {
    let (server, store) = store().await;
    let mut seen = std::pin::pin!(follow(Arc::clone(&store), Position::START));
    for number in 0..20 {
        server.write_foreign("orders-1", "OrderPlaced", r#"{"$correlationId":"x"}"#);
        server.write_foreign("orders-2", "OrderPlaced", "not JSON");
        append_one(&*store).await;
        let page = tokio::time::timeout(DEADLINE, seen.next()).await.unwrap();
        let page = page.unwrap().unwrap();
        assert_eq!(page.len(), 1, "at event {number}");
    }
    // They stand at the very end, too.
    for _ in 0..300 {
        server.write_foreign("orders-1", "OrderPlaced", "{}");
    }
    for limit in [1, 3, 20, 100] {
        let forward = store.read_all(Position::START, limit).await.unwrap();
        let backward = store.read_all_back(None, limit).await.unwrap();
        assert_eq!(
            (forward.len(), backward.len()),
            (limit.min(20), limit.min(20))
        );
        let back = |pair: &[RecordedEvent]| pair[0].position > pair[1].position;
        assert!(backward.windows(2).all(back));
    }
    let ids = |events: Vec<RecordedEvent>| events.into_iter().map(|event| event.id);
    let mut paged = Vec::new();
    let mut after = Position::START;
    loop {
        let page = store.read_all(after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.position;
        paged.extend(ids(page));
    }
    let all: Vec<_> = ids(store.read_all(Position::START, 100).await.unwrap()).collect();
    assert_eq!(paged, all);
}

#[tokio::test]
async fn a_stream_that_another_program_wrote_to_is_refused() {
    let (server, store) = store().await;
    let stream = contract::a_stream();
    let events = contract::some_events(2);
    store
        .append(&stream, Expected::NoStream, events)
        .await
        .unwrap();
    server.write_foreign(stream.as_str(), "SomethingElse", "{}");
    let refused = store.read_stream(&stream, Revision::FIRST, 10).await;
    let Err(Error::Corrupt { what, detail, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert!(what.contains(stream.as_str()), "{what}");
    assert!(detail.contains("event 2"), "{detail}");
    let damaged = r#"{"firefly": 7}"#;
    server.write_foreign("project-x", "ProjectOpened", damaged);
    let refused = store.read_all(Position::START, 10).await;
    assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
}

#[tokio::test]
async fn an_append_that_the_server_finds_too_large_is_explained() {
    let server = StandIn::start();
    let store = EventStoreDbEventStore::open(&server.url()).await.unwrap();
    let mut events = contract::some_events(1);
    let large = format!("\"{}\"", "x".repeat(crate::store::EVENT_DATA_BYTES_MAX - 2));
    events[0].data = serde_json::value::RawValue::from_string(large).unwrap();
    let refused = store
        .append(&contract::a_stream(), Expected::NoStream, events)
        .await;
    let Err(Error::Engine { source, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert!(source.to_string().contains("MaxAppendSize"), "{source}");
}

#[tokio::test]
async fn types_of_the_servers_own_are_refused() {
    let (_server, store) = store().await;
    let mut events = contract::some_events(1);
    events[0].event_type = "$ours".to_owned();
    let stream = contract::a_stream();
    let refused = store.append(&stream, Expected::NoStream, events).await;
    assert!(matches!(refused, Err(Error::Engine { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_log_goes_there_and_back_unchanged() {
    use crate::sqlite::SqliteEventStore;
    use crate::transfer::copy::copy;

    let home = tempfile::tempdir().unwrap();
    let file = async |name: &str| {
        SqliteEventStore::open(&home.path().join(name))
            .await
            .unwrap()
    };
    let (source, back) = (file("source.db").await, file("back.db").await);
    for _ in 0..30 {
        let stream = contract::a_stream();
        let events = contract::some_events(40);
        source
            .append(&stream, Expected::NoStream, events)
            .await
            .unwrap();
    }
    let (_server, store) = store().await;
    let there = copy(&source, &*store, &mut |_| {}).await.unwrap();
    assert_eq!((there.present, there.written), (0, 1_200));
    let again = copy(&source, &*store, &mut |_| {}).await.unwrap();
    assert_eq!((again.present, again.written), (1_200, 0));
    let home_again = copy(&*store, &back, &mut |_| {}).await.unwrap();
    assert_eq!(home_again.written, 1_200);
    let shown = async |store: &dyn EventStore| {
        format!(
            "{:?}",
            store.read_all(Position::START, 2_000).await.unwrap()
        )
    };
    assert_eq!(shown(&back).await, shown(&source).await);
}
