//! What the command loop promises on every engine.

use std::sync::Arc;

use async_trait::async_trait;
use firefly_domain::{Actor, Aggregate, Generation, GitUrl, Project, ProjectKey, Source, project};
use uuid::Uuid;

use super::{Store, everything};
use crate::commands::{CommandError, Context, handle};
use crate::event::{Idempotency, RecordedEvent, Revision};
use crate::handler::CommandHandler;
use crate::layer::Layer;
use crate::store::{Error, EventStore};

fn an_open_command(key: &ProjectKey) -> project::Command {
    let source = Source::Git(GitUrl::parse("https://host/montage/app.git").unwrap());
    project::Command::Open {
        key: key.clone(),
        source,
        branch: None,
    }
}

/// One that no log knows yet.
fn a_project() -> ProjectKey {
    ProjectKey::new("alice", "montage", &format!("app-{}", Uuid::new_v4())).unwrap()
}

fn somebody() -> Context {
    Context::new(Actor::Anonymous, Uuid::new_v4())
}

pub(crate) async fn commands_that_race_are_decided_again(store: Store) {
    let key = a_project();
    let attempts: Vec<_> = (0..16)
        .map(|_| {
            let (store, key) = (Arc::clone(&store), key.clone());
            tokio::spawn(async move {
                handle::<Project>(
                    &*store,
                    key.id().as_uuid(),
                    an_open_command(&key),
                    &somebody(),
                )
                .await
            })
        })
        .collect();
    let mut recorded = 0;
    for attempt in attempts {
        let handled = attempt.await.unwrap().unwrap();
        assert_eq!(handled.state.known().unwrap().generation.number(), 1);
        recorded += handled.events.len();
    }
    assert_eq!(recorded, 1);
    assert_eq!(everything(&store).await.len(), 1);
}

pub(crate) async fn a_command_for_another_revision_is_stale(store: Store) {
    let key = a_project();
    let opened = handle::<Project>(
        &*store,
        key.id().as_uuid(),
        an_open_command(&key),
        &somebody(),
    )
    .await
    .unwrap();
    let stale = Context {
        expected: Some(Revision::new(9)),
        ..somebody()
    };
    let refused =
        handle::<Project>(&*store, key.id().as_uuid(), project::Command::Close, &stale).await;
    assert!(matches!(refused, Err(CommandError::Stale { .. })));
    let current = Context {
        expected: opened.revision,
        ..somebody()
    };
    let closed = handle::<Project>(
        &*store,
        key.id().as_uuid(),
        project::Command::Close,
        &current,
    )
    .await
    .unwrap();
    assert_eq!(closed.events.len(), 1);
    assert_eq!(Project::CATEGORY, "project");
}

pub(crate) async fn what_is_remembered_is_no_older_than_the_log(store: Store) {
    let key = a_project();
    let id = key.id();
    let id = id.as_uuid();
    let (ours, others) = (
        CommandHandler::<Project>::new(Arc::clone(&store)),
        CommandHandler::<Project>::new(Arc::clone(&store)),
    );
    ours.handle(id, an_open_command(&key), &somebody())
        .await
        .unwrap();
    others
        .handle(id, project::Command::Close, &somebody())
        .await
        .unwrap();

    // On what it remembers, opening again would change nothing; in truth, it is closing.
    let refused = ours.handle(id, an_open_command(&key), &somebody()).await;
    assert!(
        matches!(
            refused,
            Err(CommandError::Rejected(project::Rejection::Closing))
        ),
        "{refused:?}"
    );
    // On what it remembers, there is something to close.
    let closed = ours
        .handle(id, project::Command::Close, &somebody())
        .await
        .unwrap();
    assert!(closed.events.is_empty());
    assert_eq!(closed.revision, Some(Revision::new(1)));
    let stale = Context {
        expected: Some(Revision::FIRST),
        ..somebody()
    };
    let deletion = project::Command::Delete { force: false };
    let refused = others.handle(id, deletion.clone(), &stale).await;
    assert!(matches!(refused, Err(CommandError::Stale { .. })));
    let deleted = ours.handle(id, deletion, &somebody()).await.unwrap();
    assert_eq!(deleted.revision, Some(Revision::new(2)));
    assert_eq!(everything(&store).await.len(), 3);
}

