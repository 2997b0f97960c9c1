//! What every engine promises of reading, once and for ever.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::StreamExt;
use uuid::Uuid;

use super::{Store, a_stream, event, everything, keyed_events, revision_before, some_events};
use crate::event::{Position, RecordedEvent, Revision, StreamId};
use crate::follow::follow;
use crate::store::{EVENTS_PER_APPEND_MAX, Error, Expected, READ_EVENTS_MAX};

pub(crate) async fn what_was_appended_is_read_back_unchanged(store: Store) {
    let stream = a_stream();
    let event =
        event(r#"{"text":"żółw \u0000 🐢","number":9007199254740993,"nested":[1,{"a":null}]}"#);
    store
        .append(&stream, Expected::NoStream, vec![event.clone()])
        .await
        .unwrap();
    let read = store
        .read_stream(&stream, Revision::FIRST, 1)
        .await
        .unwrap()
        .remove(0);
    assert_eq!(read.id, event.id);
    assert_eq!(read.event_type, event.event_type);
    assert_eq!(read.schema_version, event.schema_version);
    assert_eq!(read.data.get(), event.data.get());
    assert_eq!(read.metadata, event.metadata);
    assert_eq!(read.stream, stream);
}

pub(crate) async fn reading_goes_page_by_page(store: Store) {
    let stream = a_stream();
    store
        .append(&stream, Expected::NoStream, some_events(25))
        .await
        .unwrap();
    let page = store
        .read_stream(&stream, Revision::new(20), 10)
        .await
        .unwrap();
    assert_eq!(page.len(), 5);
    assert_eq!(page[0].revision, Revision::new(20));
    assert_eq!(
        store
            .read_stream(&stream, Revision::FIRST, 10)
            .await
            .unwrap()
            .len(),
        10
    );
    assert!(
        store
            .read_stream(&stream, Revision::new(u64::MAX), 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        store
            .read_stream(&a_stream(), Revision::FIRST, 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        store
            .read_all(Position::new(u64::MAX), 10)
            .await
            .unwrap()
            .is_empty()
    );
}

pub(crate) async fn reading_goes_backwards_too(store: Store) {
    let (stream, other) = (a_stream(), a_stream());
    for stream in [&stream, &other] {
        store
            .append(stream, Expected::NoStream, some_events(12))
            .await
            .unwrap();
    }
    let revisions = |page: Vec<RecordedEvent>| -> Vec<u64> {
        page.iter().map(|event| event.revision.number()).collect()
    };
    let newest = store.read_stream_back(&stream, None, 3).await.unwrap();
    assert_eq!(revisions(newest), [11, 10, 9]);
    let before = Some(Revision::new(2));
    let rest = store.read_stream_back(&stream, before, 10).await.unwrap();
    assert_eq!(revisions(rest), [1, 0]);
    let none = store.read_stream_back(&a_stream(), None, 10).await.unwrap();
    assert!(none.is_empty());

    let mut forward = everything(&store).await;
    let mut backward = store.read_all_back(None, 20).await.unwrap();
    let before = backward.last().map(|event| event.position);
    backward.extend(store.read_all_back(before, 20).await.unwrap());
    forward.reverse();
    let ids =
        |events: &[RecordedEvent]| -> Vec<_> { events.iter().map(|event| event.id).collect() };
    assert_eq!(ids(&backward), ids(&forward));
}

pub(crate) async fn the_order_of_the_log_is_the_order_of_appends(store: Store) {
    let streams: Vec<StreamId> = (0..8).map(|_| a_stream()).collect();
    let mut expected = Vec::new();
    for round in 0..5 {
        for stream in &streams {
            let appended = store
                .append(
                    stream,
                    Expected::after(revision_before(round)),
                    some_events(1),
                )
                .await
                .unwrap();
            expected.push((appended.position, stream.clone()));
        }
    }
    let events = everything(&store).await;
    let order: Vec<_> = events
        .iter()
        .map(|event| (event.position, event.stream.clone()))
        .collect();
    assert_eq!(order, expected);
    assert!(
        events
            .windows(2)
            .all(|pair| pair[0].recorded_at <= pair[1].recorded_at)
    );
}

pub(crate) async fn a_follower_sees_every_event_once_and_in_order(store: Store) {
    const WRITERS: usize = 8;
    const EVENTS_EACH: u64 = 40;
    let before = store
        .append(&a_stream(), Expected::NoStream, some_events(700))
        .await;
    assert!(before.is_err(), "an append of 700 events is over the limit");
    store
        .append(&a_stream(), Expected::NoStream, some_events(400))
        .await
        .unwrap();
    let seen = tokio::spawn(take(
        Arc::clone(&store),
        Position::START,
        400 + WRITERS * EVENTS_EACH as usize,
    ));
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| tokio::spawn(write(Arc::clone(&store), EVENTS_EACH)))
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let seen = seen.await.unwrap();
    assert!(
        seen.windows(2)
            .all(|pair| pair[0].position < pair[1].position)
    );
    let ids: BTreeSet<_> = seen.iter().map(|event| event.id).collect();
    assert_eq!(
        ids,
        everything(&store)
            .await
            .iter()
            .map(|event| event.id)
            .collect()
    );

    let half = seen[seen.len() / 2].position;
    let rest = take(store, half, seen.len() - seen.len() / 2 - 1).await;
    assert!(rest.iter().all(|event| event.position > half));
}

async fn write(store: Store, count: u64) {
    let stream = a_stream();
    for revision in 0..count {
        store
            .append(
                &stream,
                Expected::after(revision_before(revision)),
                some_events(1),
            )
            .await
            .unwrap();
    }
}

async fn take(store: Store, after: Position, count: usize) -> Vec<RecordedEvent> {
    let mut pages = std::pin::pin!(follow(store, after));
    let mut seen = Vec::new();
    while seen.len() < count {
        seen.extend(pages.next().await.expect("the log closed").unwrap());
    }
    seen
}

pub(crate) async fn a_slow_follower_loses_nothing(store: Store) {
    let mut pages = std::pin::pin!(follow(Arc::clone(&store), Position::START));
    write(Arc::clone(&store), 3).await;
    let mut seen = pages.next().await.unwrap().unwrap();
    for _ in 0..4 {
        store
            .append(
                &a_stream(),
                Expected::NoStream,
                some_events(EVENTS_PER_APPEND_MAX),
            )
            .await
            .unwrap();
    }
    while seen.len() < 3 + 4 * EVENTS_PER_APPEND_MAX {
        seen.extend(pages.next().await.unwrap().unwrap());
    }
    assert!(
        seen.windows(2)
            .all(|pair| pair[0].position < pair[1].position)
    );
}

pub(crate) async fn the_head_is_announced_when_its_event_can_be_read(store: Store) {
    let mut head = store.head();
    assert_eq!(*head.borrow_and_update(), Position::START);
    let appended = store
        .append(&a_stream(), Expected::NoStream, some_events(2))
        .await
        .unwrap();
    let announced = *head
        .wait_for(|head| *head >= appended.position)
        .await
        .unwrap();
    assert_eq!(announced, appended.position);
    assert_eq!(everything(&store).await.last().unwrap().position, announced);
}

pub(crate) async fn stream_names_keep_their_letters(store: Store) {
    let stream = StreamId::from_stored("notes-żółw/🐢 'quoted'; --");
    store
        .append(&stream, Expected::NoStream, some_events(1))
        .await
        .unwrap();
    assert_eq!(
        store
            .read_stream(&stream, Revision::FIRST, 1)
            .await
            .unwrap()[0]
            .stream,
        stream
    );
}

pub(crate) async fn a_request_is_found_by_its_key(store: Store) {
    let (stream, key) = (a_stream(), Uuid::new_v4());
    assert!(store.find_request(&key).await.unwrap().is_none());
    store
        .append(&stream, Expected::NoStream, some_events(2))
        .await
        .unwrap();
    // A try that came to nothing is not found.
    let late = store
        .append(&stream, Expected::NoStream, keyed_events(key, 3))
        .await;
    assert!(matches!(late, Err(Error::Conflict { .. })), "{late:?}");
    assert!(store.find_request(&key).await.unwrap().is_none());
    let expected = Expected::Exact(Revision::new(1));
    store
        .append(&stream, expected, keyed_events(key, 3))
        .await
        .unwrap();
    let found = store.find_request(&key).await.unwrap().unwrap();
    assert_eq!((found.stream, found.revision), (stream, Revision::new(2)));
    assert_eq!(found.id, keyed_events(key, 1)[0].id);
}

pub(crate) async fn requests_that_were_appended_together_are_found(store: Store) {
    let (stream, keys) = (a_stream(), [Uuid::new_v4(), Uuid::new_v4()]);
    let mut events = keyed_events(keys[0], 2);
    events.extend(some_events(3));
    events.extend(keyed_events(keys[1], 1));
    let last = store.append(&stream, Expected::NoStream, events).await;
    assert_eq!(last.unwrap().revision, Revision::new(5));
    for (key, revision) in keys.iter().zip([0, 5]) {
        let found = store.find_request(key).await.unwrap().unwrap();
        assert_eq!(found.stream, stream);
        assert_eq!(found.revision, Revision::new(revision));
        let again = keyed_events(*key, 1);
        let again = store.append(&a_stream(), Expected::NoStream, again).await;
        assert!(
            matches!(again, Err(Error::EventIdTaken { .. })),
            "{again:?}"
        );
    }
}

pub(crate) async fn ids_that_are_taken_are_told(store: Store) {
    let events = some_events(3);
    let ids: Vec<_> = events.iter().map(|event| event.id).collect();
    assert!(store.taken(&ids).await.unwrap().is_empty());
    store
        .append(&a_stream(), Expected::NoStream, events[1..].to_vec())
        .await
        .unwrap();
    let taken: BTreeSet<_> = store.taken(&ids).await.unwrap().into_iter().collect();
    assert_eq!(taken, BTreeSet::from([ids[1], ids[2]]));
}

pub(crate) async fn a_follower_from_the_end_sees_what_comes(store: Store) {
    let before = store
        .append(&a_stream(), Expected::NoStream, some_events(3))
        .await
        .unwrap();
    let seen = tokio::spawn(take(Arc::clone(&store), before.position, 2));
    let stream = a_stream();
    let events = some_events(2);
    store
        .append(&stream, Expected::NoStream, events.clone())
        .await
        .unwrap();
    let seen = seen.await.unwrap();
    let ids =
        |events: &[RecordedEvent]| -> Vec<_> { events.iter().map(|event| event.id).collect() };
    assert_eq!(ids(&seen), [events[0].id, events[1].id]);
}

pub(crate) async fn a_million_events_are_read_as_a_few_are(store: Store) {
    const PAGES: u64 = 2_000;
    const EVENTS: u64 = PAGES * EVENTS_PER_APPEND_MAX as u64;
    let stream = a_stream();
    let mut last = None;
    for _ in 0..PAGES {
        let events = some_events(EVENTS_PER_APPEND_MAX);
        let expected = Expected::after(last);
        last = Some(
            store
                .append(&stream, expected, events)
                .await
                .unwrap()
                .revision,
        );
    }
    assert_eq!(last, revision_before(EVENTS));
    let (mut count, mut after) = (0, Position::START);
    loop {
        let page = store.read_all(after, READ_EVENTS_MAX).await.unwrap();
        for event in &page {
            assert!(event.position > after);
            assert_eq!(event.revision, Revision::new(count));
            (count, after) = (count + 1, event.position);
        }
        if page.len() < READ_EVENTS_MAX {
            break;
        }
    }
    assert_eq!(count, EVENTS);
    let newest = store.read_all_back(None, 1).await.unwrap();
    assert_eq!(
        (newest[0].position, Some(newest[0].revision)),
        (after, last)
    );
    let middle = Revision::new(EVENTS / 2);
    let page = store.read_stream(&stream, middle, 1).await.unwrap();
    assert_eq!(page[0].revision, middle);
}

pub(crate) async fn a_log_is_told_from_others(store: Store) {
    assert!(!store.id().is_nil());
    assert_eq!(store.id(), store.id());
}
