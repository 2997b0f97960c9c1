//! Positions that nothing stands at, events that cannot be read, and servers that keep positions to themselves.

use super::*;
use crate::transfer::verify::{Fault, FaultKind, verify};

#[tokio::test]
async fn a_read_may_begin_anywhere() {
    let (server, store) = store().await;
    for _ in 0..4 {
        append_one(&*store).await;
        server.write_foreign("orders-1", "OrderPlaced", "{}");
    }
    let all = store.read_all(Position::START, 100).await.unwrap();
    let ids = |events: Vec<RecordedEvent>| -> Vec<_> {
        events.into_iter().map(|event| event.id).collect()
    };
    let last = all.last().unwrap().position.number();
    let mut numbers: Vec<u64> = (0..7).map(|step| step * last / 5).collect();
    for event in &all {
        let number = event.position.number();
        numbers.extend([number - 1, number, number + 1]);
    }
    numbers.extend([1, u64::MAX / 2, u64::MAX]);
    for number in numbers {
        let position = Position::new(number);
        let of = |wanted: &dyn Fn(Position) -> bool| -> Vec<_> {
            let wanted = all.iter().filter(|event| wanted(event.position));
            wanted.map(|event| event.id).collect()
        };
        let behind = ids(store.read_all(position, 100).await.unwrap());
        assert_eq!(behind, of(&|at| at > position), "behind {number}");
        let mut before = ids(store.read_all_back(Some(position), 100).await.unwrap());
        before.reverse();
        assert_eq!(before, of(&|at| at < position), "before {number}");
    }
}

#[tokio::test]
async fn verifying_goes_on_behind_events_that_cannot_be_read() {
    let (server, store) = store().await;
    let damaged = r#"{"firefly": 7}"#;
    for _ in 0..3 {
        append_one(&*store).await;
        server.write_foreign("project-x", "ProjectOpened", damaged);
        server.write_foreign("orders-1", "OrderPlaced", "{}");
    }
    append_one(&*store).await;
    let mut faults = Vec::new();
    let mut on_fault = |fault: Fault| faults.push(fault);
    let verified = verify(&*store, false, &mut on_fault, &mut |_| {})
        .await
        .unwrap();
    assert_eq!((verified.events, verified.faults), (4, 3));
    let unreadable = |fault: &Fault| matches!(fault.kind, FaultKind::Unreadable(_));
    assert!(faults.iter().all(unreadable), "{faults:?}");
    let positions: Vec<_> = faults.iter().map(|fault| fault.position).collect();
    assert!(positions.is_sorted() && positions.iter().all(Option::is_some));
}

#[tokio::test]
async fn a_server_that_keeps_positions_to_itself_is_refused() {
    let behaviour = Behaviour {
        hides_positions: true,
        ..roomy()
    };
    let server = StandIn::start_with(free_port(), behaviour);
    let refused = EventStoreDbEventStore::open(&server.url()).await;
    let Err(Error::Engine { source, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert!(source.to_string().contains("22.6"), "{source}");
}

#[tokio::test]
async fn opening_finds_the_end_behind_what_others_wrote() {
    let (server, store) = store().await;
    let appended = append_one(&*store).await;
    for _ in 0..5_000 {
        server.write_foreign("orders-1", "OrderPlaced", "{}");
    }
    let late = EventStoreDbEventStore::open(&server.url()).await.unwrap();
    assert_eq!(*late.head().borrow(), appended.position);
    let theirs = append_one(&*store).await;
    reaches(&late, theirs.position).await;
}
