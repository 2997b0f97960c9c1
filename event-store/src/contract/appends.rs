//! What every engine promises of appends.

use std::sync::Arc;

use uuid::Uuid;

use super::{Store, a_stream, event, everything, keyed_events, revision_before, some_events};
use crate::event::{Revision, StreamId};
use crate::store::{
    Append, Appended, EVENT_DATA_BYTES_MAX, EVENTS_PER_APPEND_MAX, Error, Expected,
};

pub(crate) async fn an_append_says_where_it_ended_up(store: Store) {
    let stream = a_stream();
    let first = store
        .append(&stream, Expected::NoStream, some_events(2))
        .await
        .unwrap();
    assert_eq!(first.revision, Revision::new(1));
    let second = store
        .append(&stream, Expected::Exact(first.revision), some_events(1))
        .await
        .unwrap();
    assert_eq!(second.revision, Revision::new(2));
    assert!(second.position > first.position);
}

pub(crate) async fn a_stream_must_be_as_expected(store: Store) {
    let stream = a_stream();
    let conflict = store
        .append(&stream, Expected::Exact(Revision::FIRST), some_events(1))
        .await;
    assert!(matches!(
        conflict,
        Err(Error::Conflict { current: None, .. })
    ));

    // Two digits and more: engines that read revisions out of messages go wrong at 10.
    for revision in 0..12 {
        let expected = Expected::after(revision_before(revision));
        store
            .append(&stream, expected, some_events(1))
            .await
            .unwrap();
        let conflict = store.append(&stream, expected, some_events(1)).await;
        let Err(Error::Conflict { current, .. }) = conflict else {
            panic!("no conflict at {revision}: {conflict:?}")
        };
        assert_eq!(current, Some(Revision::new(revision)));
    }
    let ahead = store
        .append(
            &stream,
            Expected::Exact(Revision::new(1 << 40)),
            some_events(1),
        )
        .await;
    assert!(matches!(ahead, Err(Error::Conflict { .. })));
    assert_eq!(
        store
            .read_stream(&stream, Revision::FIRST, 100)
            .await
            .unwrap()
            .len(),
        12
    );
}

pub(crate) async fn all_of_an_append_happens_or_none(store: Store) {
    let stream = a_stream();
    store
        .append(&stream, Expected::NoStream, some_events(1))
        .await
        .unwrap();
    store
        .append(
            &stream,
            Expected::NoStream,
            some_events(EVENTS_PER_APPEND_MAX),
        )
        .await
        .unwrap_err();
    assert_eq!(everything(&store).await.len(), 1);
    store
        .append(
            &stream,
            Expected::Exact(Revision::FIRST),
            some_events(EVENTS_PER_APPEND_MAX),
        )
        .await
        .unwrap();
    let revisions: Vec<_> = store
        .read_stream(&stream, Revision::FIRST, 1_000)
        .await
        .unwrap();
    assert_eq!(revisions.len(), EVENTS_PER_APPEND_MAX + 1);
    assert!(
        revisions
            .iter()
            .zip(0..)
            .all(|(event, revision)| event.revision.number() == revision)
    );
}

pub(crate) async fn the_same_event_ids_again_give_the_first_outcome(store: Store) {
    let stream = a_stream();
    let events = some_events(3);
    let first = store
        .append(&stream, Expected::NoStream, events.clone())
        .await
        .unwrap();
    store
        .append(&stream, Expected::Exact(first.revision), some_events(1))
        .await
        .unwrap();
    let again = store
        .append(&stream, Expected::NoStream, events.clone())
        .await
        .unwrap();
    let first_outcome = Appended {
        repeated: true,
        ..first
    };
    assert_eq!(again, first_outcome);
    let both = tokio::join!(
        store.append(&stream, Expected::NoStream, events.clone()),
        store.append(&stream, Expected::NoStream, events)
    );
    assert_eq!(both.0.unwrap(), first_outcome);
    assert_eq!(both.1.unwrap(), first_outcome);
    assert_eq!(everything(&store).await.len(), 4);
}

pub(crate) async fn an_event_id_belongs_to_one_append(store: Store) {
    let stream = a_stream();
    let events = some_events(2);
    store
        .append(&stream, Expected::NoStream, events.clone())
        .await
        .unwrap();
    let elsewhere = store
        .append(&a_stream(), Expected::NoStream, events.clone())
        .await;
    assert!(matches!(elsewhere, Err(Error::EventIdTaken { .. })));
    let partly = vec![some_events(1).remove(0), events[1].clone()];
    let partly = store
        .append(&stream, Expected::Exact(Revision::new(1)), partly)
        .await;
    assert!(matches!(partly, Err(Error::EventIdTaken { .. })));
    assert_eq!(everything(&store).await.len(), 2);
}

