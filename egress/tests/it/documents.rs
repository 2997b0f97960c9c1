//! The documents of packages: fresh, held against the registry's, out of date, and taken back.

use std::time::Duration;

use firefly_egress::{Config, Policy};
use http::StatusCode;
use reqwest::Response;
use serde_json::Value;

use crate::registry::Registry;
use crate::support::{Running, config, soon};

const ABBREVIATED: &str =
    "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*";

fn over(registry: &Registry, cache: &tempfile::TempDir) -> Config {
    let mut config = config(Policy::RegistriesAndGit, cache.path());
    config.registry = registry.base();
    config
}

fn how(response: &Response) -> String {
    response.headers()["firefly-cache"]
        .to_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_document_is_fetched_once_and_its_addresses_are_npms_own() {
    let (registry, cache) = (Registry::start().await, tempfile::tempdir().unwrap());
    registry.publish("@scope/a", "1.0.0", b"files");
    let egress = Running::start(over(&registry, &cache)).await;
    let first = egress.npm("@scope%2fa").send().await.unwrap();
    assert_eq!(how(&first), "miss");
    assert_eq!(first.headers()["content-type"], "application/json");
    let document: Value = first.json().await.unwrap();
    assert_eq!(
        document["versions"]["1.0.0"]["dist"]["tarball"],
        "https://registry.npmjs.org/@scope/a/-/a-1.0.0.tgz"
    );
    let second = egress.npm("@scope/a").send().await.unwrap();
    assert_eq!(how(&second), "hit");
    let etag = second.headers()["etag"].clone();
    assert_eq!(second.json::<Value>().await.unwrap(), document);
    let third = egress
        .npm("@scope/a")
        .header("if-none-match", etag)
        .send()
        .await
        .unwrap();
    assert_eq!(third.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(registry.asked_in_all(), 1);
    // Both forms are kept, each for itself.
    let short = egress
        .npm("@scope/a")
        .header("accept", ABBREVIATED)
        .send()
        .await
        .unwrap();
    assert_eq!(how(&short), "miss");
}

#[tokio::test]
async fn all_who_ask_at_once_share_one_fetch() {
    let (registry, cache) = (Registry::start().await, tempfile::tempdir().unwrap());
    let script = registry.script("a", None);
    let egress = Running::start(over(&registry, &cache)).await;
    let asking: Vec<_> = (0..8)
        .map(|_| tokio::spawn(egress.npm("a").send()))
        .collect();
    soon(async {
        while registry.asked("a") == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // One of them does not wait.
    asking[0].abort();
    script.send(Ok("{\"name\":".into())).unwrap();
    script.send(Ok("\"a\"}".into())).unwrap();
    drop(script);
    for asked in asking.into_iter().skip(1) {
        let answer = soon(asked).await.unwrap().unwrap();
        assert_eq!(answer.text().await.unwrap(), "{\"name\":\"a\"}");
    }
    assert_eq!(registry.asked("a"), 1);
}

#[tokio::test]
async fn what_is_old_is_held_against_the_registry() {
    let (registry, cache) = (Registry::start().await, tempfile::tempdir().unwrap());
    registry.set_etags();
    registry.publish("a", "1.0.0", b"files");
    let mut config = over(&registry, &cache);
    config.limits.fresh = Duration::ZERO;
    let egress = Running::start(config).await;
    egress.npm("a").send().await.unwrap();
    let same = egress.npm("a").send().await.unwrap();
    assert_eq!(
        (how(&same).as_str(), registry.not_modified()),
        ("revalidated", 1)
    );
    assert_eq!(same.json::<Value>().await.unwrap()["name"], "a");
    registry.publish("a", "2.0.0", b"more files");
    let changed = egress.npm("a").send().await.unwrap();
    assert_eq!(how(&changed), "miss");
    assert!(changed.json::<Value>().await.unwrap()["versions"]["2.0.0"].is_object());
}

#[tokio::test]
async fn what_is_old_will_do_while_the_registry_is_down() {
    let (registry, cache) = (Registry::start().await, tempfile::tempdir().unwrap());
    registry.publish("a", "1.0.0", b"files");
    let mut config = over(&registry, &cache);
    config.limits.fresh = Duration::ZERO;
    let egress = Running::start(config).await;
    egress.npm("a").send().await.unwrap();
    registry.set_down(true);
    let stale = egress.npm("a").send().await.unwrap();
    assert_eq!(
        (stale.status(), how(&stale).as_str()),
        (StatusCode::OK, "stale")
    );
    assert_eq!(
        stale.headers()["warning"],
        "110 firefly \"Response is Stale\""
    );
    let unknown = egress.npm("b").send().await.unwrap();
    assert_eq!(unknown.status(), StatusCode::BAD_GATEWAY);
    let said = unknown.json::<Value>().await.unwrap();
    assert_eq!(
        said["error"],
        "Firefly cannot get b: the registry answers 503 Service Unavailable"
    );
}

#[tokio::test]
async fn a_registry_that_is_out_of_reach_is_left_alone_for_a_while() {
    let (registry, cache) = (Registry::start().await, tempfile::tempdir().unwrap());
    registry.publish("a", "1.0.0", b"files");
    let mut config = over(&registry, &cache);
    config.limits.fresh = Duration::ZERO;
    config.limits.registry_pause = Duration::from_secs(600);
    let egress = Running::start(config).await;
    egress.npm("a").send().await.unwrap();
    registry.refuse_connections().await;
    let unknown = egress.npm("b").send().await.unwrap();
    assert_eq!(unknown.status(), StatusCode::BAD_GATEWAY);
    registry.accept_connections().await;
    let stale = egress.npm("a").send().await.unwrap();
    assert_eq!((how(&stale).as_str(), registry.asked("a")), ("stale", 1));
    // What is not there is asked for all the same, and then the registry is known to be back.
    registry.publish("c", "1.0.0", b"files");
    assert_eq!(how(&egress.npm("c").send().await.unwrap()), "miss");
    assert_eq!(how(&egress.npm("a").send().await.unwrap()), "miss");
}

#[tokio::test]
async fn what_is_taken_back_is_gone() {
    let (registry, cache) = (Registry::start().await, tempfile::tempdir().unwrap());
    registry.publish("a", "1.0.0", b"files");
    let mut config = over(&registry, &cache);
    config.limits.fresh = Duration::ZERO;
    let egress = Running::start(config).await;
    egress.npm("a").send().await.unwrap();
    registry.withdraw("a");
    let gone = egress.npm("a").send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
    registry.set_down(true);
    let gone = egress.npm("a").send().await.unwrap();
    assert_eq!(
        gone.status(),
        StatusCode::BAD_GATEWAY,
        "it is not served from the cache either"
    );
}

#[tokio::test]
async fn what_is_no_document_is_not_kept() {
    let (registry, cache) = (Registry::start().await, tempfile::tempdir().unwrap());
    let egress = Running::start(over(&registry, &cache)).await;
    for wrong in ["<html>", "{\"name\":", ""] {
        registry.script("a", None).send(Ok(wrong.into())).unwrap();
        let answer = egress.npm("a").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_GATEWAY, "{wrong}");
    }
    registry.publish("a", "1.0.0", b"files");
    assert_eq!(how(&egress.npm("a").send().await.unwrap()), "miss");
}

#[tokio::test]
async fn nothing_but_reading_is_served_and_no_credentials_are_passed_on() {
    let (registry, cache) = (Registry::start().await, tempfile::tempdir().unwrap());
    registry.publish("a", "1.0.0", b"files");
    let egress = Running::start(over(&registry, &cache)).await;
    let at = |path: &str| format!("http://{}{path}", egress.address);
    let put = egress
        .client
        .put(at("/npm/a"))
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(put.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(put.headers()["allow"], "GET, HEAD");
    let body = egress.npm("a").body("{}").send().await.unwrap();
    assert_eq!(body.status(), StatusCode::BAD_REQUEST);
    let audit = egress
        .client
        .post(at("/npm/-/npm/v1/security/advisories/bulk"))
        .body("{}");
    assert_eq!(audit.send().await.unwrap().status(), StatusCode::NOT_FOUND);
    let ping = egress.npm("-/ping").send().await.unwrap();
    assert_eq!(ping.status(), StatusCode::OK);
    for path in [
        "..%2f..%2fetc/passwd",
        "a/-/..%2f..%2fx.tgz",
        ".git",
        "a/b/c",
    ] {
        assert_eq!(
            egress.npm(path).send().await.unwrap().status(),
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    assert_eq!(registry.asked_in_all(), 0);
    egress.npm("a").bearer_auth("secret").send().await.unwrap();
    egress
        .npm("a/-/a-1.0.0.tgz")
        .bearer_auth("secret")
        .send()
        .await
        .unwrap();
    assert_eq!((registry.asked_in_all(), registry.authorized()), (2, 0));
    let head = egress.client.head(at("/npm/a")).send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    assert_ne!(head.headers()["content-length"], "0");
    assert!(head.bytes().await.unwrap().is_empty());
}
