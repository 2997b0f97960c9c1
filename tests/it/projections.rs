//! Read models are looked after from the command line while Firefly runs, wherever they are kept.

use firefly_tests::postgres::Postgres;
use firefly_tests::{Firefly, Runtime, Settings};
use serde_json::Value;

use crate::samples::LocalRepository;

#[tokio::test]
async fn projections_in_sqlite_are_rebuilt_and_compared_beside_a_running_firefly() {
    are_looked_after(Settings::new(Runtime::Process)).await;
}

#[tokio::test]
async fn projections_in_postgres_are_rebuilt_and_compared_beside_a_running_firefly() {
    let server = Postgres::start();
    are_looked_after(Settings::new(Runtime::Process).with_read_models(&server.url())).await;
}

async fn are_looked_after(settings: Settings) {
    let repository = LocalRepository::plain();
    let firefly = Firefly::start_with(settings).await;
    let api = firefly.api().await;
    let project = api.open_ready(&repository.source()).await;
    let key = project["key"].as_str().unwrap();
    let before = api.project(key).await;

    let listed = firefly.command(&["projections"]).await;
    assert!(listed.success, "{listed:?}");
    for name in [
        "projects",
        "sessions",
        "containers",
        "workspaces",
        "activity",
    ] {
        let line = listed.output.lines().find(|line| line.starts_with(name));
        assert!(line.is_some_and(|line| line.contains("live")), "{listed:?}");
    }
    let rebuilt = firefly.command(&["projections", "rebuild", "--all"]).await;
    assert!(rebuilt.success, "{rebuilt:?}");
    assert_eq!(
        rebuilt.output.matches(": rebuilt").count(),
        5,
        "{rebuilt:?}"
    );
    let compared = firefly
        .command(&["projections", "rebuild", "projects", "--verify", "--json"])
        .await;
    assert!(compared.success, "{compared:?}");
    let last = compared.output.lines().last().unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    assert_eq!(
        (&last["type"], &last["failure"]),
        (&"done".into(), &Value::Null)
    );
    assert_eq!(api.project(key).await, before);

    let builds = api.get("projections").await.json();
    let builds = builds["projections"].as_array().unwrap();
    let live = builds.iter().filter(|build| build["status"] == "live");
    assert!(live.clone().all(|build| build["build"] == 2), "{builds:?}");
    assert_eq!(live.count(), 5);

    for (arguments, code) in [
        (
            &["projections", "rebuild", "paintings"][..],
            "projection-not-found",
        ),
        (
            &[
                "projections",
                "skip",
                "projects",
                "--event",
                "0193a6c8-7e1d-7c31-9d4b-3f5a2b1c0d9e",
                "--reason",
                "x",
            ],
            "not-stopped",
        ),
    ] {
        let refused = firefly.command(arguments).await;
        assert!(
            !refused.success && refused.errors.contains(code),
            "{refused:?}"
        );
    }
    for verb in ["cancel", "retry"] {
        let nothing = firefly.command(&["projections", verb, "projects"]).await;
        assert!(nothing.success, "{nothing:?}");
    }
}

#[tokio::test]
async fn lists_in_sqlite_are_filtered_sorted_and_read_page_by_page() {
    are_listed(Settings::new(Runtime::Process)).await;
}

#[tokio::test]
async fn lists_in_postgres_are_filtered_sorted_and_read_page_by_page() {
    let server = Postgres::start();
    are_listed(Settings::new(Runtime::Process).with_read_models(&server.url())).await;
}

