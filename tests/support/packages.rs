//! What the starter template needs, from npm's registry, once for all tests of a machine, so that only those that are about the
//! network wait for it.
//!
//! It is there as each runtime keeps it: as Firefly's package cache for containers, as npm's own cache for child processes.
//! Each Firefly gets a copy, since a shared one would let tests meet in it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use firefly_egress::{Config, Egress, Policy};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::Runtime;
use crate::cached::{directory, run};
use crate::firefly::USER;

const PACKAGE_JSON: &str = include_str!("../../project-server/templates/starter/package.json");

/// The cache in the directory that fills it once.
const CACHE: &str = "cache";

/// Puts a warm cache into a data directory that is still empty.
pub(crate) fn warm(data: &Path, runtime: Runtime) {
    let (filled, place) = match runtime {
        Runtime::Docker => (directory("packages", fill_ours), data.join("packages")),
        Runtime::Process => (
            directory("npm-cache", fill_npms),
            data.join("npm").join(USER),
        ),
    };
    let parent = place.parent().expect("a cache is in a data directory");
    std::fs::create_dir_all(parent).expect("a data directory can be written");
    run(Command::new("cp")
        .args(["--recursive", "--reflink=auto"])
        .arg(filled.join(CACHE))
        .arg(place));
}

fn fill_npms(home: &Path) {
    install(home, &home.join(CACHE), None);
}

/// Installs through a cache like Firefly's.
fn fill_ours(home: &Path) {
    let home = home.to_owned();
    // Tests are on a runtime already, which waits for this one.
    let filled = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
        runtime.block_on(serve_while_installing(home));
    });
    filled.join().expect("the packages are installed");
}

async fn serve_while_installing(home: PathBuf) {
    let mut config = Config::new(Policy::RegistriesAndGit, home.join(CACHE));
    config.further_roots = std::env::var_os("NODE_EXTRA_CA_CERTS").map(Into::into);
    let egress = Egress::build(config).await.expect("a cache can be made");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port is free");
    let address = listener
        .local_addr()
        .expect("a bound socket has an address");
    let shutdown = CancellationToken::new();
    let served = tokio::spawn(egress.run(listener, shutdown.clone()));
    let installed = tokio::task::spawn_blocking(move || {
        install(&home, &home.join("npm-cache"), Some(address));
    });
    installed.await.expect("npm installs what is needed");
    shutdown.cancel();
    served
        .await
        .expect("a task ends")
        .expect("the cache serves until then");
}

/// A real installation of what the starter template needs, from a registry that is given or the usual one.
fn install(home: &Path, cache: &Path, registry: Option<SocketAddr>) {
    let project = home.join("project");
    std::fs::create_dir(&project).expect("a directory can be made");
    std::fs::write(project.join("package.json"), PACKAGE_JSON).expect("a file can be written");
    let mut npm = Command::new("npm");
    npm.args([
        "install",
        "--install-strategy=nested",
        "--no-audit",
        "--no-fund",
        "--cache",
    ])
    .arg(cache)
    .current_dir(project);
    if let Some(address) = registry {
        npm.arg(format!("--registry=http://{address}/npm/"))
            .env("NO_PROXY", Ipv4Addr::LOCALHOST.to_string());
    }
    run(&mut npm);
}
