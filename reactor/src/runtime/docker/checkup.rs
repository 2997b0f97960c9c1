//! A look at the engine for a person who wants to know whether it will do; nothing is made, but for a trial that is taken away again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bollard::models::SystemInfo;
use firefly_domain::ProjectKey;
use uuid::Uuid;

use super::super::{ContainerRuntime, StartSpec};
use super::call::CallExt;
use super::image;
use super::{Config, DockerRuntime, Error, ImageSource, reach};
use crate::lease::{Fence, NotLeading};

/// How long the trial's container may take to end once it is asked.
const TRIAL_GRACE: Duration = Duration::from_secs(5);

/// What an engine says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Engine {
    /// The engine's version.
    pub version: String,
    /// The newest version of its API.
    pub api_version: String,
    /// The kernel it runs on.
    pub kernel: String,
    /// How it stores images and containers.
    pub storage_driver: String,
    /// Where, on its host.
    pub root: PathBuf,
    /// `1` or `2`.
    pub cgroup_version: String,
    /// Whether it limits memory.
    pub limits_memory: bool,
    /// Whether it limits processes.
    pub limits_pids: bool,
    /// Whether it limits processors.
    pub limits_cpus: bool,
    /// Whether system calls are filtered.
    pub has_seccomp: bool,
    /// Whether containers run on while the engine is started anew.
    pub has_live_restore: bool,
    /// What it warns of itself.
    pub warnings: Vec<String>,
}

/// How far the project image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Image {
    /// It is there, of this very program.
    Ready(String),
    /// It is made within seconds, since its base is there.
    BaseOnly(String),
    /// The base has to be made, too.
    Missing(String),
    /// An image that was named is not there.
    NotThere(String),
}

/// Asks the engine what it is, and for the image.
///
/// # Errors
///
/// It does not answer.
pub async fn look(source: &ImageSource) -> Result<(Engine, Image), Error> {
    let docker = reach().await?;
    let version = docker
        .version()
        .await
        .or_failed("ask", "the Docker engine")?;
    let info = docker.info().await.or_failed("ask", "the Docker engine")?;
    let image = image::look(&docker, source).await?;
    let mut engine = engine(info);
    engine.api_version = version.api_version.unwrap_or_default();
    Ok((engine, image))
}

fn engine(info: SystemInfo) -> Engine {
    let options = info.security_options.unwrap_or_default();
    Engine {
        version: info.server_version.unwrap_or_default(),
        api_version: String::new(),
        kernel: info.kernel_version.unwrap_or_default(),
        storage_driver: info.driver.unwrap_or_default(),
        root: info.docker_root_dir.unwrap_or_default().into(),
        // An engine from before there were two has the first.
        cgroup_version: info
            .cgroup_version
            .map_or_else(|| "1".to_owned(), |version| version.to_string()),
        limits_memory: info.memory_limit == Some(true),
        limits_pids: info.pids_limit == Some(true),
        limits_cpus: info.cpu_cfs_quota == Some(true),
        has_seccomp: options.iter().any(|option| option.contains("seccomp")),
        has_live_restore: info.live_restore_enabled == Some(true),
        warnings: info.warnings.unwrap_or_default(),
    }
}

/// How long the parts of a trial took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Until the container accepted connections.
    pub started: Duration,
    /// Until it was gone again.
    pub removed: Duration,
}

/// Makes a container as for a project, waits until it listens, and removes it with its network. The instance of `config` should be
/// one of its own.
///
/// # Errors
///
/// What did not work. What was made is removed as far as that works.
pub async fn try_out(config: Config) -> Result<Trial, super::super::Error> {
    let runtime = DockerRuntime::connect(config, &|_| {}).await?;
    let outcome = start_and_remove(&runtime).await;
    runtime.close().await?;
    outcome
}

async fn start_and_remove(runtime: &DockerRuntime) -> Result<Trial, super::super::Error> {
    let key = ProjectKey::new("doctor", "firefly", "trial").expect("these are names");
    let spec = StartSpec {
        project: key.id(),
        key,
        control_key: Uuid::new_v4().to_string(),
        local_source: None,
        fence: Arc::new(Alone),
    };
    let begun = Instant::now();
    let started = runtime.start(&spec).await?;
    let (begun, started_after) = (Instant::now(), begun.elapsed());
    runtime.stop(&started.id, TRIAL_GRACE).await?;
    runtime.remove(&started.id).await?;
    runtime.remove_workspace(spec.project).await?;
    Ok(Trial {
        started: started_after,
        removed: begun.elapsed(),
    })
}

/// A trial is of an instance that nobody else knows.
struct Alone;

#[async_trait]
impl Fence for Alone {
    async fn check(&self) -> Result<(), NotLeading> {
        Ok(())
    }
}

/// What of the programs that make the base image from Debian packages is missing here; nothing if it can be made.
pub fn missing_to_make_the_base() -> Vec<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |program: &&str| {
        std::env::split_paths(&path)
            .chain([Path::new("/usr/sbin").to_owned()])
            .any(|directory| directory.join(program).is_file())
    };
    let mut missing: Vec<&str> = ["debootstrap", "npm", "docker"]
        .into_iter()
        .filter(|program| !is_there(program))
        .collect();
    if !rustix::process::geteuid().is_root() {
        missing.push("root's rights");
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_engine_leaves_out_it_does_not_have() {
        let engine = engine(SystemInfo::default());
        assert!(!engine.limits_memory && !engine.limits_pids && !engine.has_seccomp);
        assert_eq!(engine.cgroup_version, "1");
        let info = SystemInfo {
            security_options: Some(vec!["name=seccomp,profile=default".to_owned()]),
            pids_limit: Some(true),
            ..SystemInfo::default()
        };
        let engine = super::engine(info);
        assert!(engine.has_seccomp && engine.limits_pids);
    }
}
