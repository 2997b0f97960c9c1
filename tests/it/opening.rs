//! The main job: a project is opened, shown in a browser, and refreshed when a file is saved.

use firefly_tests::live::event_types;
use firefly_tests::{Browser, Firefly, Live, Runtime, Settings};
use serde_json::Value;

use crate::samples::{LocalRepository, PLAIN, edit, git_server, montage_app};

/// The steps of an opening from a template, as history tells them.
const FROM_TEMPLATE: [&str; 5] = [
    "ProjectOpened",
    "ContainerStarted",
    "TemplateApplied",
    "DependenciesInstalled",
    "ProjectReady",
];

on_both_runtimes! {
    the_starter_template_is_opened_drawn_and_refreshed,
    a_montage_application_is_cloned_installed_and_drawn,
    an_ordinary_repository_is_shown_as_it_is,
    a_repository_behind_a_closed_directory_is_opened_by_its_path,
    a_page_that_was_open_while_firefly_was_away_shows_what_changed_meanwhile,
    a_branch_is_checked_out_where_one_is_named,
}

async fn the_starter_template_is_opened_drawn_and_refreshed(runtime: Runtime) {
    let firefly = Firefly::start(runtime).await;
    let api = firefly.api().await;
    let mut live = Live::follow(&api).await;
    assert_eq!(live.snapshot()["projects"], Value::Array(Vec::new()));

    let key = api.open("template:starter").await;
    assert_eq!(key, "local/template/starter");
    let changes = live.until_state("ready").await;
    assert_eq!(event_types(&changes), FROM_TEMPLATE);
    assert_eq!(api.event_types(&key).await, FROM_TEMPLATE);
    let project = &changes.last().unwrap()["project"];
    assert_eq!(project["preview_url"], firefly.preview(&key, "index.html"));

    let browser = Browser::start().await;
    browser.go(project["preview_url"].as_str().unwrap()).await;
    browser.until_text("Welcome to Firefly").await;
    browser.until_text("Not counted yet").await;
    browser.click("[data-montage-id=countButton]").await;
    browser.until_text("Counted once").await;

    let main = firefly.workspace(project).join("ui/main.reel/main.js");
    edit(&main, "Welcome to Firefly", "Saved a moment ago");
    browser.until_text("Saved a moment ago").await;
    // It is a new page, not the old one touched up.
    browser.until_text("Not counted yet").await;
}

async fn a_montage_application_is_cloned_installed_and_drawn(runtime: Runtime) {
    let server = git_server(runtime).await;
    let files = montage_app();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, &**text)).collect();
    let url = server.repository("tests/app", &files);
    // All its packages come over the network.
    let firefly = Firefly::start_with(Settings::new(runtime).cold()).await;
    let api = firefly.api().await;
    let mut live = Live::follow(&api).await;

    let key = api.open(&url).await;
    assert_eq!(key, "local/tests/app");
    let changes = live.until_state("ready").await;
    let expected = FROM_TEMPLATE.map(|event_type| match event_type {
        "TemplateApplied" => "RepositoryCloned",
        other => other,
    });
    assert_eq!(event_types(&changes), expected);
    let installed = &changes[3]["event"]["data"];
    assert!(installed["packages"].as_u64().unwrap() > 1, "{installed}");
    assert_eq!(installed["reused"], false);
    let nested = "node_modules/montage/node_modules/bluebird/package.json";
    let workspace = firefly.workspace(&changes[4]["project"]);
    assert!(workspace.join(nested).is_file());

    let browser = Browser::start().await;
    browser.go(&firefly.preview(&key, "index.html")).await;
    browser.until_text("An application from afar").await;
}

async fn an_ordinary_repository_is_shown_as_it_is(runtime: Runtime) {
    let server = git_server(runtime).await;
    let url = server.repository("tests/plain", PLAIN);
    let firefly = Firefly::start(runtime).await;
    let api = firefly.api().await;

    let project = api.open_ready(&url).await;
    let key = project["key"].as_str().unwrap();
    let history = api.history(key).await;
    assert_eq!(history[3]["data"]["packages"], 0, "{:#}", history[3]);
    let text = api.preview(&format!("{key}/notes.txt"), &[]).await;
    assert_eq!((text.status, text.text.as_str()), (200, "first line\n"));

    let browser = Browser::start().await;
    browser.go(project["preview_url"].as_str().unwrap()).await;
    browser.until_text("A plain page").await;
    edit(
        &firefly.workspace(&project).join("index.html"),
        "plain",
        "changed",
    );
    browser.until_text("A changed page").await;
}

async fn a_repository_behind_a_closed_directory_is_opened_by_its_path(runtime: Runtime) {
    let repository = LocalRepository::plain();
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(repository.path().parent().unwrap(), closed).unwrap();
    let firefly = Firefly::start(runtime).await;
    let api = firefly.api().await;
    let project = api.open_ready(&repository.source()).await;
    let config = firefly.workspace(&project).join(".git/config");
    let config = std::fs::read_to_string(config).unwrap();
    let origin = format!("url = {}\n", repository.source());
    assert!(config.contains(&origin), "{config}");
}

async fn a_page_that_was_open_while_firefly_was_away_shows_what_changed_meanwhile(
    runtime: Runtime,
) {
    let repository = LocalRepository::plain();
    let mut firefly = Firefly::start(runtime).await;
    let api = firefly.api().await;
    let project = api.open_ready(&repository.source()).await;
    let browser = Browser::start().await;
    browser.go(project["preview_url"].as_str().unwrap()).await;
    browser.until_text("A plain page").await;

    firefly.interrupt();
    let page = firefly.workspace(&project).join("index.html");
    edit(&page, "plain page", "page changed meanwhile");
    firefly.restart_on_same_port().await;
    browser.until_text("A page changed meanwhile").await;
}

async fn a_branch_is_checked_out_where_one_is_named(runtime: Runtime) {
    let server = git_server(runtime).await;
    let url = server.repository("tests/branches", PLAIN);
    server.commit(
        "tests/branches",
        "topic",
        &[("notes.txt", "of the topic\n")],
    );
    let firefly = Firefly::start(runtime).await;
    let api = firefly.api().await;

    let request = serde_json::json!({"source": url, "branch": "topic"});
    let opened = api.post("projects/open", request).await;
    assert_eq!(opened.status, 202, "{opened:?}");
    let project = api.settled("local/tests/branches").await;
    assert_eq!(project["state"], "ready", "{project:#}");
    assert_eq!(project["branch"], "topic");
    let text = api.preview("local/tests/branches/notes.txt", &[]).await;
    assert_eq!(text.text, "of the topic\n");
}