async fn are_listed(settings: Settings) {
    let firefly = Firefly::start_with(settings).await;
    let api = firefly.api().await;
    let mut keys = Vec::new();
    for number in 0..5 {
        let key = api.open(&format!("template:unknown{number}")).await;
        api.settled(&key).await;
        keys.push(key);
    }
    api.done(&keys[0], "close").await;
    let head = api.head().await.to_string();
    let fresh = [
        ("firefly-min-position", head.as_str()),
        ("prefer", "wait=10"),
    ];
    let list = async |query: &str| api.get_with(&format!("projects?{query}"), &fresh).await;
    let names = |answer: &Value| -> Vec<String> {
        let projects = answer["projects"].as_array().unwrap().iter();
        projects
            .map(|project| project["key"].as_str().unwrap().to_owned())
            .collect()
    };

    let failed = list("state=failed").await.json();
    assert_eq!(names(&failed).len(), 4);
    let both = list("state=failed,closed").await.json();
    assert_eq!(names(&both).len(), 5);
    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = list(&format!("sort=name&limit=2{cursor}")).await.json();
        paged.extend(names(&page));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    keys.sort();
    assert_eq!(paged, keys);
    let turned = names(&list("sort=-name").await.json());
    assert!(turned.iter().eq(keys.iter().rev()), "{turned:?}");
    for query in [
        "sort=size",
        "limit=0",
        "limit=5000",
        "cursor=x",
        "color=red",
        "unsaved=perhaps",
    ] {
        let (status, _) = list(query).await.problem();
        assert_eq!(status, 400, "{query}");
    }
    let (status, _) = api.get("projections?color=red").await.problem();
    assert_eq!(status, 400);
    let workspaces = api.get("workspaces").await;
    assert_eq!(workspaces.status, 200, "{workspaces:?}");
    let activity = api.get("activity").await.json();
    let opened = activity["activity"].as_array().unwrap().iter();
    let opened: i64 = opened.map(|day| day["opened"].as_i64().unwrap()).sum();
    assert_eq!(opened, 5);
}

#[tokio::test]
async fn single_items_in_sqlite_are_sent_once_to_who_has_them() {
    are_sent_once(Settings::new(Runtime::Process)).await;
}

#[tokio::test]
async fn single_items_in_postgres_are_sent_once_to_who_has_them() {
    let server = Postgres::start();
    are_sent_once(Settings::new(Runtime::Process).with_read_models(&server.url())).await;
}

async fn are_sent_once(settings: Settings) {
    let repository = LocalRepository::plain();
    let firefly = Firefly::start_with(settings).await;
    let api = firefly.api().await;
    let project = api.open_ready(&repository.source()).await;
    let path = format!("projects/{}", project["key"].as_str().unwrap());
    let sessions = api.get("sessions").await.json();
    let session = sessions["sessions"][0]["id"].as_str().unwrap().to_owned();
    let position = project["position"].to_string();
    let seen = [("firefly-min-position", &*position), ("prefer", "wait=10")];
    for (item, field, value) in [
        (path.clone(), "state", "ready"),
        (format!("{path}/workspace"), "state", "present"),
        (format!("{path}/containers/1"), "state", "running"),
        (format!("sessions/{session}"), "id", &*session),
    ] {
        let first = api.get_with(&item, &seen).await;
        assert_eq!(first.status, 200, "{item}: {}", first.text);
        assert_eq!(first.json()[field], value, "{item}");
        let tag = first.header("etag").to_owned();
        let again = api.get_with(&item, &[("if-none-match", &tag)]).await;
        assert_eq!((again.status, &*again.text), (304, ""), "{item}");
        let other = api
            .get_with(&item, &[("if-none-match", "\"rev-999\"")])
            .await;
        assert_eq!(other.status, 200, "{item}");
    }
    for (item, code) in [
        (format!("{path}/containers/2"), "container-not-found"),
        (
            "projects/local/never/seen/workspace".to_owned(),
            "workspace-not-found",
        ),
    ] {
        let missing = api.get(&item).await;
        assert_eq!(
            (missing.status, &missing.json()["code"]),
            (404, &code.into()),
            "{item}"
        );
    }
    let malformed = api.get(&format!("{path}/containers/first")).await;
    assert_eq!(malformed.status, 400, "{}", malformed.text);
}
