//! The rules of the house that a machine can check: who may use whom and what, and what no file may hold.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The edges between our own crates. Nothing else is allowed: services meet in the log and in the read models only.
const MAY_USE: [(&str, &[&str]); 14] = [
    ("firefly-domain", &[]),
    ("firefly-event-store", &["firefly-domain"]),
    ("firefly-identity", &["firefly-domain"]),
    ("firefly-read-models", &[]),
    ("firefly-web", &["firefly-domain", "firefly-identity"]),
    ("firefly-endpoint", &["firefly-domain"]),
    (
        "firefly-command-api",
        &[
            "firefly-domain",
            "firefly-event-store",
            "firefly-identity",
            "firefly-read-models",
            "firefly-web",
        ],
    ),
    (
        "firefly-projector",
        &[
            "firefly-domain",
            "firefly-event-store",
            "firefly-read-models",
        ],
    ),
    (
        "firefly-reactor",
        &[
            "firefly-domain",
            "firefly-endpoint",
            "firefly-event-store",
            "firefly-identity",
        ],
    ),
    (
        "firefly-query-api",
        &[
            "firefly-domain",
            "firefly-event-store",
            "firefly-identity",
            "firefly-read-models",
            "firefly-web",
        ],
    ),
    (
        "firefly-gateway",
        &["firefly-domain", "firefly-endpoint", "firefly-web"],
    ),
    ("firefly-egress", &[]),
    ("firefly-project-server", &["firefly-domain"]),
    (
        "firefly",
        &[
            "firefly-command-api",
            "firefly-domain",
            "firefly-egress",
            "firefly-event-store",
            "firefly-gateway",
            "firefly-identity",
            "firefly-project-server",
            "firefly-projector",
            "firefly-query-api",
            "firefly-reactor",
            "firefly-read-models",
            "firefly-web",
        ],
    ),
];

/// Libraries that stay behind one wall each.
const ONLY_IN: [(&str, &[&str]); 7] = [
    ("eventstore", &["firefly-event-store"]),
    ("rusqlite", &["firefly-event-store", "firefly-bench"]),
    ("bollard", &["firefly-reactor"]),
    ("gix", &["firefly-project-server"]),
    (
        "sqlx",
        &[
            "firefly-event-store",
            "firefly-read-models",
            "firefly-bench",
        ],
    ),
    ("jsonwebtoken", &["firefly-identity"]),
    ("clap", &["firefly", "firefly-bench"]),
];

/// What the domain may use: plain data, no IO, no clock, no randomness, no `async`.
const DOMAIN_MAY_USE: [&str; 3] = ["serde", "thiserror", "uuid"];

/// A file longer than this is asked whether it holds one idea.
const FILE_LINES_MAX: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// The normal and build dependencies of our crates; what only tests use is free.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names = |package: &Value| -> BTreeSet<String> {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let used = dependencies.filter(|dependency| dependency["kind"] != "dev");
        used.map(|dependency| dependency["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| (package["name"].as_str().unwrap().to_owned(), names(package)))
        .collect()
}

/// The files that git keeps, or would keep.
fn files() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "git does not list the files");
    let files = String::from_utf8(output.stdout).unwrap();
    files
        .lines()
        .map(|file| root().join(file))
        .filter(|file| file.is_file())
        .collect()
}

fn rust_files() -> Vec<(PathBuf, String)> {
    let rust = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "rs");
    files()
        .into_iter()
        .filter(rust)
        .map(|file| (file.clone(), std::fs::read_to_string(file).unwrap()))
        .collect()
}

/// Words that say that something is not done; spelt so that this file does not hold them.
fn unfinished() -> [String; 3] {
    [["TO", "DO"], ["FIX", "ME"], ["X", "XX"]].map(|parts| parts.concat())
}

