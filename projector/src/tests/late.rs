//! A log whose head is announced later than what is in it.

use firefly_event_store::Layer;
use firefly_read_models::builds::Status;

use super::*;

/// A log that another process appends to, and whose head is not heard of yet.
struct Late {
    log: Arc<dyn EventStore>,
    head: watch::Sender<Position>,
}

impl Layer for Late {
    fn behind(&self) -> &dyn EventStore {
        &*self.log
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }
}

#[tokio::test]
async fn a_build_that_is_ahead_of_the_announced_head_is_kept() {
    let mut setup = Setup::new().await;
    for number in 1..=3 {
        let key = key(number);
        setup.command(&key, command(&key, 0, 1)).await;
    }
    let read_models = setup.project("read-models.db").await;
    let (head, _) = watch::channel(Position::new(1));
    let log = Arc::clone(&setup.store);
    let late = Arc::new(Late { log, head });
    setup.store = Arc::clone(&late) as Arc<dyn EventStore>;

    let projecting = setup.projecting(&read_models).await;
    let mut progress = projecting.progress.clone();
    let there = tokio::time::timeout(DEADLINE, progress.reached(Position::new(3))).await;
    there.expect("what was projected is said to be so, whatever the head is");
    // What comes later is taken in once it is heard of.
    setup.command(&key(4), command(&key(4), 0, 1)).await;
    late.head.send_replace(Position::new(4));
    projecting.caught_up(&*setup.store).await;
    projecting.stop().await;
    let builds = read_models.builds().await.unwrap();
    assert!(
        builds
            .iter()
            .all(|build| (build.build, build.status) == (1, Status::Live)),
        "{builds:?}"
    );
    assert_eq!(
        dump(&setup.project("fresh.db").await).await,
        dump(&read_models).await
    );
}
