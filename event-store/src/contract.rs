//! What every engine of the log must do, as tests. Each engine's own tests run the whole suite.

pub(crate) mod appends;
pub(crate) mod commands;
pub(crate) mod reading;

use std::sync::Arc;

use firefly_domain::{Actor, EventId};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::event::{Idempotency, Metadata, NewEvent, Position, RecordedEvent, Revision, StreamId};
use crate::store::EventStore;

/// Runs the suite on an engine; `$store` is an async function that makes an empty log and whatever it lives in.
macro_rules! suite {
    ($store:ident) => {
        $crate::contract::suite!($store:
            appends::an_append_says_where_it_ended_up,
            appends::a_stream_must_be_as_expected,
            appends::all_of_an_append_happens_or_none,
            appends::the_same_event_ids_again_give_the_first_outcome,
            appends::the_key_of_a_request_belongs_to_one_append,
            appends::appends_in_order_end_at_the_first_that_fails,
            appends::sizes_are_bounded,
            appends::of_many_writers_each_revision_has_one_winner,
            reading::what_was_appended_is_read_back_unchanged,
            reading::reading_goes_page_by_page,
            reading::reading_goes_backwards_too,
            reading::the_order_of_the_log_is_the_order_of_appends,
            reading::a_follower_sees_every_event_once_and_in_order,
            reading::a_slow_follower_loses_nothing,
            reading::a_follower_from_the_end_sees_what_comes,
            reading::a_million_events_are_read_as_a_few_are,
            reading::the_head_is_announced_when_its_event_can_be_read,
            reading::stream_names_keep_their_letters,
            commands::commands_that_race_are_decided_again,
            commands::a_command_for_another_revision_is_stale,
            commands::what_is_remembered_is_no_older_than_the_log,
            reading::a_log_is_told_from_others,
            reading::a_request_is_found_by_its_key,
            reading::requests_that_were_appended_together_are_found,
            commands::a_repeated_request_gets_its_first_outcome,
            commands::a_request_that_was_answered_in_between_is_not_remembered_wrongly,
            commands::a_repeated_request_that_found_nothing_to_do_still_does_nothing,
        );
    };
    ($store:ident: $($topic:ident::$case:ident,)+) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let (_home, store) = $store().await;
            $crate::contract::$topic::$case(store).await;
        })+
    };
}
pub(crate) use suite;

/// What only engines promise that keep an index of event ids.
macro_rules! index_suite {
    ($store:ident) => {
        $crate::contract::suite!($store:
            appends::an_event_id_belongs_to_one_append,
            reading::ids_that_are_taken_are_told,
        );
    };
}
pub(crate) use index_suite;

type Store = Arc<dyn EventStore>;

pub(crate) fn a_stream() -> StreamId {
    StreamId::of("project", &Uuid::new_v4())
}

/// Events as a request with a key records them.
pub(crate) fn keyed_events(key: Uuid, count: usize) -> Vec<NewEvent> {
    let idempotency = Idempotency {
        key,
        fingerprint: "c0ffee".into(),
    };
    let mut events = some_events(count);
    for (index, event) in events.iter_mut().enumerate() {
        event.id = idempotency.event_id(index);
        event.metadata.idempotency = Some(idempotency.clone());
    }
    events
}

pub(crate) fn some_events(count: usize) -> Vec<NewEvent> {
    (0..count)
        .map(|number| event(&format!(r#"{{"number":{number}}}"#)))
        .collect()
}

fn event(data: &str) -> NewEvent {
    NewEvent {
        id: EventId::from_uuid(Uuid::now_v7()),
        event_type: "SomethingHappened".into(),
        schema_version: 7,
        data: RawValue::from_string(data.to_owned()).unwrap(),
        metadata: Metadata {
            actor: Actor::System("contract".into()),
            correlation_id: Uuid::new_v4(),
            causation_id: Some(EventId::from_uuid(Uuid::new_v4())),
            traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
            idempotency: None,
        },
        recorded_at: None,
    }
}

async fn everything(store: &Store) -> Vec<RecordedEvent> {
    let mut events = Vec::new();
    loop {
        let after = events
            .last()
            .map_or(Position::START, |event: &RecordedEvent| event.position);
        let page = store.read_all(after, 100).await.unwrap();
        if page.is_empty() {
            return events;
        }
        events.extend(page);
    }
}

fn revision_before(revision: u64) -> Option<Revision> {
    revision.checked_sub(1).map(Revision::new)
}
