//! The container runtime, set up from the command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use firefly_reactor::runtime::docker::{self, ImageSource, Limits};
use firefly_reactor::runtime::{
    self, ANSWER_DEADLINE, ContainerRuntime, Directories, environment, process,
};

use super::data_dir::DataDir;
use super::say::Say;
use crate::args::Up;

const BYTES_PER_MIB: i64 = 1024 * 1024;

/// The runtime, and why it is this one.
pub async fn choose(
    args: &Up,
    data_dir: &DataDir,
    say: &Say,
) -> anyhow::Result<(Arc<dyn ContainerRuntime>, String)> {
    let directories = Directories::new(&data_dir.workspaces(), &data_dir.npm_caches())?;
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let docker = docker::Config {
        instance: data_dir.instance(),
        directories: directories.clone(),
        image: match &args.project_image {
            Some(image) => ImageSource::Ready(image.clone()),
            None => ImageSource::Program(PathBuf::from("/proc/self/exe")),
        },
        ca_bundle: args.ca_bundle.clone().or_else(|| {
            lookup(environment::NODE_CERTIFICATES)
                .map(PathBuf::from)
                .filter(|path| path.is_file())
        }),
        limits: Limits {
            memory_bytes: i64::from(args.container_memory_mib) * BYTES_PER_MIB,
            cpus: i64::from(args.container_cpus),
            pids: i64::from(args.container_pids),
            ..Limits::default()
        },
        environment: environment::of_containers(lookup),
        answer_deadline: ANSWER_DEADLINE,
    };
    let process = process::Config {
        command: vec![program.into_os_string(), OsString::from("project-server")],
        directories,
        run_directory: data_dir.run(),
        environment: environment::of_processes(lookup, args.ca_bundle.as_deref()),
        answer_deadline: ANSWER_DEADLINE,
    };
    let progress = |text: &str| say.preparing(text);
    let past = data_dir.past()?;
    let chosen = runtime::choose(args.runtime, past, docker, process, &progress).await;
    say.prepared();
    let choice = chosen.context("cannot run projects")?;
    data_dir.set_runtime(choice.kind, choice.last)?;
    Ok((choice.runtime, choice.reason))
}

/// A variable of this process. A path in it is made absolute, since whoever is told of it looks from another directory.
fn lookup(name: &str) -> Option<OsString> {
    let value = std::env::var_os(name)?;
    if name == environment::NODE_CERTIFICATES {
        return std::path::absolute(value).ok().map(PathBuf::into_os_string);
    }
    Some(value)
}