pub(crate) async fn the_key_of_a_request_belongs_to_one_append(store: Store) {
    let (stream, key) = (a_stream(), Uuid::new_v4());
    let first = store
        .append(&stream, Expected::NoStream, keyed_events(key, 2))
        .await
        .unwrap();
    let elsewhere = store
        .append(&a_stream(), Expected::NoStream, keyed_events(key, 2))
        .await;
    assert!(
        matches!(elsewhere, Err(Error::EventIdTaken { .. })),
        "{elsewhere:?}"
    );
    let behind = store
        .append(
            &stream,
            Expected::Exact(first.revision),
            keyed_events(key, 1),
        )
        .await;
    assert!(
        matches!(
            behind,
            Ok(Appended { repeated: true, .. }) | Err(Error::EventIdTaken { .. })
        ),
        "{behind:?}"
    );
    assert_eq!(everything(&store).await.len(), 2);
}

pub(crate) async fn appends_in_order_end_at_the_first_that_fails(store: Store) {
    let (one, other) = (a_stream(), a_stream());
    let append = |stream: &StreamId, expected, count| Append {
        stream: stream.clone(),
        expected,
        events: some_events(count),
    };
    let appends = vec![
        append(&one, Expected::NoStream, 2),
        append(&other, Expected::NoStream, 1),
        append(&one, Expected::Exact(Revision::new(1)), 1),
    ];
    let ids: Vec<_> = appends
        .iter()
        .flat_map(|append| &append.events)
        .map(|event| event.id)
        .collect();
    store.append_in_order(appends).await.unwrap();
    let order: Vec<_> = everything(&store)
        .await
        .iter()
        .map(|event| event.id)
        .collect();
    assert_eq!(order, ids);

    let failing = vec![
        append(&one, Expected::Exact(Revision::new(2)), 1),
        append(&other, Expected::NoStream, 1),
        append(&one, Expected::Exact(Revision::new(3)), 1),
    ];
    let failed = store.append_in_order(failing).await;
    assert!(matches!(failed, Err(Error::Conflict { .. })), "{failed:?}");
    assert!(
        everything(&store).await.len() <= 5,
        "something behind the failure happened"
    );
    let many = (0..2)
        .map(|_| append(&a_stream(), Expected::NoStream, EVENTS_PER_APPEND_MAX))
        .collect();
    store.append_in_order(vec![]).await.unwrap();
    let many = store.append_in_order(many).await;
    assert!(matches!(many, Err(Error::EventCount { .. })), "{many:?}");
}

pub(crate) async fn sizes_are_bounded(store: Store) {
    let stream = a_stream();
    let large = |bytes: usize| vec![event(&format!("\"{}\"", "x".repeat(bytes - 2)))];
    let none = store.append(&stream, Expected::NoStream, vec![]).await;
    assert!(matches!(none, Err(Error::EventCount { count: 0 })));
    let many = store
        .append(
            &stream,
            Expected::NoStream,
            some_events(EVENTS_PER_APPEND_MAX + 1),
        )
        .await;
    assert!(matches!(many, Err(Error::EventCount { .. })));
    let huge = store
        .append(&stream, Expected::NoStream, large(EVENT_DATA_BYTES_MAX + 1))
        .await;
    assert!(matches!(huge, Err(Error::EventTooLarge { .. })));
    store
        .append(&stream, Expected::NoStream, large(EVENT_DATA_BYTES_MAX))
        .await
        .unwrap();
    assert_eq!(everything(&store).await.len(), 1);
}

pub(crate) async fn of_many_writers_each_revision_has_one_winner(store: Store) {
    const WRITERS: usize = 64;
    const ROUNDS: u64 = 5;
    let stream = a_stream();
    for round in 0..ROUNDS {
        let expected = Expected::after(revision_before(round));
        let attempts: Vec<_> = (0..WRITERS)
            .map(|_| {
                let (store, stream) = (Arc::clone(&store), stream.clone());
                tokio::spawn(async move { store.append(&stream, expected, some_events(1)).await })
            })
            .collect();
        let mut winners = 0;
        for attempt in attempts {
            match attempt.await.unwrap() {
                Ok(appended) => {
                    assert_eq!(appended.revision, Revision::new(round));
                    winners += 1;
                }
                Err(error) => assert!(matches!(error, Error::Conflict { .. }), "{error:?}"),
            }
        }
        assert_eq!(winners, 1);
    }
}
