//! Several Fireflies on one data directory: all of them answer, one acts, and another takes over from it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use firefly_tests::docker::{Container, containers as listed, happened, networks};
use firefly_tests::waiting::wait_within;
use firefly_tests::{Api, Firefly, Runtime, wait_for};
use rustix::process::Signal;
use serde_json::Value;

use crate::samples::LocalRepository;

/// How soon somebody acts in the place of one that was killed or stands still.
const TAKEOVER_MAX: Duration = Duration::from_secs(10);

/// The same of one that ends in good order.
const HANDOVER_MAX: Duration = Duration::from_secs(2);

on_both_runtimes! {
    a_killed_firefly_is_succeeded_and_its_projects_go_on,
    a_firefly_that_stood_still_does_nothing_more_and_can_take_over_again,
    a_firefly_that_ends_hands_over_and_the_last_one_leaves_nothing,
    two_that_end_together_leave_nothing,
}

async fn a_killed_firefly_is_succeeded_and_its_projects_go_on(runtime: Runtime) {
    let (first, second) = (
        LocalRepository::plain(),
        LocalRepository::named("other-pages"),
    );
    let mut leader = Firefly::start(runtime).await;
    let standby = leader.start_beside().await;
    let (before, api) = (leader.api().await, standby.api().await);
    let one = before.open_ready(&first.source()).await;
    // What is asked of either of them is done.
    let other = api.open_ready(&second.source()).await;
    let keys = [&one, &other].map(|project| project["key"].as_str().unwrap());
    assert_eq!(acquired(&api).await.len(), 1);
    for key in keys {
        assert_eq!(shown(&api, key).await, 200);
        assert_eq!(shown(&before, key).await, 200);
    }
    let running = containers(&standby);

    let killed = Instant::now();
    leader.kill();
    wait_within(TAKEOVER_MAX, "the standby to act", async || {
        if runtime == Runtime::Docker {
            assert_eq!(shown(&api, keys[0]).await, 200, "while nobody acts");
        }
        (acquired(&api).await.len() == 2).then_some(())
    })
    .await;
    println!("{runtime:?}: acted {:?} after a kill", killed.elapsed());

    for key in keys {
        let project = comes_back(&api, key).await;
        let generation = if runtime == Runtime::Docker { 1 } else { 2 };
        assert_eq!(project["generation"], generation, "{project:#}");
    }
    if runtime == Runtime::Docker {
        assert_eq!(containers(&standby), running, "they are adopted");
    }
    let closed = api.done(keys[0], "close").await;
    assert_eq!(closed["state"], "closed", "{closed:#}");
    assert_eq!(standby.running().len(), 1);

    // Both have written the read models.
    let arguments = ["projections", "rebuild", "projects", "--verify", "--json"];
    let compared = standby.command(&arguments).await;
    assert!(compared.success, "{compared:?}");
    let last: Value = serde_json::from_str(compared.output.lines().last().unwrap()).unwrap();
    assert_eq!(last["failure"], Value::Null, "{compared:?}");
}

async fn a_firefly_that_stood_still_does_nothing_more_and_can_take_over_again(runtime: Runtime) {
    let repository = LocalRepository::plain();
    let old = Firefly::start(runtime).await;
    let mut new = old.start_beside().await;
    let (before, api) = (old.api().await, new.api().await);
    let ready = before.open_ready(&repository.source()).await;
    let key = ready["key"].as_str().unwrap();

    let stopped = Instant::now();
    old.signal(Signal::STOP);
    assert_eq!(api.command(key, "close").await.status, 202);
    wait_within(TAKEOVER_MAX, "the standby to act", async || {
        (acquired(&api).await.len() == 2).then_some(())
    })
    .await;
    println!("{runtime:?}: acted {:?} after a stop", stopped.elapsed());
    let closed = api.settled(key).await;
    assert_eq!(closed["state"], "closed", "{closed:#}");
    assert_eq!(new.running(), [0; 0]);

    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    // The engine tells whole seconds; what happened before is of the one before.
    let since = since.as_secs() + 1;
    wait_for("the next second", async || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        (now.as_secs() >= since).then_some(())
    })
    .await;
    let history = api.history(key).await;
    old.signal(Signal::CONT);
    old.until_logged("this reactor does not act any more").await;
    // It answers as before, and leaves acting to the other one.
    assert_eq!(before.history(key).await, history);
    assert_eq!(before.project(key).await["state"], "closed");
    if runtime == Runtime::Docker {
        let touched = happened(&old.instance(), since);
        assert_eq!(touched, [""; 0], "somebody touched containers");
    }
    let reopened = before.done(key, "open").await;
    assert_eq!(reopened["state"], "ready", "{reopened:#}");
    assert_eq!(shown(&before, key).await, 200);
    assert_eq!(acquired(&before).await.len(), 2, "nobody else has acted");
    let running = containers(&old);

    let killed = Instant::now();
    new.kill();
    wait_within(TAKEOVER_MAX, "the first one to act again", async || {
        (acquired(&before).await.len() == 3).then_some(())
    })
    .await;
    println!("{runtime:?}: acted {:?} after a kill", killed.elapsed());
    comes_back(&before, key).await;
    if runtime == Runtime::Docker {
        assert_eq!(containers(&old), running, "they are adopted");
    }
    assert_eq!(old.running().len(), 1);
}

