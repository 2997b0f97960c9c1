//! Containers that an earlier life of this instance left behind, and that no list of projects shows.

use std::collections::HashSet;

use bollard::Docker;
use uuid::Uuid;

use super::super::Directories;
use super::call::{CallExt, Error};
use super::names::Names;
use super::{network, reach, remove_by_force};

/// Removes the containers of the instance that serve no project. Each lives for seconds at most, and Firefly may be
/// killed within them.
pub(super) async fn remove_helpers(docker: &Docker, names: &Names) -> Result<(), Error> {
    for container in of_instance(docker, names).await? {
        if !container.serves_project {
            tracing::info!(container.id = container.id, "removing what was left behind");
            remove_by_force(docker, &container.id).await?;
        }
    }
    Ok(())
}

/// Removes the run directories of containers that are gone. One that cannot be removed is in nobody's way.
pub(super) async fn remove_run_directories(
    docker: &Docker,
    names: &Names,
    directories: &Directories,
) -> Result<(), Error> {
    let found = docker
        .list_containers(Some(names.list_options()))
        .await
        .or_failed("list", "containers")?;
    let labels = found.into_iter().filter_map(|summary| summary.labels);
    let projects: HashSet<_> = labels
        .filter_map(|labels| Some(names.read(&labels)?.0))
        .collect();
    if let Err(error) = directories.keep_run_directories(&projects).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "run directories of an earlier life are left behind"
        );
    }
    Ok(())
}

/// Removes every container of an instance and their network, because another runtime is about to work on its
/// workspaces. Returns how many there were.
pub(in super::super) async fn remove_all_containers(instance: Uuid) -> Result<usize, Error> {
    let docker = reach().await?;
    let names = Names::of(instance);
    let containers = of_instance(&docker, &names).await?;
    for container in &containers {
        remove_by_force(&docker, &container.id).await?;
    }
    network::remove(&docker, &names).await?;
    Ok(containers.len())
}

struct Found {
    id: String,
    serves_project: bool,
}

async fn of_instance(docker: &Docker, names: &Names) -> Result<Vec<Found>, Error> {
    let found = docker
        .list_containers(Some(names.list_everything_options()))
        .await
        .or_failed("list", "containers")?;
    let containers = found.into_iter().filter_map(|summary| {
        Some(Found {
            id: summary.id?,
            serves_project: Names::is_of_a_project(&summary.labels.unwrap_or_default()),
        })
    });
    Ok(containers.collect())
}
