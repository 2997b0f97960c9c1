//! The console, as a person uses it.

use firefly_tests::{Browser, Firefly, Runtime};

use crate::samples::LocalRepository;

on_both_runtimes! {
    the_console_opens_a_template_shows_its_history_and_closes_it,
}

async fn the_console_opens_a_template_shows_its_history_and_closes_it(runtime: Runtime) {
    let firefly = Firefly::start(runtime).await;
    let browser = Browser::start().await;
    browser.go(&firefly.url()).await;
    browser.until_text("No projects yet").await;
    browser.fill("#source", "template:starter").await;
    browser.click("#open button[type=submit]").await;

    let card = "#projects > li";
    browser.until_attribute(card, "data-state", "ready").await;
    for event in [
        "ProjectOpened",
        "ContainerStarted",
        "TemplateApplied",
        "DependenciesInstalled",
        "ProjectReady",
    ] {
        browser.until_text(event).await;
    }
    let preview = browser
        .attribute("#projects [data-part=preview]", "href")
        .await;
    assert_eq!(
        preview,
        firefly.preview("local/template/starter", "index.html")
    );

    browser.click("#projects [data-action=close]").await;
    browser.until_attribute(card, "data-state", "closed").await;
    browser.until_text("ProjectClosed").await;
    let api = firefly.api().await;
    assert_eq!(
        api.project("local/template/starter").await["state"],
        "closed"
    );
    assert!(firefly.running().is_empty());

    browser.click("#projects [data-action=open]").await;
    browser.until_attribute(card, "data-state", "ready").await;
}

#[tokio::test]
async fn the_console_explains_what_cannot_be_opened() {
    let firefly = Firefly::start(Runtime::Process).await;
    let browser = Browser::start().await;
    browser.go(&firefly.url()).await;
    browser.fill("#source", "nonsense").await;
    browser.click("#open button[type=submit]").await;
    browser.until_text("is neither a git URL").await;
    browser.fill("#source", "template:unknown").await;
    browser.click("#open button[type=submit]").await;
    browser
        .until_attribute("#projects > li", "data-state", "failed")
        .await;
    browser.until_text("template-unknown").await;
}

#[tokio::test]
async fn the_console_comes_back_with_a_firefly_that_was_killed() {
    let repository = LocalRepository::plain();
    let mut firefly = Firefly::start(Runtime::Process).await;
    let api = firefly.api().await;
    let project = api.open_ready(&repository.source()).await;
    let key = project["key"].as_str().unwrap();
    let browser = Browser::start().await;
    browser.go(&firefly.url()).await;
    let card = "#projects > li";
    browser.until_attribute(card, "data-state", "ready").await;

    firefly.kill();
    browser
        .until_attribute("#connection", "data-state", "reconnecting")
        .await;
    firefly.restart_on_same_port().await;
    browser
        .until_attribute("#connection", "data-state", "live")
        .await;
    let closed = firefly.api().await.done(key, "close").await;
    assert_eq!(closed["state"], "closed", "{closed:#}");
    browser.until_attribute(card, "data-state", "closed").await;
}

#[tokio::test]
async fn a_console_that_stays_open_goes_on_with_a_firefly_that_begins_anew() {
    let mut firefly = Firefly::start(Runtime::Process).await;
    let browser = Browser::start().await;
    browser.go(&firefly.url()).await;
    let card = "#projects > li";
    let fail_to_open = async || {
        browser.fill("#source", "template:unknown").await;
        browser.click("#open button[type=submit]").await;
        browser.until_attribute(card, "data-state", "failed").await;
    };
    fail_to_open().await;

    firefly.interrupt();
    std::fs::remove_dir_all(firefly.data()).unwrap();
    firefly.restart_on_same_port().await;
    browser.until_text("No projects yet").await;
    browser
        .until_attribute("#connection", "data-state", "live")
        .await;
    // One sign-in is the console's, one the test's own.
    let api = firefly.api().await;
    let head = api.head().await.to_string();
    let fresh = [("Firefly-Min-Position", &*head), ("Prefer", "wait=5")];
    let started = api.get_with("history?type=SessionStarted", &fresh).await;
    assert_eq!(started.json()["events"].as_array().unwrap().len(), 2);
    fail_to_open().await;
}
