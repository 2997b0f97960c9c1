//! Installs the peers: UmaDB's server by pip, message-db by npm, and the program that loads them all by cargo.
//!
//! All of it goes below the build directory, so `cargo clean` removes it. What is there already is not fetched again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::process::Command;

use super::process::output;

/// The crates' versions are those of `bench/peers/Cargo.lock`.
pub const VERSIONS: &str = "UmaDB 0.7.8 (its server, loaded through its Rust client), message-db 1.3.1, postgres-es 0.5.0, \
                            disintegrate-postgres 4.0.1";

/// The server, and the compiler of interfaces that its client's build asks for.
const PYTHON_PACKAGES: [&str; 2] = ["umadb==0.7.8", "grpcio-tools==1.85.1"];

const NPM_PACKAGE: &str = "@eventide/message-db@1.3.1";

const FETCH_TIMEOUT: Duration = Duration::from_secs(300);

/// The first build compiles some three hundred crates.
const BUILD_TIMEOUT: Duration = Duration::from_secs(1_800);

/// Where each of them is.
pub struct Installed {
    /// UmaDB's server.
    pub umadb: PathBuf,
    /// The script that makes message-db's database.
    pub message_db: PathBuf,
    /// The program that loads a peer.
    pub load: PathBuf,
}

pub async fn install() -> anyhow::Result<Installed> {
    let cache = cache()?;
    std::fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let python = cache.join("python");
    once(&python, &PYTHON_PACKAGES.join(" "), with_pip).await?;
    let node = cache.join("node");
    once(&node, NPM_PACKAGE, with_npm).await?;
    let load = build(&cache, &protoc(&cache, &python)?).await?;
    Ok(Installed {
        umadb: python.join("bin/umadb"),
        message_db: node.join("node_modules/@eventide/message-db/database/install.sh"),
        load,
    })
}

/// A directory of ours in the one that this program was built into.
fn cache() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let profile = program.parent().and_then(Path::parent);
    Ok(profile
        .context("this program is in no build directory")?
        .join("bench-peers"))
}

/// Installs into a directory unless just that has been done before.
async fn once(
    directory: &Path,
    packages: &str,
    install: impl AsyncFnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mark = directory.join("installed");
    if std::fs::read_to_string(&mark).is_ok_and(|installed| installed == packages) {
        return Ok(());
    }
    eprintln!("installing {packages}");
    if directory.exists() {
        std::fs::remove_dir_all(directory)
            .with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    install(directory).await?;
    std::fs::write(mark, packages).context("cannot mark what is installed")
}

async fn with_pip(directory: &Path) -> anyhow::Result<()> {
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(directory);
    output(venv, FETCH_TIMEOUT).await.context(
        "no environment for UmaDB's server; install python3 and its venv module (Debian: python3-venv)",
    )?;
    let mut pip = Command::new(directory.join("bin/python"));
    pip.args(["-m", "pip", "--quiet", "install"])
        .args(PYTHON_PACKAGES);
    output(pip, FETCH_TIMEOUT)
        .await
        .map(drop)
        .context("pip did not install UmaDB's server; does it reach a package index?")
}

async fn with_npm(directory: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory)?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
        .arg(directory)
        .arg(NPM_PACKAGE);
    output(npm, FETCH_TIMEOUT).await.map(drop).context(
        "npm did not install message-db; is Node installed, and does npm reach a registry?",
    )
}

/// A protoc from the Python package, so that none has to be installed on the machine.
fn protoc(cache: &Path, python: &Path) -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt;

    let file = cache.join("protoc");
    let python = python.join("bin/python");
    let script = format!(
        "#!/bin/sh\nexec '{}' -m grpc_tools.protoc \"$@\"\n",
        python.display()
    );
    // Written only when it changes, or cargo would build what depends on it again.
    if !std::fs::read_to_string(&file).is_ok_and(|there| there == script) {
        std::fs::write(&file, script).context("cannot write the script that calls protoc")?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(file)
}

async fn build(cache: &Path, protoc: &Path) -> anyhow::Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/Cargo.toml");
    if !manifest.is_file() {
        bail!(
            "{} is not there; run this from the checkout that it was built in",
            manifest.display()
        );
    }
    let target = cache.join("target");
    if !target.exists() {
        eprintln!("building the program that loads the peers; the first time takes some minutes");
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--manifest-path",
        ])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target)
        .env("PROTOC", protoc);
    output(cargo, BUILD_TIMEOUT)
        .await
        .context("the program that loads the peers was not built")?;
    Ok(target.join("release/firefly-bench-peers"))
}