async fn a_firefly_that_ends_hands_over_and_the_last_one_leaves_nothing(runtime: Runtime) {
    let repository = LocalRepository::plain();
    let mut leader = Firefly::start(runtime).await;
    let mut standby = leader.start_beside().await;
    let api = standby.api().await;
    let ready = leader.api().await.open_ready(&repository.source()).await;
    let key = ready["key"].as_str().unwrap();
    let running = containers(&standby);

    let asked = Instant::now();
    leader.signal(Signal::INT);
    wait_within(HANDOVER_MAX, "the standby to act", async || {
        (acquired(&api).await.len() == 2).then_some(())
    })
    .await;
    println!("{runtime:?}: acted {:?} after an end", asked.elapsed());
    assert!(leader.ended().success());
    comes_back(&api, key).await;
    if runtime == Runtime::Docker {
        assert_eq!(containers(&standby), running, "they go on");
    }

    assert!(standby.interrupt().success());
    nothing_is_left(&standby);
}

async fn two_that_end_together_leave_nothing(runtime: Runtime) {
    let repository = LocalRepository::plain();
    let mut leader = Firefly::start(runtime).await;
    let mut standby = leader.start_beside().await;
    let api = leader.api().await;
    let ready = api.open_ready(&repository.source()).await;
    standby.signal(Signal::INT);
    leader.signal(Signal::INT);
    for firefly in [&mut leader, &mut standby] {
        assert!(firefly.ended().success());
    }
    nothing_is_left(&leader);

    // And of two that start together one acts.
    tokio::join!(leader.restart(), standby.restart());
    let key = ready["key"].as_str().unwrap();
    let api = leader.api().await;
    comes_back(&api, key).await;
    assert_eq!(acquired(&api).await.len(), 2);
    assert_eq!(leader.running().len(), 1);
}

#[tokio::test]
async fn those_who_share_a_data_directory_run_projects_alike() {
    let firefly = Firefly::start(Runtime::Process).await;
    let data = firefly.data();
    let data = data.to_str().unwrap();
    let up = ["up", "--listen", "127.0.0.1:0", "--data-dir", data];
    let refused = firefly
        .command(&[&up[..], &["--runtime", "docker"]].concat())
        .await;
    assert!(!refused.success, "{refused:?}");
    let told = "another Firefly on this data directory runs projects with --runtime process";
    assert!(refused.errors.contains(told), "{refused:?}");
}

/// Each time that somebody began to act.
async fn acquired(api: &Api) -> Vec<Value> {
    let events = api.get("events").await;
    assert_eq!(events.status, 200, "{events:?}");
    let mut events = events.json().as_array().cloned().unwrap();
    events.retain(|event| event["type"] == "LeaseAcquired");
    events
}

/// The status of a project's page.
async fn shown(api: &Api, key: &str) -> u16 {
    api.preview(&format!("{key}/index.html"), &[]).await.status
}

/// Waits until a project is ready and its preview answers: one that was ready before may still seem so.
async fn comes_back(api: &Api, key: &str) -> Value {
    wait_for(&format!("{key} to come back"), async || {
        if shown(api, key).await != 200 {
            return None;
        }
        let project = api.settled(key).await;
        assert_eq!(project["state"], "ready", "{project:#}");
        Some(project)
    })
    .await
}

fn containers(firefly: &Firefly) -> Vec<Container> {
    match firefly.runtime() {
        Runtime::Docker => listed(&firefly.instance()),
        Runtime::Process => Vec::new(),
    }
}

fn nothing_is_left(firefly: &Firefly) {
    assert_eq!(firefly.running(), [0; 0]);
    assert_eq!(firefly.processes_in_workspaces(), [0; 0]);
    if firefly.runtime() == Runtime::Docker {
        assert_eq!(networks(&firefly.instance()), [""; 0]);
    }
}