#[test]
fn our_crates_use_each_other_only_as_agreed() {
    let dependencies = dependencies();
    for (name, may_use) in MAY_USE {
        let used: BTreeSet<&str> = dependencies[name]
            .iter()
            .map(String::as_str)
            .filter(|used| used.starts_with("firefly"))
            .collect();
        let allowed: BTreeSet<&str> = may_use.iter().copied().collect();
        assert!(
            used.is_subset(&allowed),
            "{name} uses {:?}",
            used.difference(&allowed)
        );
    }
    let known: BTreeSet<&str> = MAY_USE
        .iter()
        .map(|(name, _)| *name)
        .chain(["firefly-tests", "firefly-bench"])
        .collect();
    let all: BTreeSet<&str> = dependencies.keys().map(String::as_str).collect();
    assert_eq!(
        all, known,
        "a crate is missing from the agreement, or is no more"
    );
}

#[test]
fn libraries_stay_behind_their_walls() {
    for (name, dependencies) in dependencies() {
        for (library, allowed) in ONLY_IN {
            let breach = dependencies.contains(library) && !allowed.contains(&name.as_str());
            assert!(
                !breach || name == "firefly-tests",
                "{name} uses {library}, which belongs to {allowed:?}"
            );
        }
    }
    let domain = &dependencies()["firefly-domain"];
    assert!(
        domain
            .iter()
            .all(|used| DOMAIN_MAY_USE.contains(&used.as_str())),
        "{domain:?}"
    );
}

#[test]
fn the_domain_reads_no_clock_and_makes_up_no_ids() {
    let ambient = [
        "Utc::now",
        "SystemTime::now",
        "Instant::now",
        "new_v4",
        "now_v7",
        "async fn",
        "std::fs",
        "std::env",
    ];
    for (file, text) in rust_files()
        .into_iter()
        .filter(|(file, _)| file.starts_with(root().join("domain")))
    {
        let found = ambient.iter().find(|word| text.contains(**word));
        assert!(found.is_none(), "{} has {}", file.display(), found.unwrap());
    }
}

#[test]
fn no_file_is_left_unfinished_or_grows_without_end() {
    for (file, text) in rust_files() {
        let shown = file.strip_prefix(root()).unwrap().display();
        assert!(
            text.lines().count() <= FILE_LINES_MAX,
            "{shown} has more than {FILE_LINES_MAX} lines"
        );
        let word = unfinished()
            .into_iter()
            .find(|word| text.contains(word.as_str()));
        assert!(word.is_none(), "{shown} says {}", word.unwrap());
        let ignored = text.contains(concat!("#[", "ignore"));
        assert!(!ignored, "{shown} leaves a test out");
    }
}

#[test]
fn the_client_is_as_tidy_and_needs_no_other_package() {
    let client = root().join("clients/filament");
    let made = client.join("src/openapi.ts");
    let sources: Vec<PathBuf> = files()
        .into_iter()
        .filter(|file| file.starts_with(&client) && *file != made)
        .filter(|file| {
            file.extension()
                .is_some_and(|extension| extension == "ts" || extension == "js")
        })
        .collect();
    assert!(sources.len() > 10, "only {sources:?} are there");
    for file in sources {
        let text = std::fs::read_to_string(&file).unwrap();
        let shown = file.display();
        assert!(
            text.starts_with("// "),
            "{shown} does not begin with what it is for"
        );
        assert!(
            text.lines().count() <= FILE_LINES_MAX,
            "{shown} has more than {FILE_LINES_MAX} lines"
        );
        let word = unfinished()
            .into_iter()
            .find(|word| text.contains(word.as_str()));
        assert!(word.is_none(), "{shown} says {}", word.unwrap());
    }
    let package = std::fs::read_to_string(client.join("package.json")).unwrap();
    let package: Value = serde_json::from_str(&package).unwrap();
    for kind in ["dependencies", "peerDependencies", "optionalDependencies"] {
        assert!(package.get(kind).is_none(), "the client has {kind}");
    }
    let versions = package["devDependencies"].as_object().unwrap();
    for (name, version) in versions {
        let version = version.as_str().unwrap();
        let is_exact = version.starts_with(|c: char| c.is_ascii_digit());
        assert!(is_exact, "the version of {name} is not one, but {version}");
    }
}

#[test]
fn every_module_says_why_it_is_there() {
    for (file, text) in rust_files() {
        assert!(
            text.starts_with("//!"),
            "{} does not begin with a module comment",
            file.display()
        );
    }
}
