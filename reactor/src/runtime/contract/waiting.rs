//! Containers that wait: those that are paused, and those that are started ahead.

use super::*;

pub(super) async fn a_paused_container_stands_still_and_goes_on_where_it_was(stage: &Stage) {
    let started = stage.started().await;
    let endpoint = started.endpoint.clone();
    for _ in 0..2 {
        stage.runtime.pause(&started.id).await.unwrap();
    }
    let paused = Status::Paused {
        endpoint: endpoint.clone(),
    };
    assert_eq!(stage.status(&started.id).await, Some(paused));
    // Nobody answers while it stands still; who asked meanwhile is answered then.
    let (go_on, unpaused) = tokio::sync::oneshot::channel();
    let asked = async {
        let mut asking = std::pin::pin!(answer(&endpoint));
        let early = tokio::time::timeout(Duration::from_millis(300), &mut asking).await;
        assert!(early.is_err(), "it answers while it should stand still");
        go_on.send(()).unwrap();
        asking.await
    };
    let woken = async {
        unpaused.await.unwrap();
        for _ in 0..2 {
            stage.runtime.unpause(&started.id).await.unwrap();
        }
    };
    let (answered, ()) = tokio::join!(asked, woken);
    assert_eq!(answered, "a key");
    let running = Status::Running { endpoint };
    assert_eq!(stage.status(&started.id).await, Some(running));
}

pub(super) async fn a_paused_container_can_be_stopped_and_removed(stage: &Stage) {
    let started = stage.started().await;
    stage.runtime.pause(&started.id).await.unwrap();
    stage.runtime.stop(&started.id, GRACE).await.unwrap();
    let status = stage.status(&started.id).await;
    assert!(matches!(status, Some(Status::Exited(_))), "{status:?}");
    let again = stage.started().await;
    stage.runtime.pause(&again.id).await.unwrap();
    stage.runtime.remove(&again.id).await.unwrap();
    assert_eq!(stage.status(&again.id).await, None);
    for id in [&started.id, &again.id] {
        stage.runtime.pause(id).await.unwrap();
        stage.runtime.unpause(id).await.unwrap();
    }
}

pub(super) async fn what_is_started_ahead_becomes_a_projects_own(stage: &Stage) {
    if !stage.runtime.has_pool() {
        assert!(stage.runtime.prepare(&ahead(1)).await.is_err());
        return;
    }
    let prepared = stage.runtime.prepare(&ahead(1)).await.unwrap();
    let serves = |list: &[Observed]| list.iter().map(|it| it.serves).collect::<Vec<_>>();
    let list = stage.runtime.list().await.unwrap();
    assert_eq!(serves(&list), [Serves::Pool(ahead(1).slot)]);
    for _ in 0..2 {
        let claimed = stage.claim(&prepared, 1).await.unwrap();
        assert_eq!(claimed, Some(prepared.clone()));
    }
    let list = stage.runtime.list().await.unwrap();
    assert_eq!(serves(&list), [Serves::Project(spec("").project)]);
    assert_eq!(answer(&prepared.endpoint).await, "an early key");
    let workspace = stage.directories.workspace(spec("").project);
    std::fs::write(workspace.join("file"), "x").unwrap();

    // From here on it is like any other.
    stage.runtime.stop(&prepared.id, GRACE).await.unwrap();
    let again = stage.started().await;
    assert_eq!((&again.id, again.kept), (&prepared.id, true));
    assert_eq!(answer(&again.endpoint).await, "a key");
    stage.runtime.remove(&again.id).await.unwrap();
    assert!(workspace.join("file").exists());
}

pub(super) async fn a_claim_gives_way_to_what_the_project_has(stage: &Stage) {
    if !stage.runtime.has_pool() {
        return;
    }
    let own = stage.started().await;
    let prepared = stage.runtime.prepare(&ahead(1)).await.unwrap();
    let error = stage.claim(&prepared, 1).await;
    let Err(Error::Occupied { container, .. }) = error else {
        panic!("{error:?}");
    };
    assert_eq!(container, own.id);
    assert_eq!(answer(&prepared.endpoint).await, "an early key");

    let workspace = stage.directories.workspace(spec("").project);
    std::fs::write(workspace.join("precious"), "x").unwrap();
    stage.runtime.remove(&own.id).await.unwrap();
    assert_eq!(stage.claim(&prepared, 1).await.unwrap(), None);
    assert!(workspace.join("precious").exists());
    assert_eq!(stage.runtime.list().await.unwrap(), []);
}
