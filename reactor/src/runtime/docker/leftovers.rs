//! Containers that an earlier life of this instance left behind, and that no list of projects shows.

use bollard::Docker;
use uuid::Uuid;

use super::call::{CallExt, Error};
use super::names::Names;
use super::{network, reach, remove_by_force};

/// The containers of the instance that serve no project. Each lives for seconds at most, and Firefly may be killed within
/// them. What becomes an image is not among them: whoever begins at this moment may be at it.
pub(super) async fn helpers(docker: &Docker, names: &Names) -> Result<Vec<String>, Error> {
    let image_maker = format!("/{}", names.image_maker());
    let mut found = of_instance(docker, names).await?;
    found.retain(|it| !it.serves_project && !it.names.contains(&image_maker));
    Ok(found.into_iter().map(|it| it.id).collect())
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
    names: Vec<String>,
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
            names: summary.names.unwrap_or_default(),
            serves_project: Names::is_of_a_project(&summary.labels.unwrap_or_default()),
        })
    });
    Ok(containers.collect())
}
