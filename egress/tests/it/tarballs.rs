//! The files of packages: shared while they come, held against their hash, and passed on where they cannot be kept.

use bytes::Bytes;
use firefly_egress::{Config, Policy};
use futures::StreamExt;
use http::StatusCode;
use reqwest::Response;

use crate::registry::Registry;
use crate::support::{Running, config, soon};

const PATH: &str = "a/-/a-1.0.0.tgz";

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

/// Bytes that are not all the same.
fn files(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251) as u8).collect()
}

async fn whole(response: Response) -> Result<Bytes, reqwest::Error> {
    soon(response.bytes()).await
}

#[tokio::test]
async fn whoever_asks_while_it_comes_reads_along() {
    let (registry, cache) = (Registry::start().await, tempfile::tempdir().unwrap());
    let files = files(300_000);
    registry.publish("a", "1.0.0", &files);
    let script = registry.script(PATH, Some(files.len()));
    let egress = Running::start(over(&registry, &cache)).await;
    script
        .send(Ok(Bytes::copy_from_slice(&files[..100_000])))
        .unwrap();

    let first = soon(egress.npm(PATH).send()).await.unwrap();
    assert_eq!(first.content_length(), Some(files.len() as u64));
    let mut first = first.bytes_stream();
    let begun = soon(first.next()).await.unwrap().unwrap();
    assert!(files.starts_with(&begun), "it comes before it is whole");
    let others: Vec<Response> = soon(futures::future::join_all(
        (0..4).map(|_| async { egress.npm(PATH).send().await.unwrap() }),
    ))
    .await;
    // The one who began goes away, and it comes nevertheless.
    drop(first);
    script
        .send(Ok(Bytes::copy_from_slice(&files[100_000..])))
        .unwrap();
    drop(script);
    for other in others {
        assert_eq!(how(&other), "miss");
        assert_eq!(whole(other).await.unwrap(), files);
    }
    let later = egress.npm(PATH).send().await.unwrap();
    assert_eq!(how(&later), "hit");
    assert_eq!(
        later.headers()["cache-control"],
        "public, immutable, max-age=31557600"
    );
    assert_eq!(whole(later).await.unwrap(), files);
    assert_eq!((registry.asked(PATH), registry.asked("a")), (1, 1));
}

#[tokio::test]
async fn a_wrong_one_is_never_whole_and_never_kept() {
    let (registry, cache) = (Registry::start().await, tempfile::tempdir().unwrap());
    registry.publish("a", "1.0.0", b"right");
    registry.tamper(PATH, b"wrong");
    let egress = Running::start(over(&registry, &cache)).await;
    for asked in 1..=2 {
        let answer = egress.npm(PATH).send().await.unwrap();
        assert!(whole(answer).await.is_err(), "it is broken off");
        assert_eq!(registry.asked(PATH), asked, "it is not kept");
    }
    registry.tamper(PATH, b"right");
    let answer = egress.npm(PATH).send().await.unwrap();
    assert_eq!(whole(answer).await.unwrap(), "right");
}

#[tokio::test]
async fn one_that_is_cut_short_is_not_kept() {
    let (registry, cache) = (Registry::start().await, tempfile::tempdir().unwrap());
    registry.publish("a", "1.0.0", b"right");
    let egress = Running::start(over(&registry, &cache)).await;
    let script = registry.script(PATH, Some(5));
    script.send(Ok("rig".into())).unwrap();
    script.send(Err(std::io::Error::other("cut"))).unwrap();
    let answer = egress.npm(PATH).send().await.unwrap();
    // Depending on when the cut comes it is a refusal, or an answer that breaks off.
    let is_refused = answer.status() == StatusCode::BAD_GATEWAY;
    assert!(is_refused || whole(answer).await.is_err());
    let answer = egress.npm(PATH).send().await.unwrap();
    assert_eq!(whole(answer).await.unwrap(), "right");
}

