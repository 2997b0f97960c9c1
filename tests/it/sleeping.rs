//! Projects that nobody uses fall asleep, first lightly and then deeply, and wake for whoever comes.

use firefly_tests::docker::containers;
use firefly_tests::{Api, Firefly, Live, Runtime, Settings};

use crate::samples::LocalRepository;

on_both_runtimes! {
    a_project_that_nobody_uses_is_paused_and_wakes_for_a_visitor,
    a_project_that_sleeps_for_long_is_stopped_and_comes_back_for_a_visitor,
    opening_a_project_that_is_paused_wakes_it,
    a_paused_project_is_closed_and_opened_with_the_container_it_had,
    use_keeps_a_project_awake,
}

const PAUSE_AT_ONCE: [&str; 4] = ["--pause-after", "1s", "--stop-after", "1h"];
const STOP_SOON: [&str; 4] = ["--pause-after", "1s", "--stop-after", "2s"];

async fn firefly(runtime: Runtime, sleep: [&str; 4]) -> Firefly {
    let mut settings = Settings::new(runtime);
    settings.arguments.extend(sleep.map(str::to_owned));
    Firefly::start_with(settings).await
}

/// A project that has fallen asleep, and the repository that its container may still read.
async fn asleep(firefly: &Firefly, api: &Api, live: &mut Live) -> (String, LocalRepository) {
    let repository = LocalRepository::plain();
    let ready = api.open_ready(&repository.source()).await;
    live.until_state("paused").await;
    assert_eq!(firefly.running().len(), 1);
    (ready["key"].as_str().unwrap().to_owned(), repository)
}

async fn visit(api: &Api, key: &str) {
    let page = api.preview(&format!("{key}/index.html"), &[]).await;
    assert_eq!(page.status, 200, "{}", page.text);
}

async fn a_project_that_nobody_uses_is_paused_and_wakes_for_a_visitor(runtime: Runtime) {
    let firefly = firefly(runtime, PAUSE_AT_ONCE).await;
    let api = firefly.api().await;
    let mut live = Live::follow(&api).await;
    let (key, _repository) = asleep(&firefly, &api, &mut live).await;
    for _ in 0..3 {
        visit(&api, &key).await;
        let project = api.project(&key).await;
        assert_eq!(project["generation"], 1, "{project:#}");
        let woken = live.until_event("ProjectReady").await;
        let causes: Vec<_> = woken
            .iter()
            .map(|it| &it["event"]["data"]["cause"])
            .collect();
        assert!(causes.contains(&&"preview".into()), "{causes:?}");
        live.until_state("paused").await;
    }
}

async fn a_project_that_sleeps_for_long_is_stopped_and_comes_back_for_a_visitor(runtime: Runtime) {
    let firefly = firefly(runtime, STOP_SOON).await;
    let api = firefly.api().await;
    let mut live = Live::follow(&api).await;
    let (key, _repository) = asleep(&firefly, &api, &mut live).await;
    let closed = live.until_state("closed").await;
    let project = &closed.last().unwrap()["project"];
    assert_eq!(project["closed_reason"], "idle", "{project:#}");
    assert!(firefly.running().is_empty());
    visit(&api, &key).await;
    let back = live.until_event("ProjectReady").await;
    let opened = back
        .iter()
        .find(|it| it["event"]["type"] == "ProjectOpened");
    assert_eq!(opened.unwrap()["event"]["data"]["cause"], "woken");
}

async fn opening_a_project_that_is_paused_wakes_it(runtime: Runtime) {
    let firefly = firefly(runtime, PAUSE_AT_ONCE).await;
    let api = firefly.api().await;
    let mut live = Live::follow(&api).await;
    let (key, _repository) = asleep(&firefly, &api, &mut live).await;
    let project = api.done(&key, "open").await;
    assert_eq!(project["generation"], 1, "{project:#}");
    let types = api.event_types(&key).await;
    assert!(types.contains(&"ProjectWoken".to_owned()), "{types:?}");
}

async fn a_paused_project_is_closed_and_opened_with_the_container_it_had(runtime: Runtime) {
    let firefly = firefly(runtime, PAUSE_AT_ONCE).await;
    let api = firefly.api().await;
    let mut live = Live::follow(&api).await;
    let (key, _repository) = asleep(&firefly, &api, &mut live).await;
    let first = api.project(&key).await["container"].clone();
    let closed = api.done(&key, "close").await;
    assert_eq!(closed["state"], "closed", "{closed:#}");
    assert!(firefly.running().is_empty());
    // A visitor does not open what somebody closed.
    let page = api.preview(&format!("{key}/index.html"), &[]).await;
    assert_eq!(page.status, 404);
    let opened = api.done(&key, "open").await;
    assert_eq!(opened["generation"], 2, "{opened:#}");
    visit(&api, &key).await;
    if runtime == Runtime::Docker {
        assert_eq!(opened["container"], first);
        let started = api.history(&key).await;
        let kept = started.iter().filter(|it| it["data"]["kept"] == true);
        assert_eq!(kept.count(), 1);
        assert_eq!(containers(&firefly.instance()).len(), 1);
    }
}

async fn use_keeps_a_project_awake(runtime: Runtime) {
    let firefly = firefly(runtime, PAUSE_AT_ONCE).await;
    let api = firefly.api().await;
    let repository = LocalRepository::plain();
    let ready = api.open_ready(&repository.source()).await;
    let key = ready["key"].as_str().unwrap();
    let begun = std::time::Instant::now();
    while begun.elapsed() < std::time::Duration::from_secs(4) {
        visit(&api, key).await;
    }
    let types = api.event_types(key).await;
    assert!(!types.contains(&"ProjectPaused".to_owned()), "{types:?}");
}
