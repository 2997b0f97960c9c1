//! What is particular to PostgreSQL, besides the suite that every engine passes.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use sqlx::{Connection, PgConnection};

use super::*;
use crate::contract;
use crate::follow::follow;

#[path = "../../../tests/support/postgres.rs"]
pub(crate) mod server;

use server::Postgres;

/// Long enough for a loaded machine; reached only by a test that fails.
const DEADLINE: Duration = Duration::from_secs(20);

async fn store() -> (Postgres, Arc<dyn EventStore>) {
    let server = Postgres::start();
    let store = PostgresEventStore::open(&server.url()).await.unwrap();
    (server, Arc::new(store))
}

contract::suite!(store);
contract::index_suite!(store);

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let server = Postgres::start();
    let stream = contract::a_stream();
    let first = PostgresEventStore::open(&server.url()).await.unwrap();
    let id = first.id();
    let appended = first
        .append(&stream, Expected::NoStream, contract::some_events(3))
        .await
        .unwrap();
    drop(first);

    let second = PostgresEventStore::open(&server.url()).await.unwrap();
    assert_eq!(second.id(), id);
    assert_eq!(*second.head().borrow(), appended.position);
    assert_eq!(
        second
            .read_stream(&stream, Revision::FIRST, 10)
            .await
            .unwrap()
            .len(),
        3
    );
}

#[tokio::test]
async fn another_process_learns_of_appends() {
    let server = Postgres::start();
    let here = PostgresEventStore::open(&server.url()).await.unwrap();
    let there = PostgresEventStore::open(&server.url()).await.unwrap();
    let mut head = there.head();
    let appended = here
        .append(
            &contract::a_stream(),
            Expected::NoStream,
            contract::some_events(1),
        )
        .await
        .unwrap();
    let heard =
        tokio::time::timeout(DEADLINE, head.wait_for(|head| *head >= appended.position)).await;
    assert_eq!(*heard.unwrap().unwrap(), appended.position);
}

#[tokio::test]
async fn what_a_writer_knows_of_the_log_is_not_trusted() {
    let server = Postgres::start();
    let here = PostgresEventStore::open(&server.url()).await.unwrap();
    let there = PostgresEventStore::open(&server.url()).await.unwrap();
    let append = async |store: &PostgresEventStore, stream: &StreamId, expected| {
        store
            .append(stream, expected, contract::some_events(2))
            .await
    };
    let (stream, other) = (contract::a_stream(), contract::a_stream());
    append(&here, &stream, Expected::NoStream).await.unwrap();
    append(&there, &other, Expected::NoStream).await.unwrap();
    // Here, nothing is known of the other stream.
    let stale = append(&here, &other, Expected::NoStream).await;
    assert!(
        matches!(stale, Err(Error::Conflict { current, .. }) if current == Some(Revision::new(1))),
        "{stale:?}"
    );
    for revision in [0, 2, 1 << 40] {
        let wrong = Expected::Exact(Revision::new(revision));
        let conflict = append(&here, &other, wrong).await;
        assert!(
            matches!(conflict, Err(Error::Conflict { .. })),
            "{conflict:?}"
        );
    }
    let right = Expected::Exact(Revision::new(1));
    append(&here, &other, right).await.unwrap();
    append(&there, &stream, right).await.unwrap();
    let events = here.read_all(Position::START, 100).await.unwrap();
    assert_eq!(events.len(), 8);
}

#[tokio::test]
async fn an_open_transaction_between_two_others_makes_nobody_skip() {
    let server = Postgres::start();
    let store: Arc<dyn EventStore> =
        Arc::new(PostgresEventStore::open(&server.url()).await.unwrap());
    let mut followed = std::pin::pin!(follow(Arc::clone(&store), Position::START));
    let first = store
        .append(
            &contract::a_stream(),
            Expected::NoStream,
            contract::some_events(1),
        )
        .await
        .unwrap();

    // Another process appends and cannot commit yet.
    let other = Arc::new(PostgresEventStore::open(&server.url()).await.unwrap());
    let slow = contract::a_stream();
    let mut holder = hold(&server, &slow).await;
    let between = tokio::spawn(async move {
        other
            .append(&slow, Expected::NoStream, contract::some_events(1))
            .await
    });
    waiting_for_a_lock(&mut holder, 1).await;

    let behind = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            store
                .append(
                    &contract::a_stream(),
                    Expected::NoStream,
                    contract::some_events(1),
                )
                .await
        }
    });
    assert_eq!(followed.next().await.unwrap().unwrap().len(), 1);
    waiting_for_a_lock(&mut holder, 2).await;
    sqlx::query("SELECT pg_advisory_unlock(7)")
        .execute(&mut holder)
        .await
        .unwrap();
    let between = between.await.unwrap().unwrap();

    let last = tokio::time::timeout(DEADLINE, behind)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let mut seen = vec![first.position.number()];
    while seen.last() != Some(&last.position.number()) {
        let page = tokio::time::timeout(DEADLINE, followed.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        seen.extend(page.iter().map(|event| event.position.number()));
    }
    assert_eq!(seen, [1, 2, 3]);
    assert_eq!(between.position.number(), 2);
}

