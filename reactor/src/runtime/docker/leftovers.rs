//! What an earlier life of this instance left behind, and no list of projects shows.

use std::collections::HashSet;

use bollard::Docker;
use bollard::models::ContainerSummary;
use uuid::Uuid;

use super::super::{Directories, Slot};
use super::call::{Attempt, CallExt, Error};
use super::names::Names;
use super::{reach, remove_by_force};

/// Removes the containers of the instance that serve no project. Each lives for seconds at most, and Firefly may be
/// killed within them.
pub(super) async fn remove_helpers(docker: &Docker, names: &Names) -> Result<(), Error> {
    for container in of_instance(docker, names).await? {
        if !container.has_place {
            tracing::info!(container.id = container.id, "removing what was left behind");
            remove_by_force(docker, &container.id).await?;
        }
    }
    Ok(())
}

/// Removes what was made for containers that are gone. What cannot be removed is in nobody's way.
pub(super) async fn remove_directories(
    docker: &Docker,
    names: &Names,
    directories: &Directories,
) -> Result<(), Error> {
    let found = docker
        .list_containers(Some(names.list_options()))
        .await
        .or_failed("list", "containers")?;
    let place = |summary: ContainerSummary| {
        let name = summary.names?.into_iter().next()?;
        Some(names.read(&name, &summary.labels?)?.place)
    };
    let places: HashSet<Uuid> = found.into_iter().filter_map(place).collect();
    let slots = places.iter().copied().map(Slot::from_uuid).collect();
    let removed = async {
        directories.keep_run_directories(&places).await?;
        directories.keep_pool_workspaces(&slots).await
    };
    if let Err(error) = removed.await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "directories of containers of an earlier life are left behind"
        );
    }
    Ok(())
}

/// Removes every container of an instance, because another runtime is about to work on its workspaces. Returns how many
/// there were.
pub(in super::super) async fn remove_all_containers(instance: Uuid) -> Result<usize, Error> {
    let docker = reach().await?;
    let names = Names::of(instance);
    let containers = of_instance(&docker, &names).await?;
    for container in &containers {
        remove_by_force(&docker, &container.id).await?;
    }
    remove_network(&docker, &names).await;
    Ok(containers.len())
}

/// Removes the network that containers of earlier versions were on, since an engine has room for some thirty of them. One
/// that stays is in nobody's way.
pub(super) async fn remove_network(docker: &Docker, names: &Names) {
    let name = names.former_network();
    match Attempt::of(docker.remove_network(&name).await) {
        Attempt::Done(()) => tracing::info!(network = name, "removed what was left behind"),
        Attempt::Refused { status: 404, .. } => {}
        other => {
            let error = other.into_error("remove the network", name);
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a network of an earlier version is left behind"
            );
        }
    }
}

struct Found {
    id: String,
    has_place: bool,
}

async fn of_instance(docker: &Docker, names: &Names) -> Result<Vec<Found>, Error> {
    let found = docker
        .list_containers(Some(names.list_everything_options()))
        .await
        .or_failed("list", "containers")?;
    let containers = found.into_iter().filter_map(|summary| {
        Some(Found {
            id: summary.id?,
            has_place: Names::has_place(&summary.labels.unwrap_or_default()),
        })
    });
    Ok(containers.collect())
}
