//! The floor: the same image under the same limits, started without Firefly.

use std::process::Stdio;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::engine::Engine;

/// How long one run may take.
const RUN_TIMEOUT: Duration = Duration::from_secs(60);

/// The limits that `firefly up` gives a container unless it is told otherwise.
const MEMORY_BYTES: u64 = 1024 * 1024 * 1024;
const CPUS_MAX: usize = 2;
const PIDS: u32 = 512;
const USER: &str = "1000:1000";
const TMPFS_OPTIONS: &str = "rw,exec,nosuid,nodev,mode=1777,size=268435456";

/// `docker run` of a program that says one word: from the command to that word.
pub async fn run(image: &str) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let mut docker = Command::new("docker")
        .args(["run", "--rm", "--init", "--read-only"])
        .args(["--cap-drop", "ALL", "--security-opt", "no-new-privileges"])
        .arg(format!("--memory={MEMORY_BYTES}"))
        .arg(format!("--memory-swap={MEMORY_BYTES}"))
        .arg(format!("--cpus={}", cpus()))
        .arg(format!("--pids-limit={PIDS}"))
        .arg(format!("--tmpfs=/tmp:{TMPFS_OPTIONS}"))
        .args(["--user", USER, "--entrypoint", "/bin/echo", image, "ready"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("cannot run docker")?;
    let mut stdout = docker.stdout.take().context("docker has no output")?;
    let ended = async {
        stdout.read_u8().await.context("docker run said nothing")?;
        let first_output = begun.elapsed();
        let mut rest = Vec::new();
        stdout.read_to_end(&mut rest).await?;
        let status = docker.wait().await?;
        if !status.success() {
            bail!("docker run ended with {status}");
        }
        Ok(first_output)
    };
    timeout(RUN_TIMEOUT, ended)
        .await
        .context("docker run did not end in time")?
}

/// Create and start through the engine's API, without the command line's own cost.
pub async fn create_and_start(engine: &Engine, image: &str) -> anyhow::Result<Duration> {
    let body = body(image);
    let begun = Instant::now();
    let container = engine.create(&body).await?;
    let started = engine.start(&container).await;
    let elapsed = begun.elapsed();
    engine.remove(&container).await?;
    started.map(|()| elapsed)
}

/// The same without a network, as projects are; and the start of that container once it has ended.
pub async fn create_start_and_start_again(
    engine: &Engine,
    image: &str,
) -> anyhow::Result<(Duration, Duration)> {
    let mut body = body(image);
    body["HostConfig"]["NetworkMode"] = json!("none");
    body["Entrypoint"] = json!(["/bin/sleep"]);
    body["Cmd"] = json!(["600"]);
    let begun = Instant::now();
    let container = engine.create(&body).await?;
    let measured = async {
        engine.start(&container).await?;
        let created = begun.elapsed();
        engine.stop(&container).await?;
        let begun = Instant::now();
        engine.start(&container).await?;
        Ok((created, begun.elapsed()))
    };
    let measured = measured.await;
    engine.remove(&container).await?;
    measured
}

fn body(image: &str) -> Value {
    json!({
        "Image": image,
        "Entrypoint": ["/bin/echo"],
        "Cmd": ["ready"],
        "User": USER,
        "HostConfig": {
            "ReadonlyRootfs": true,
            "Tmpfs": {"/tmp": TMPFS_OPTIONS},
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "Init": true,
            "Memory": MEMORY_BYTES,
            "MemorySwap": MEMORY_BYTES,
            "NanoCpus": cpus() * 1_000_000_000,
            "PidsLimit": PIDS,
        },
    })
}

/// No more than the host has; the engine refuses more.
fn cpus() -> usize {
    available_parallelism().map_or(1, |cores| cores.get().min(CPUS_MAX))
}
