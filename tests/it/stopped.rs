//! A projection that stopped is told of wherever somebody looks, and helped on; so is a rebuild at work.

use std::collections::BTreeMap;

use firefly_tests::firefly::Said;
use firefly_tests::{Browser, Firefly, Runtime, Settings, wait_for};
use prometheus_parse::{Sample, Scrape, Value as Number};
use serde_json::{Value, json};
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

/// An event of a kind that this Firefly does not know.
const POISON: &str = "0193a6c8-7e1d-7c31-9d4b-3f5a2b1c0d9e";

/// What stops at it: everything that is about projects.
const STOPPED: [&str; 4] = ["projects", "containers", "workspaces", "activity"];

/// Lets somebody else append an event to the log, as a later version might.
async fn poison(firefly: &Firefly) {
    let data = firefly.data().display().to_string();
    let exported = firefly
        .command(&["log", "export", "--data-dir", &data])
        .await;
    let last: Value = serde_json::from_str(exported.output.lines().last().unwrap()).unwrap();
    let event = json!({
        "position": 0, "stream": "project-0193a6c8-7e1d-7c31-9d4b-000000000000", "revision": 0, "id": POISON,
        "type": "ProjectPainted", "version": 1, "recorded_at": last["recorded_at"], "actor": "anonymous",
        "correlation_id": POISON, "data": {},
    });
    let file = firefly.data().join("poison.ndjson");
    std::fs::write(&file, format!("{event}\n")).unwrap();
    let file = file.display().to_string();
    let imported = firefly
        .command(&["log", "import", &file, "--data-dir", &data])
        .await;
    assert!(imported.success, "{imported:?}");
}

async fn scrape(url: &str) -> Vec<Sample> {
    let answer = reqwest::get(format!("{url}/metrics")).await.unwrap();
    assert_eq!(answer.status(), 200);
    let kind = answer.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    let text = answer.text().await.unwrap();
    Scrape::parse(text.lines().map(|line| Ok(line.to_owned())))
        .unwrap()
        .samples
}

/// The values of a gauge or counter, by one of its labels.
fn by(samples: &[Sample], metric: &str, label: &str) -> BTreeMap<String, f64> {
    let of_it = samples.iter().filter(|sample| sample.metric == metric);
    let value = |sample: &Sample| match sample.value {
        Number::Gauge(value) | Number::Counter(value) | Number::Untyped(value) => value,
        _ => panic!("{metric} is no number"),
    };
    let name = |sample: &Sample| sample.labels.get(label).unwrap_or_default().to_owned();
    of_it.map(|sample| (name(sample), value(sample))).collect()
}

#[tokio::test]
async fn what_a_projection_cannot_take_in_is_told_of_everywhere_and_helped_on() {
    let firefly = Firefly::start(Runtime::Process).await;
    let api = firefly.api().await;
    let key = api.open("template:unknown").await;
    api.settled(&key).await;
    let browser = Browser::start().await;
    browser.go(&firefly.url()).await;
    browser
        .until_attribute("#projects > li", "data-state", "failed")
        .await;
    let quiet = by(
        &scrape(&firefly.url()).await,
        "firefly_projection_stopped",
        "projection",
    );
    assert_eq!(quiet.len(), 5, "{quiet:?}");
    assert!(quiet.values().all(|stopped| *stopped == 0.0), "{quiet:?}");

    poison(&firefly).await;
    let stopped = wait_for("the metrics to tell of it", async || {
        let samples = scrape(&firefly.url()).await;
        let stopped = by(&samples, "firefly_projection_stopped", "projection");
        (stopped.values().sum::<f64>() == 4.0).then_some((samples, stopped))
    });
    let (samples, stopped) = stopped.await;
    for name in STOPPED {
        assert_eq!(stopped[name], 1.0, "{stopped:?}");
    }
    let lag = by(&samples, "firefly_projection_lag_events", "projection");
    let waited = by(&samples, "firefly_projection_lag_seconds", "projection");
    assert!(
        lag["projects"] >= 1.0 && waited["projects"] > 0.0,
        "{lag:?} {waited:?}"
    );

    let ready = reqwest::get(format!("{}/readyz", firefly.url()))
        .await
        .unwrap();
    assert_eq!(ready.status(), 503);
    let ready = ready.text().await.unwrap();
    assert!(ready.contains("[-] projection projects"), "{ready}");
    let listed = api.get("projections").await.json();
    let builds = listed["projections"].as_array().unwrap();
    let projects = builds
        .iter()
        .find(|build| build["name"] == "projects")
        .unwrap();
    assert_eq!(projects["failed_event"], POISON);
    let Said {
        success, output, ..
    } = firefly.command(&["projections"]).await;
    assert!(
        !success && output.contains(POISON) && output.contains("ProjectPainted"),
        "{output}"
    );
    browser
        .until_text("“projects” stopped at the event at position")
        .await;
    let shown = browser.text().await;
    let skip = format!("firefly projections skip projects --event {POISON}");
    for part in [
        "ProjectPainted",
        "firefly projections retry projects",
        skip.as_str(),
    ] {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }

    for name in STOPPED {
        let skip = [
            "projections",
            "skip",
            name,
            "--event",
            POISON,
            "--reason",
            "painted by hand",
        ];
        let skipped = firefly.command(&skip).await;
        assert!(skipped.success, "{skipped:?}");
    }
    wait_for("all to go on", async || {
        let ready = reqwest::get(format!("{}/readyz", firefly.url()))
            .await
            .unwrap();
        (ready.status() == 200).then_some(())
    })
    .await;
    let samples = scrape(&firefly.url()).await;
    let stopped = by(&samples, "firefly_projection_stopped", "projection");
    assert!(
        stopped.values().all(|stopped| *stopped == 0.0),
        "{stopped:?}"
    );
    wait_for("the console to be quiet again", async || {
        (!browser.text().await.contains("stopped at the event")).then_some(())
    })
    .await;
}