pub(crate) async fn a_repeated_request_gets_its_first_outcome(store: Store) {
    let key = a_project();
    let keys = [Uuid::new_v4(), Uuid::new_v4()];
    let request = |number: usize, fingerprint: &str| Context {
        idempotency: Some(Idempotency {
            key: keys[number - 1],
            fingerprint: fingerprint.into(),
        }),
        ..somebody()
    };
    let run = async |command, context: &Context| {
        handle::<Project>(&*store, key.id().as_uuid(), command, context).await
    };

    let first = run(an_open_command(&key), &request(1, "open"))
        .await
        .unwrap();
    run(project::Command::Restart, &request(2, "restart"))
        .await
        .unwrap();
    let again = run(an_open_command(&key), &request(1, "open"))
        .await
        .unwrap();
    assert_eq!(
        (again.revision, again.position, &again.events),
        (first.revision, first.position, &first.events)
    );
    assert_eq!(
        again.state, first.state,
        "the state as it was then, not as it is now"
    );

    let restarted = run(project::Command::Restart, &request(2, "restart"))
        .await
        .unwrap();
    assert_eq!(restarted.revision, Some(Revision::new(1)));
    assert_eq!(
        everything(&store).await.len(),
        2,
        "a repetition recorded something"
    );

    let other = run(project::Command::Close, &request(1, "close")).await;
    assert!(matches!(other, Err(CommandError::KeyReused)), "{other:?}");
}

pub(crate) async fn a_repeated_request_that_found_nothing_to_do_still_does_nothing(store: Store) {
    let key = a_project();
    let request = Uuid::new_v4();
    let keyed = |fingerprint: &str| Context {
        idempotency: Some(Idempotency {
            key: request,
            fingerprint: fingerprint.into(),
        }),
        ..somebody()
    };
    let run = async |key: &ProjectKey, command, context: &Context| {
        handle::<Project>(&*store, key.id().as_uuid(), command, context).await
    };

    run(&key, an_open_command(&key), &somebody()).await.unwrap();
    run(&key, project::Command::Close, &somebody())
        .await
        .unwrap();
    let first = run(&key, project::Command::Close, &keyed("close"))
        .await
        .unwrap();
    assert!(first.events.is_empty());
    let removed = project::Command::Report {
        generation: Generation::new(1),
        outcome: project::Outcome::ContainerRemoved,
    };
    run(&key, removed, &somebody()).await.unwrap();
    let opened = run(&key, an_open_command(&key), &somebody()).await.unwrap();

    let again = run(&key, project::Command::Close, &keyed("close"))
        .await
        .unwrap();
    assert_eq!(
        (again.revision, again.position, again.state),
        (first.revision, first.position, first.state)
    );
    let now = run(&key, an_open_command(&key), &somebody()).await.unwrap();
    assert_eq!(now.revision, opened.revision, "the repetition closed it");
    let other = run(&key, project::Command::Close, &keyed("other")).await;
    assert!(matches!(other, Err(CommandError::KeyReused)), "{other:?}");
    let elsewhere = a_project();
    let other = run(&elsewhere, an_open_command(&elsewhere), &keyed("close")).await;
    assert!(matches!(other, Err(CommandError::KeyReused)), "{other:?}");
}

/// A log that does not find events, as if they had been appended just behind the look.
struct Blind(Store);

#[async_trait]
impl Layer for Blind {
    fn behind(&self) -> &dyn EventStore {
        &*self.0
    }

    async fn find_request(&self, _: &Uuid) -> Result<Option<RecordedEvent>, Error> {
        Ok(None)
    }
}

pub(crate) async fn a_request_that_was_answered_in_between_is_not_remembered_wrongly(store: Store) {
    let key = a_project();
    let id = key.id();
    let id = id.as_uuid();
    let request = Uuid::new_v4();
    let keyed = |fingerprint: &str| Context {
        idempotency: Some(Idempotency {
            key: request,
            fingerprint: fingerprint.into(),
        }),
        ..somebody()
    };
    let late = CommandHandler::<Project>::new(Arc::new(Blind(Arc::clone(&store))));
    late.handle(id, an_open_command(&key), &somebody())
        .await
        .unwrap();
    let restart = project::Command::Restart;
    handle::<Project>(&*store, id, restart.clone(), &somebody())
        .await
        .unwrap();
    handle::<Project>(&*store, id, restart.clone(), &keyed("restart"))
        .await
        .unwrap();

    // It remembers the first opening only, and the log has this very append already, at the third.
    let repeated = late.handle(id, restart.clone(), &keyed("restart")).await;
    assert!(repeated.is_err(), "it cannot tell what came of it");
    let next = late.handle(id, restart, &somebody()).await.unwrap();
    assert_eq!(next.state.known().unwrap().generation, Generation::new(4));
    assert_eq!(next.revision, Some(Revision::new(3)));
}
