//! Projections that stop at an event, and go on when somebody says so.

use firefly_domain::projection;

use super::*;

/// A log whose second event no projection of projects can take in.
async fn poisoned() -> (Setup, EventId) {
    let setup = Setup::new().await;
    setup.command(&key(1), command(&key(1), 0, 1)).await;
    let id = EventId::from_uuid(Uuid::now_v7());
    let poison = NewEvent {
        id,
        event_type: "ProjectPainted".into(),
        schema_version: 1,
        data: serde_json::value::RawValue::from_string("{}".into()).unwrap(),
        metadata: Metadata {
            actor: Actor::Anonymous,
            correlation_id: Uuid::new_v4(),
            causation_id: None,
            traceparent: None,
            idempotency: None,
        },
        recorded_at: None,
    };
    let stream = StreamId::of(Project::CATEGORY, key(1).id().as_uuid());
    let appended = setup
        .store
        .append(&stream, Expected::Exact(Revision::FIRST), vec![poison])
        .await;
    appended.unwrap();
    setup.command(&key(2), command(&key(2), 0, 1)).await;
    (setup, id)
}

fn stopped(builds: &[Build]) -> Option<Vec<Build>> {
    let stopped = |build: &&Build| build.failure.is_some();
    let found: Vec<Build> = builds.iter().filter(stopped).cloned().collect();
    (found.len() == 4).then_some(found)
}

#[tokio::test]
async fn an_event_that_cannot_be_read_stops_its_projection_and_says_so() {
    let (setup, poison) = poisoned().await;
    let read_models = firefly_read_models::open(&setup.url("read-models.db"))
        .await
        .unwrap();
    let projecting = setup.projecting(&read_models).await;
    // Only those that need the event stop; the others go on to the end.
    let mut sessions = Progress(vec![projecting.progress.0[1].clone()]);
    let head = *setup.store.head().borrow();
    tokio::time::timeout(DEADLINE, sessions.reached(head))
        .await
        .unwrap();
    let live = until(&read_models, stopped).await;
    assert!(
        !projecting.running.is_finished(),
        "a stopped projection ended the projector"
    );
    projecting.stop().await;
    let projects = live
        .iter()
        .find(|build| build.projection == "projects")
        .unwrap();
    assert_eq!(
        projects.position, 1,
        "what came before the event is projected"
    );
    assert_eq!(projects.failed_position, Some(2));
    assert_eq!(projects.failed_event, Some(poison.to_string()));
    let failure = projects.failure.as_ref().unwrap();
    for part in ["position 2", "ProjectPainted", "version 1"] {
        assert!(failure.contains(part), "{failure}");
    }
}

#[tokio::test]
async fn trying_again_stops_again_and_skipping_goes_on_for_every_build() {
    let (setup, poison) = poisoned().await;
    let read_models = firefly_read_models::open(&setup.url("read-models.db"))
        .await
        .unwrap();
    let projecting = setup.projecting(&read_models).await;
    until(&read_models, stopped).await;
    assert!(read_models.retry("projects").await.unwrap());
    until(&read_models, stopped).await;

    for projected in projections() {
        let name = projected.projection;
        let command = projection::Command::Skip {
            projection: name.to_owned(),
            event: poison,
            position: 2,
            reason: "it was made by hand".into(),
        };
        let context = Context::new(Actor::Anonymous, Uuid::new_v4());
        let id = firefly_domain::Projection::id(name);
        handle::<firefly_domain::Projection>(&*setup.store, &id, command, &context)
            .await
            .unwrap();
        read_models.retry(name).await.unwrap();
    }
    projecting.caught_up(&*setup.store).await;
    projecting.stop().await;
    // One that is made anew passes it over, too.
    let fresh = setup.project("fresh.db").await;
    assert_eq!(dump(&fresh).await, dump(&read_models).await);
    let rows = fresh.rows::<ProjectRow>("", &[]).await.unwrap();
    assert_eq!(rows.len(), 2);
}
