//! The npm of this machine and its real registry: what is installed once is installed again without asking anybody.

use std::path::Path;
use std::process::{Command, Output};

use firefly_egress::{Config, Policy};
use tokio::task::spawn_blocking;

use crate::support::Running;

const PACKAGE_JSON: &str = r#"{"name":"app","version":"1.0.0","dependencies":{"is-odd":"3.0.1","@sindresorhus/is":"4.6.0"}}"#;

fn real(policy: Policy, cache: &Path) -> Config {
    let mut config = Config::new(policy, cache);
    config.further_roots = std::env::var_os("NODE_EXTRA_CA_CERTS").map(Into::into);
    config
}

/// Runs npm in a directory, with an empty cache of its own and nobody's settings.
async fn npm(egress: &Running, directory: &Path, command: &'static str) -> Output {
    let (address, directory) = (egress.address, directory.to_owned());
    let run = move || {
        let _ = std::fs::remove_dir_all(directory.join(".cache"));
        Command::new("npm")
            .args([
                command,
                "--no-audit",
                "--no-fund",
                "--no-update-notifier",
                "--package-lock=true",
            ])
            .arg(format!("--registry=http://{address}/npm/"))
            .arg(format!("--cache={}", directory.join(".cache").display()))
            .arg(format!(
                "--userconfig={}",
                directory.join(".npmrc").display()
            ))
            .arg(format!(
                "--globalconfig={}",
                directory.join("npmrc").display()
            ))
            .env("HTTPS_PROXY", format!("http://{address}"))
            .env("HTTP_PROXY", format!("http://{address}"))
            .env("NO_PROXY", "127.0.0.1,localhost")
            .current_dir(directory)
            .output()
            .unwrap()
    };
    spawn_blocking(run).await.unwrap()
}

fn installed(output: &Output, directory: &Path) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for name in ["is-odd", "is-number", "@sindresorhus/is"] {
        let package = directory
            .join("node_modules")
            .join(name)
            .join("package.json");
        assert!(package.exists(), "{name} is not installed: {said}");
    }
}

#[tokio::test]
async fn a_second_installation_asks_nobody() {
    let home = tempfile::tempdir().unwrap();
    let cache = home.path().join("cache");
    let [first, second] = ["first", "second"].map(|name| home.path().join(name));
    for project in [&first, &second] {
        std::fs::create_dir(project).unwrap();
        std::fs::write(project.join("package.json"), PACKAGE_JSON).unwrap();
    }
    let egress = Running::start(real(Policy::RegistriesAndGit, &cache)).await;
    installed(&npm(&egress, &first, "install").await, &first);
    egress.stop().await;

    // Nobody can be asked under this policy.
    let egress = Running::start(real(Policy::None, &cache)).await;
    installed(&npm(&egress, &second, "install").await, &second);
    // A lock file names the registry that everybody has, so it is of use to everybody.
    let lock = std::fs::read_to_string(second.join("package-lock.json")).unwrap();
    assert!(
        lock.contains("https://registry.npmjs.org/is-odd/-/is-odd-3.0.1.tgz"),
        "{lock}"
    );
    assert!(!lock.contains("127.0.0.1"), "{lock}");
    installed(&npm(&egress, &second, "ci").await, &second);

    // And what it has not got it says, where people read it.
    std::fs::write(
        first.join("package.json"),
        r#"{"dependencies":{"left-pad":"1.3.0"}}"#,
    )
    .unwrap();
    let failed = npm(&egress, &first, "install").await;
    let said = String::from_utf8_lossy(&failed.stderr);
    assert!(!failed.status.success());
    assert!(said.contains("Firefly has no copy of left-pad"), "{said}");
    egress.stop().await;
}
