//! Containers that die behind Firefly's back.

use firefly_tests::docker::{containers, kill as kill_container};
use firefly_tests::processes::kill;
use firefly_tests::{Firefly, Live, Runtime};
use rustix::process::Signal;

use crate::samples::LocalRepository;

on_both_runtimes! {
    a_killed_container_closes_its_project_until_it_is_opened_again,
    a_killed_container_of_a_project_in_hand_comes_back_until_it_has_died_too_often,
}

/// Ends the container that runs, as the kernel would.
fn kill_the_container(firefly: &Firefly, runtime: Runtime) {
    match runtime {
        Runtime::Docker => kill_container(&containers(&firefly.instance())[0].id),
        Runtime::Process => kill(firefly.project_servers()[0], Signal::KILL),
    }
}

async fn a_killed_container_of_a_project_in_hand_comes_back_until_it_has_died_too_often(
    runtime: Runtime,
) {
    let repository = LocalRepository::plain();
    let firefly = Firefly::start(runtime).await;
    let api = firefly.api().await;
    let ready = api.open_ready(&repository.source()).await;
    let key = ready["key"].as_str().unwrap();
    let body = serde_json::json!({"project": key});
    assert!(api.post("sessions/join", body).await.status < 300);
    let mut live = Live::follow(&api).await;

    for generation in 2..=5 {
        kill_the_container(&firefly, runtime);
        let back = live.until_event("ProjectReady").await;
        let opened = back
            .iter()
            .find(|change| change["event"]["type"] == "ProjectOpened");
        assert_eq!(opened.unwrap()["event"]["data"]["cause"], "crashed-again");
        assert_eq!(back.last().unwrap()["project"]["generation"], generation);
        let page = api.preview(&format!("{key}/index.html"), &[]).await;
        assert_eq!(page.status, 200);
    }
    kill_the_container(&firefly, runtime);
    let failed = live.until_event("ContainerRemoved").await;
    let project = &failed.last().unwrap()["project"];
    assert_eq!(project["state"], "failed", "{project:#}");
    assert_eq!(project["failure"]["code"], "crash-loop", "{project:#}");
    assert!(firefly.running().is_empty());
}

async fn a_killed_container_closes_its_project_until_it_is_opened_again(runtime: Runtime) {
    let repository = LocalRepository::plain();
    let firefly = Firefly::start(runtime).await;
    let api = firefly.api().await;
    let ready = api.open_ready(&repository.source()).await;
    let key = ready["key"].as_str().unwrap();
    let mut live = Live::follow(&api).await;

    kill_the_container(&firefly, runtime);
    let exited = live.until_event("ContainerExited").await;
    let exit = &exited.last().unwrap()["event"]["data"];
    assert_eq!(exit["exit_code"], 137, "{exit}");
    assert_eq!(exit["cause"], "crashed", "{exit}");
    let closed = live.until_state("closed").await;
    assert_eq!(
        closed.last().unwrap()["project"]["closed_reason"],
        "crashed"
    );
    assert!(firefly.running().is_empty());
    let page = api
        .preview(&format!("{key}/index.html"), &[("accept", "text/html")])
        .await;
    assert_eq!(page.status, 404);
    assert!(page.text.contains("No preview available"), "{}", page.text);

    let reopened = api.done(key, "open").await;
    assert_eq!(reopened["state"], "ready", "{reopened:#}");
    assert_eq!(reopened["generation"], 2);
    let page = api.preview(&format!("{key}/index.html"), &[]).await;
    assert_eq!(page.status, 200);
}