/// Somebody else's rebuild, half done.
const REBUILD: &str = "INSERT INTO builds (projection, build, version, log, status, position, events, started_at, \
     updated_at, owner, owned_until) SELECT projection, 2, version, log, 'building', 1, 1, started_at, updated_at, \
     'somebody', 9223372036854775807 FROM builds WHERE projection = 'projects'";

#[tokio::test]
async fn a_rebuild_at_work_is_shown_until_it_is_over() {
    let firefly = Firefly::start(Runtime::Process).await;
    let api = firefly.api().await;
    let key = api.open("template:unknown").await;
    api.settled(&key).await;
    let file = firefly.data().join("read-models.db");
    let options = SqliteConnectOptions::new().filename(file);
    let mut read_models = options.connect().await.unwrap();
    sqlx::query(REBUILD)
        .execute(&mut read_models)
        .await
        .unwrap();

    let browser = Browser::start().await;
    browser.go(&firefly.url()).await;
    let head = api.head().await;
    let item = "#projections [data-projection=projects]";
    browser
        .until_attribute(item, "data-state", "rebuilding")
        .await;
    let shown = browser.text().await;
    assert!(
        shown.contains("“projects” is being rebuilt: 1 of "),
        "{shown}"
    );
    let max = browser.attribute("#projections progress", "max").await;
    assert!(max.parse::<u64>().unwrap() >= head, "{max}");
    let samples = scrape(&firefly.url()).await;
    let done = by(
        &samples,
        "firefly_projection_rebuild_done_events",
        "projection",
    );
    let running = by(&samples, "firefly_projection_rebuild_running", "projection");
    assert_eq!((done["projects"], running["projects"]), (1.0, 1.0));
    assert_eq!(running["sessions"], 0.0);

    let cancelled = firefly
        .command(&["projections", "cancel", "projects"])
        .await;
    assert!(cancelled.success, "{cancelled:?}");
    wait_for("the console to be quiet again", async || {
        (!browser.text().await.contains("is being rebuilt")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn every_metric_of_a_scrape_is_documented_and_names_nobody() {
    let firefly = Firefly::start(Runtime::Process).await;
    let api = firefly.api().await;
    let key = api.open("template:unknown").await;
    api.settled(&key).await;
    api.get("projects/local/template/unknown/history").await;
    api.get(&format!("no-such-thing/{key}")).await;
    reqwest::get(firefly.url()).await.unwrap();
    let samples = scrape(&firefly.url()).await;
    let page = include_str!("../../docs/metrics.md");
    for sample in &samples {
        let name = sample.metric.trim_end_matches("_sum");
        let name = name.trim_end_matches("_count");
        assert!(page.contains(&format!("| `{name}` |")), "{}", sample.metric);
        let labels = format!("{:?}", sample.labels);
        assert!(!labels.contains("unknown"), "{labels}");
    }
    let requests = by(&samples, "firefly_http_requests_total", "route");
    for route in [
        "/api/v1/projects/:user/:owner/:repo/history",
        "/api/v1/projects/open",
        "console",
        "none",
    ] {
        assert!(
            requests.contains_key(route),
            "{route} is missing in {requests:?}"
        );
    }
    let histogram = |name: &str| {
        let is_it = |sample: &&Sample| sample.metric == name;
        let is_filled = |sample: &Sample| match &sample.value {
            Number::Histogram(buckets) => buckets.iter().any(|bucket| bucket.count > 0.0),
            _ => false,
        };
        samples.iter().filter(is_it).any(is_filled)
    };
    for name in [
        "firefly_http_request_seconds",
        "firefly_log_append_seconds",
        "firefly_projection_commit_seconds",
        "firefly_projection_batch_events",
    ] {
        assert!(histogram(name), "{name} has no observations");
    }
    let appends = by(&samples, "firefly_log_appends_total", "outcome");
    assert!(appends["appended"] >= 2.0, "{appends:?}");
    assert!(by(&samples, "firefly_log_head_position", "")[""] >= 2.0);
}

#[tokio::test]
async fn metrics_are_for_this_host_or_on_an_address_of_their_own() {
    let firefly = Firefly::start(Runtime::Process).await;
    let client = reqwest::Client::new();
    let url = format!("{}/metrics", firefly.url());
    let passed_on = client.get(&url).header("x-forwarded-for", "10.0.0.1");
    let refused = passed_on.send().await.unwrap();
    assert_eq!(refused.status(), 403);
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(refused["code"], "metrics-elsewhere");
    let foreign = client
        .get(&url)
        .header("host", "example.org")
        .send()
        .await
        .unwrap();
    assert_eq!(foreign.status(), 421);

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let mut settings = Settings::new(Runtime::Process);
    let listen = ["--metrics-listen".to_owned(), address.clone()];
    settings.arguments.extend(listen);
    let _other = Firefly::start_with(settings).await;
    let samples = scrape(&format!("http://{address}")).await;
    assert_eq!(by(&samples, "firefly_build_info", "version").len(), 1);
    let nothing_else = reqwest::get(format!("http://{address}/readyz"))
        .await
        .unwrap();
    assert_eq!(nothing_else.status(), 404);

    // A preview's page and a client of another method get nothing either.
    let posted = client.post(&url).send().await.unwrap();
    assert_eq!(posted.status(), 405);
}