#[tokio::test]
async fn one_without_a_hash_is_passed_on_and_not_kept() {
    let (registry, cache) = (Registry::start().await, tempfile::tempdir().unwrap());
    registry.publish("a", "1.0.0", b"files");
    registry.tamper("a/-/a-0.9.0.tgz", b"of a version that no document names");
    let egress = Running::start(over(&registry, &cache)).await;
    for asked in 1..=2 {
        let answer = egress.npm("a/-/a-0.9.0.tgz").send().await.unwrap();
        assert_eq!(
            whole(answer).await.unwrap(),
            "of a version that no document names"
        );
        assert_eq!(registry.asked("a/-/a-0.9.0.tgz"), asked);
    }
    let absent = egress.npm("a/-/a-2.0.0.tgz").send().await.unwrap();
    assert_eq!(
        (absent.status(), how(&absent).as_str()),
        (StatusCode::NOT_FOUND, "absent")
    );
}

#[tokio::test]
async fn the_path_that_npm_makes_of_a_lock_file_leads_there_too() {
    let (registry, cache) = (Registry::start().await, tempfile::tempdir().unwrap());
    registry.publish("@scope/a", "1.0.0", b"files");
    let egress = Running::start(over(&registry, &cache)).await;
    let url = format!("http://{}/@scope/a/-/a-1.0.0.tgz", egress.address);
    let answer = egress.client.get(url).send().await.unwrap();
    assert_eq!(whole(answer).await.unwrap(), "files");
    let answer = egress.npm("@scope/a/-/a-1.0.0.tgz").send().await.unwrap();
    assert_eq!(how(&answer), "hit");
}

#[tokio::test]
async fn what_cannot_be_kept_is_passed_on() {
    let (registry, cache) = (Registry::start().await, tempfile::tempdir().unwrap());
    let large = files(200_000);
    registry.publish("a", "1.0.0", &large);
    let mut config = over(&registry, &cache);
    config.cache_bytes = 100_000;
    let egress = Running::start(config).await;
    // With a length it is known at once that it is too large.
    let answer = egress.npm(PATH).send().await.unwrap();
    assert_eq!(how(&answer), "passed");
    assert_eq!(whole(answer).await.unwrap(), large);
    // Without one it turns out in the middle, and the rest comes from a second fetch, without a seam.
    let script = registry.script(PATH, None);
    script
        .send(Ok(Bytes::copy_from_slice(&large[..20_000])))
        .unwrap();
    let answer = egress.npm(PATH).send().await.unwrap();
    let mut stream = answer.bytes_stream();
    let mut got = soon(stream.next()).await.unwrap().unwrap().to_vec();
    script
        .send(Ok(Bytes::copy_from_slice(&large[20_000..])))
        .unwrap();
    drop(script);
    while let Some(chunk) = soon(stream.next()).await {
        got.extend(chunk.unwrap());
    }
    assert!(got == large, "{} bytes came", got.len());
    // A wrong one is broken off on this way too.
    registry.tamper(PATH, &files(150_000)[1..]);
    let answer = egress.npm(PATH).send().await.unwrap();
    assert!(whole(answer).await.is_err());
}

#[tokio::test]
async fn without_a_place_to_write_everything_is_passed_on() {
    let (registry, cache) = (Registry::start().await, tempfile::tempdir().unwrap());
    registry.publish("a", "1.0.0", b"files");
    let egress = Running::start(over(&registry, &cache)).await;
    std::fs::remove_dir_all(cache.path().join("drafts")).unwrap();
    let document = egress.npm("a").send().await.unwrap();
    assert_eq!(how(&document), "passed");
    let document: serde_json::Value = document.json().await.unwrap();
    let address = &document["versions"]["1.0.0"]["dist"]["tarball"];
    assert_eq!(address, "https://registry.npmjs.org/a/-/a-1.0.0.tgz");
    let answer = egress.npm(PATH).send().await.unwrap();
    assert_eq!(whole(answer).await.unwrap(), "files");
}
