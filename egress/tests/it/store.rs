//! What is on the disk: after a restart, after a kill, damaged, and at its bound.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use firefly_egress::{Config, Policy};
use http::StatusCode;

use crate::registry::Registry;
use crate::support::{Running, config, soon};

const PATH: &str = "a/-/a-1.0.0.tgz";

fn over(registry: &Registry, policy: Policy, cache: &Path) -> Config {
    let mut config = config(policy, cache);
    config.registry = registry.base();
    config
}

/// How an answer was come by, and what it is.
async fn get(egress: &Running, path: &str) -> (String, Bytes) {
    let answer = soon(egress.npm(path).send()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    let how = answer.headers()["firefly-cache"]
        .to_str()
        .unwrap()
        .to_owned();
    (how, soon(answer.bytes()).await.unwrap())
}

fn entries(cache: &Path) -> Vec<PathBuf> {
    let directories = fs::read_dir(cache.join("entries")).unwrap();
    directories
        .flat_map(|directory| fs::read_dir(directory.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .collect()
}

/// The entry that begins with these bytes.
fn entry_of(cache: &Path, content: &[u8]) -> PathBuf {
    let begins = |path: &PathBuf| fs::read(path).unwrap().starts_with(content);
    entries(cache).into_iter().find(begins).unwrap()
}

#[tokio::test]
async fn a_restart_finds_what_was_kept_and_needs_no_registry_for_it() {
    let (registry, cache) = (Registry::start().await, tempfile::tempdir().unwrap());
    registry.publish("a", "1.0.0", b"files");
    let egress = Running::start(over(&registry, Policy::RegistriesAndGit, cache.path())).await;
    let document = get(&egress, "a").await.1;
    get(&egress, PATH).await;
    egress.stop().await;
    let asked = registry.asked_in_all();

    let mut closed = over(&registry, Policy::None, cache.path());
    closed.limits.fresh = Duration::ZERO;
    let egress = Running::start(closed).await;
    assert_eq!(get(&egress, "a").await, ("stale".into(), document));
    assert_eq!(get(&egress, PATH).await, ("hit".into(), "files".into()));
    for absent in ["b", "a/-/a-2.0.0.tgz", "a/latest"] {
        let answer = egress.npm(absent).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        let said = answer.text().await.unwrap();
        assert!(said.contains("projects have no network here"), "{said}");
    }
    assert_eq!(registry.asked_in_all(), asked);
    egress.stop().await;

    // What is kept of one registry is not what another one has.
    let other = Registry::start().await;
    let egress = Running::start(over(&other, Policy::RegistriesAndGit, cache.path())).await;
    let absent = egress.npm(PATH).send().await.unwrap();
    assert_eq!(absent.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_kill_in_the_middle_leaves_nothing_half() {
    let (registry, cache) = (Registry::start().await, tempfile::tempdir().unwrap());
    registry.publish("a", "1.0.0", b"files and more files");
    let egress = Running::start(over(&registry, Policy::RegistriesAndGit, cache.path())).await;
    let script = registry.script(PATH, Some(20));
    script.send(Ok("files and ".into())).unwrap();
    let answer = soon(egress.npm(PATH).send()).await.unwrap();
    egress.stop().await;
    assert!(soon(answer.bytes()).await.is_err(), "it is broken off");
    assert!(
        entries(cache.path())
            .iter()
            .all(|path| !fs::read(path).unwrap().starts_with(b"files"))
    );
    // What only a kill could leave.
    let draft = cache.path().join("drafts/.tmpleft");
    fs::write(&draft, "files and ").unwrap();

    let egress = Running::start(over(&registry, Policy::RegistriesAndGit, cache.path())).await;
    assert!(!draft.exists());
    assert_eq!(
        get(&egress, PATH).await,
        ("miss".into(), "files and more files".into())
    );
}

#[tokio::test]
async fn damage_is_noticed_and_mended() {
    let (registry, cache) = (Registry::start().await, tempfile::tempdir().unwrap());
    registry.publish("a", "1.0.0", b"files");
    let damages: [fn(&File); 4] = [
        |file| file.write_all_at(b"F", 0).unwrap(),
        |file| file.set_len(20).unwrap(),
        |file| file.set_len(0).unwrap(),
        |file| {
            file.write_all_at(b"?", file.metadata().unwrap().len() - 20)
                .unwrap()
        },
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        let egress = Running::start(over(&registry, Policy::RegistriesAndGit, cache.path())).await;
        get(&egress, PATH).await;
        assert_eq!(get(&egress, PATH).await.0, "hit");
        egress.stop().await;
        damage(
            &File::options()
                .write(true)
                .open(entry_of(cache.path(), b"files"))
                .unwrap(),
        );
        let egress = Running::start(over(&registry, Policy::RegistriesAndGit, cache.path())).await;
        assert_eq!(
            get(&egress, PATH).await,
            ("miss".into(), "files".into()),
            "damage {number}"
        );
        egress.stop().await;
    }
    // While it runs, a file that is gone or too short is noticed too.
    let egress = Running::start(over(&registry, Policy::RegistriesAndGit, cache.path())).await;
    assert_eq!(get(&egress, PATH).await.0, "hit");
    fs::remove_file(entry_of(cache.path(), b"files")).unwrap();
    assert_eq!(get(&egress, PATH).await.0, "miss");
    File::options()
        .write(true)
        .open(entry_of(cache.path(), b"files"))
        .unwrap()
        .set_len(3)
        .unwrap();
    assert_eq!(get(&egress, PATH).await.0, "miss");
}

#[tokio::test]
async fn what_was_not_used_for_the_longest_time_makes_room() {
    let (registry, cache) = (Registry::start().await, tempfile::tempdir().unwrap());
    let names: Vec<String> = (0..8).map(|number| format!("p{number}")).collect();
    for name in &names {
        registry.publish(name, "1.0.0", &[name.as_bytes(), &[0; 7_000]].concat());
    }
    let tarball = |name: &str| format!("{name}/-/{name}-1.0.0.tgz");
    let mut small = over(&registry, Policy::RegistriesAndGit, cache.path());
    // Six tarballs of two blocks and their documents of one, and no more.
    small.cache_bytes = 6 * 3 * 4_096;
    let egress = Running::start(small.clone()).await;
    for name in &names[..6] {
        get(&egress, &tarball(name)).await;
    }
    get(&egress, &tarball("p0")).await;
    get(&egress, &tarball("p6")).await;
    let on_disk = |path: &PathBuf| fs::metadata(path).unwrap().len().next_multiple_of(4_096);
    let kept: u64 = entries(cache.path()).iter().map(on_disk).sum();
    assert!(kept <= small.cache_bytes, "{kept} bytes are kept");
    assert_eq!(
        get(&egress, &tarball("p0")).await.0,
        "hit",
        "it was used again"
    );
    assert_eq!(get(&egress, &tarball("p1")).await.0, "miss", "it was not");
    egress.stop().await;
    // A smaller bound holds from the start.
    small.cache_bytes = 3 * 4_096;
    let egress = Running::start(small).await;
    let kept: u64 = entries(cache.path()).iter().map(on_disk).sum();
    assert!(kept <= 3 * 4_096, "{kept} bytes are kept");
    egress.stop().await;
}
