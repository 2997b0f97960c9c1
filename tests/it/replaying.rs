//! Read models are made from the log, and can be made again.

use firefly_tests::eventstoredb::{Behaviour, StandIn, free_port};
use firefly_tests::postgres::Postgres;
use firefly_tests::{Firefly, Runtime, Settings};

use crate::samples::LocalRepository;

#[tokio::test]
async fn read_models_that_were_deleted_come_back_the_same_from_sqlite() {
    come_back_the_same(Settings::new(Runtime::Process)).await;
}

#[tokio::test]
async fn read_models_that_were_deleted_come_back_the_same_from_postgres() {
    let server = Postgres::start();
    come_back_the_same(Settings::new(Runtime::Process).on_log(&server.url())).await;
}

#[tokio::test]
async fn read_models_that_were_deleted_come_back_the_same_from_an_eventstoredb_stand_in() {
    let behaviour = Behaviour {
        user: Some(("admin".into(), "a-secret".into())),
        ..Behaviour::default()
    };
    let server = StandIn::start_with(free_port(), behaviour);
    let url = format!(
        "esdb://admin:a-secret@127.0.0.1:{}?tls=false",
        server.port()
    );
    come_back_the_same(Settings::new(Runtime::Process).on_log(&url)).await;
}

async fn come_back_the_same(settings: Settings) {
    let repository = LocalRepository::plain();
    let mut firefly = Firefly::start_with(settings).await;
    let api = firefly.api().await;
    let project = api.open_ready(&repository.source()).await;
    let key = project["key"].as_str().unwrap();
    api.done(key, "close").await;
    let failed = api.open("template:unknown").await;
    api.settled(&failed).await;
    api.done(&failed, "close").await;
    let read = async || {
        let head = api.head().await.to_string();
        let fresh = [
            ("firefly-min-position", head.as_str()),
            ("prefer", "wait=10"),
        ];
        let mut answers = Vec::new();
        for path in ["projects", "sessions", "containers"] {
            let answer = api.get_with(path, &fresh).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            answers.push(answer.json());
        }
        answers
    };
    let before = read().await;
    assert_eq!(before[0]["projects"].as_array().unwrap().len(), 2);

    firefly.interrupt();
    let mut deleted = 0;
    for entry in std::fs::read_dir(firefly.data()).unwrap() {
        let entry = entry.unwrap();
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with("read-models.db")
        {
            std::fs::remove_file(entry.path()).unwrap();
            deleted += 1;
        }
    }
    assert!(deleted > 0, "there were no read models");
    firefly.restart_on_same_port().await;
    assert_eq!(read().await, before);
}