#[tokio::test]
async fn an_append_goes_on_when_the_one_before_it_dies_in_its_middle() {
    let server = Postgres::start();
    let store = Arc::new(PostgresEventStore::open(&server.url()).await.unwrap());
    let append = async |store: &PostgresEventStore, stream: &StreamId, expected| {
        store
            .append(stream, expected, contract::some_events(1))
            .await
    };
    let other = Arc::new(PostgresEventStore::open(&server.url()).await.unwrap());
    append(&other, &contract::a_stream(), Expected::NoStream)
        .await
        .unwrap();
    // The one that is going to wait knows the head, so it waits with its one statement.
    append(&store, &contract::a_stream(), Expected::NoStream)
        .await
        .unwrap();
    let (slow, behind) = (contract::a_stream(), contract::a_stream());
    let mut holder = hold(&server, &slow).await;
    let dying = tokio::spawn({
        let (other, slow) = (Arc::clone(&other), slow.clone());
        async move {
            other
                .append(&slow, Expected::NoStream, contract::some_events(1))
                .await
        }
    });
    waiting_for_a_lock(&mut holder, 1).await;
    let waiting = tokio::spawn({
        let (store, behind) = (Arc::clone(&store), behind.clone());
        async move {
            store
                .append(&behind, Expected::NoStream, contract::some_events(1))
                .await
        }
    });
    waiting_for_a_lock(&mut holder, 2).await;
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    sqlx::query(kill).execute(&mut holder).await.unwrap();

    let died = dying.await.unwrap();
    assert!(matches!(died, Err(Error::Engine { .. })), "{died:?}");
    let appended = tokio::time::timeout(DEADLINE, waiting).await.unwrap();
    assert_eq!(appended.unwrap().unwrap().position, Position::new(3));
    let events = store.read_all(Position::START, 10).await.unwrap();
    assert!(events.iter().all(|event| event.stream != slow));
    assert_eq!(events.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_two_processes_leave_no_gap_and_share_no_revision() {
    const APPENDS: usize = 25;
    let server = Postgres::start();
    let (mut writers, stream) = (Vec::new(), contract::a_stream());
    let mut stores = Vec::new();
    for _ in 0..2 {
        stores.push(Arc::new(
            PostgresEventStore::open(&server.url()).await.unwrap(),
        ));
    }
    for writer in 0..8 {
        let (store, stream) = (Arc::clone(&stores[writer % 2]), stream.clone());
        writers.push(tokio::spawn(async move {
            let mut expected = Expected::NoStream;
            for _ in 0..APPENDS {
                let events = contract::some_events(1);
                loop {
                    match store.append(&stream, expected, events.clone()).await {
                        Ok(appended) => {
                            expected = Expected::Exact(appended.revision);
                            break;
                        }
                        Err(Error::Conflict { current, .. }) => expected = Expected::after(current),
                        Err(error) => panic!("{error:?}"),
                    }
                }
            }
        }));
    }
    for writer in writers {
        tokio::time::timeout(DEADLINE, writer)
            .await
            .unwrap()
            .unwrap();
    }
    // Reading refuses holes among positions and revisions.
    let events = stores[0]
        .read_stream(&stream, Revision::FIRST, 1_000)
        .await
        .unwrap();
    assert_eq!(events.len(), 8 * APPENDS);
    let all = stores[1].read_all(Position::START, 1_000).await.unwrap();
    assert_eq!(all.len(), 8 * APPENDS);
}

/// Lets appends to a stream wait in their middle, until the connection lets them go on.
async fn hold(server: &Postgres, slow: &StreamId) -> PgConnection {
    let mut holder = PgConnection::connect(&server.url()).await.unwrap();
    let held = format!(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END $$; \
         CREATE TRIGGER held AFTER INSERT ON events FOR EACH ROW WHEN (NEW.stream = '{slow}') EXECUTE FUNCTION wait(); \
         SELECT pg_advisory_lock(7)"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(held))
        .execute(&mut holder)
        .await
        .unwrap();
    holder
}

/// Waits until so many backends wait for a lock.
async fn waiting_for_a_lock(connection: &mut PgConnection, count: i64) {
    let query = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    let waited = async {
        while sqlx::query_scalar::<_, i64>(query)
            .fetch_one(&mut *connection)
            .await
            .unwrap()
            < count
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, waited).await.unwrap();
}

#[tokio::test]
async fn a_backend_killed_in_mid_append_leaves_no_gap_and_stops_nobody() {
    let server = Postgres::start();
    let store = PostgresEventStore::open(&server.url()).await.unwrap();
    let mut slow = PgConnection::connect(&server.url()).await.unwrap();
    let mut transaction = slow.begin().await.unwrap();
    let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
    sqlx::query("UPDATE event_log_head SET position = position + 1")
        .execute(&mut *transaction)
        .await
        .unwrap();

    let mut killer = PgConnection::connect(&server.url()).await.unwrap();
    sqlx::query("SELECT pg_terminate_backend($1)")
        .bind(backend)
        .execute(&mut killer)
        .await
        .unwrap();
    let stream = contract::a_stream();
    let appending = store.append(&stream, Expected::NoStream, contract::some_events(2));
    let appended = tokio::time::timeout(DEADLINE, appending)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(appended.position, Position::new(2));
}

#[tokio::test]
async fn the_log_goes_on_after_its_own_connections_were_killed() {
    let server = Postgres::start();
    let store: Arc<dyn EventStore> =
        Arc::new(PostgresEventStore::open(&server.url()).await.unwrap());
    let mut followed = std::pin::pin!(follow(Arc::clone(&store), Position::START));
    store
        .append(
            &contract::a_stream(),
            Expected::NoStream,
            contract::some_events(1),
        )
        .await
        .unwrap();
    let mut killer = PgConnection::connect(&server.url()).await.unwrap();
    sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()")
        .execute(&mut killer)
        .await
        .unwrap();

    let stream = contract::a_stream();
    let events = contract::some_events(1);
    let appending = async {
        // An append that fails may be repeated with the same ids until its outcome is known.
        loop {
            match store
                .append(&stream, Expected::NoStream, events.clone())
                .await
            {
                Ok(appended) => return appended,
                Err(error) => assert!(matches!(error, Error::Engine { .. }), "{error:?}"),
            }
        }
    };
    let appended = tokio::time::timeout(DEADLINE, appending).await.unwrap();
    assert_eq!(appended.position, Position::new(2));
    let mut seen = 0;
    while seen < 2 {
        match tokio::time::timeout(DEADLINE, followed.next())
            .await
            .unwrap()
            .unwrap()
        {
            Ok(page) => seen += page.len(),
            Err(error) => assert!(matches!(error, Error::Engine { .. }), "{error:?}"),
        }
    }
}

#[tokio::test]
async fn revisions_far_beyond_32_bits_are_kept() {
    let server = Postgres::start();
    let store = PostgresEventStore::open(&server.url()).await.unwrap();
    let stream = contract::a_stream();
    store
        .append(&stream, Expected::NoStream, contract::some_events(1))
        .await
        .unwrap();
    let mut connection = PgConnection::connect(&server.url()).await.unwrap();
    sqlx::query("UPDATE events SET revision = $1")
        .bind(1_i64 << 40)
        .execute(&mut connection)
        .await
        .unwrap();
    let far = Revision::new(1 << 40);
    let next = store
        .append(&stream, Expected::Exact(far), contract::some_events(1))
        .await
        .unwrap();
    assert_eq!(next.revision, far.next());
    let conflict = store
        .append(&stream, Expected::Exact(far), contract::some_events(1))
        .await;
    assert!(
        matches!(conflict, Err(Error::Conflict { current, .. }) if current == Some(far.next())),
        "{conflict:?}"
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_to_be() {
    let missing = PostgresEventStore::open("postgres://firefly@127.0.0.1:1/none").await;
    assert!(matches!(missing, Err(Error::Engine { .. })));
}
