//! Two projects of one Firefly in containers: the attacker, and the one that must not notice.

use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use firefly_tests::{Answer, Api, Firefly, Runtime, Settings, docker};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::samples::LocalRepository;

/// What only the victim's page says.
pub const SECRET_PAGE: &str = "For nobody else";

const VICTIM: &[(&str, &str)] = &[("index.html", "<!DOCTYPE html><p>For nobody else</p>")];

/// Its install script runs when it is opened.
const ATTACKER: &[(&str, &str)] = &[
    ("index.html", "<!DOCTYPE html><p>Innocent</p>"),
    (
        "package.json",
        r#"{"name": "attacker", "scripts": {"install": "env > environment.txt"}}"#,
    ),
];

/// Between two looks at the victim's page.
const WATCH_INTERVAL: Duration = Duration::from_millis(50);

pub struct Stage {
    pub firefly: Firefly,
    pub api: Api,
    pub attacker: Value,
    pub victim: Value,
    containers: [String; 2],
    stop: CancellationToken,
    watch: JoinHandle<Watched>,
}

/// What was seen of the victim's page.
struct Watched {
    good: usize,
    bad: Vec<Answer>,
}

impl Stage {
    /// Opens both, and watches one of them from then on.
    pub async fn set(arguments: &[&str]) -> Self {
        let mut settings = Settings::new(Runtime::Docker).cold().apart();
        let arguments = arguments.iter().map(|it| (*it).to_owned());
        settings.arguments.extend(arguments);
        let repositories = [("attacker", ATTACKER), ("victim", VICTIM)]
            .map(|(name, files)| LocalRepository::with(name, files));
        let firefly = Firefly::start_with(settings).await;
        let api = firefly.api().await;
        let [attacker, victim] = repositories.each_ref().map(LocalRepository::source);
        let (attacker, victim) = (
            api.open_ready(&attacker).await,
            api.open_ready(&victim).await,
        );
        let container = |project: &Value| {
            docker::container_of(&firefly.instance(), project["id"].as_str().unwrap())
        };
        let containers = [&attacker, &victim].map(container);
        let stop = CancellationToken::new();
        let page = format!("{}/index.html", victim["key"].as_str().unwrap());
        let watch = tokio::spawn(watch(api.clone(), page, stop.clone()));
        Self {
            firefly,
            api,
            attacker,
            victim,
            containers,
            stop,
            watch,
        }
    }

    /// Runs a program of node with one argument in the attacker's container.
    pub async fn node(&self, program: &str, argument: &Value) -> Output {
        let argument = argument.to_string();
        docker::exec(&self.containers[0], &["node", "-e", program, &argument]).await
    }

    /// Runs a line of a shell there.
    pub async fn sh(&self, line: &str) -> Output {
        docker::exec(&self.containers[0], &["sh", "-c", line]).await
    }

    /// Tries to reach something from there; each attempt with how it ended.
    pub async fn knock(&self, attempts: &[Value]) -> Vec<(Value, String)> {
        let argument = json!({"attempts": attempts, "proxyPort": super::PROXY_PORT});
        let said = self.node(super::KNOCK, &argument).await;
        let ends: Vec<String> = serde_json::from_slice(&said.stdout)
            .unwrap_or_else(|error| panic!("{error}: {said:?}"));
        assert_eq!(ends.len(), attempts.len());
        attempts.iter().cloned().zip(ends).collect()
    }

    /// Many requests for the attacker's page at once.
    pub async fn burst(&self, count: usize) -> Vec<Answer> {
        let page = format!("{}/index.html", self.attacker["key"].as_str().unwrap());
        join_all((0..count).map(|_| self.api.preview(&page, &[]))).await
    }

    /// The run directory of a project's container, on this host.
    pub fn container_directory(&self, project: &Value) -> PathBuf {
        let index = usize::from(project["id"] == self.victim["id"]);
        docker::mounted(&self.containers[index], "/run/firefly")
    }

    /// The victim has answered all the time, in the container that it had.
    pub async fn undisturbed(self) {
        self.stop.cancel();
        let watched = self.watch.await.unwrap();
        assert!(watched.bad.is_empty(), "{:?}", watched.bad);
        assert!(watched.good > 0);
        let project = self.api.project(self.victim["key"].as_str().unwrap()).await;
        assert_eq!(project["state"], "ready", "{project:#}");
        assert_eq!(project["generation"], self.victim["generation"]);
        let id = self.victim["id"].as_str().unwrap();
        let container = docker::container_of(&self.firefly.instance(), id);
        assert_eq!(container, self.containers[1]);
    }
}

async fn watch(api: Api, page: String, stop: CancellationToken) -> Watched {
    let mut watched = Watched {
        good: 0,
        bad: Vec::new(),
    };
    let mut ticks = tokio::time::interval(WATCH_INTERVAL);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let answer = api.preview(&page, &[]).await;
        if answer.status == 200 && answer.text.contains(SECRET_PAGE) {
            watched.good += 1;
        } else {
            watched.bad.push(answer);
        }
    }
    watched
}
