//! Disks that take no more, for want of room or of permission: appends are refused, reads go on, and what passes is over
//! without opening the log again.

use super::*;
use crate::store::READ_EVENTS_MAX;

#[path = "../../../../tests/support/disk.rs"]
mod disk;

use disk::{Disk, Frozen};

/// A log on a disk that has not let it write, with an event or more in its one stream.
struct Refused {
    store: SqliteEventStore,
    stream: StreamId,
    last: Revision,
    /// What it did not take.
    events: Vec<NewEvent>,
}

impl Refused {
    async fn is_read(&self) {
        let read = self.store.read_stream_back(&self.stream, None, 1).await;
        assert_eq!(
            read.unwrap()[0].revision,
            self.last,
            "what was acknowledged is there"
        );
        let all = self.store.read_all(Position::START, READ_EVENTS_MAX).await;
        assert_eq!(all.unwrap().len() as u64, self.last.number() + 1);
    }

    async fn takes_more(self) {
        let count = self.events.len() as u64;
        let expected = Expected::Exact(self.last);
        let appended = self.store.append(&self.stream, expected, self.events).await;
        assert_eq!(
            appended.unwrap().revision.number(),
            self.last.number() + count
        );
    }
}

#[tokio::test]
async fn a_full_disk_refuses_appends_until_there_is_room_and_reads_go_on() {
    let disk = Disk::small();
    let path = disk.path("events.db");
    let stream = with_events(&path, 1).await;
    let store = SqliteEventStore::open(&path).await.unwrap();
    let mut last = Revision::FIRST;
    let (error, events) = loop {
        let events = contract::some_events(100);
        let expected = Expected::Exact(last);
        match store.append(&stream, expected, events.clone()).await {
            Ok(appended) => last = appended.revision,
            Err(error) => break (error, events),
        }
    };
    assert!(matches!(error, Error::Engine { .. }), "{error:?}");
    let refused = Refused {
        store,
        stream,
        last,
        events,
    };
    refused.is_read().await;
    disk.make_room();
    refused.takes_more().await;
}

#[tokio::test]
async fn a_file_that_becomes_read_only_refuses_appends_until_it_is_not_and_reads_go_on() {
    let disk = Disk::freezable();
    let path = disk.path("events.db");
    let stream = with_events(&path, 3).await;
    let store = SqliteEventStore::open(&path).await.unwrap();
    let refused = Refused {
        store,
        stream,
        last: Revision::new(2),
        events: contract::some_events(2),
    };
    refused.is_read().await;
    let frozen = Frozen::database(&path);
    // The first meets the open file; the next opens it again.
    for _ in 0..3 {
        let events = refused.events.clone();
        let expected = Expected::Exact(refused.last);
        let failed = refused
            .store
            .append(&refused.stream, expected, events)
            .await;
        assert!(matches!(failed, Err(Error::Engine { .. })), "{failed:?}");
        refused.is_read().await;
    }
    drop(frozen);
    refused.takes_more().await;
}

#[tokio::test]
async fn a_file_that_is_read_only_from_the_start_is_refused_by_its_name() {
    let disk = Disk::freezable();
    let path = disk.path("events.db");
    let _open = SqliteEventStore::open(&path).await.unwrap();
    let frozen = Frozen::database(&path);
    let refused = SqliteEventStore::open(&path).await;
    let Err(Error::Engine { source, .. }) = &refused else {
        panic!("{refused:?}")
    };
    let told = source.to_string();
    assert!(
        told.contains("events.db") && told.contains("read-only"),
        "{told}"
    );
    drop(frozen);
    SqliteEventStore::open(&path).await.unwrap();
}
