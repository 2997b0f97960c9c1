//! Several processes that project the same log into the same database.

use super::*;

#[tokio::test]
async fn two_that_write_the_same_come_to_what_one_would() {
    let setup = Setup::new().await;
    // Each has connections of its own, as in another process.
    let (one, other) = (open(&setup).await, open(&setup).await);
    let first = setup.projecting(&one).await;
    let second = setup.projecting(&other).await;
    for round in 0..30 {
        for number in 0..4 {
            let key = key(number);
            setup
                .command(&key, command(&key, round * 7 + number, 1))
                .await;
        }
        // Now and then both stand at the head, and begin at the same event.
        if round % 5 == 0 {
            first.caught_up(&*setup.store).await;
            second.caught_up(&*setup.store).await;
        }
    }
    first.caught_up(&*setup.store).await;
    second.caught_up(&*setup.store).await;
    let alone = setup.project("alone.db").await;
    assert_eq!(dump(&one).await, dump(&alone).await);

    // Whoever is left goes on.
    first.stop().await;
    setup.command(&key(9), command(&key(9), 0, 1)).await;
    second.caught_up(&*setup.store).await;
    second.stop().await;
    let alone = setup.project("later.db").await;
    assert_eq!(dump(&other).await, dump(&alone).await);
    let builds = other.builds().await.unwrap();
    assert!(
        builds.iter().all(|build| build.failure.is_none()),
        "{builds:?}"
    );
}

async fn open(setup: &Setup) -> Database {
    let url = setup.url("shared.db");
    firefly_read_models::open(&url).await.unwrap()
}
