//! The bridge that all containers of an instance are on. They cannot reach each other over it.

use std::collections::HashMap;

use bollard::Docker;
use bollard::models::NetworkCreateRequest;
use bollard::query_parameters::InspectNetworkOptions;

use super::call::{Attempt, Error};
use super::names::Names;

/// The bridge driver's switch for traffic between containers.
const ICC_OPTION: &str = "com.docker.network.bridge.enable_icc";

/// Makes the network if it is missing.
pub(super) async fn ensure(docker: &Docker, names: &Names) -> Result<(), Error> {
    let name = names.network();
    let options = None::<InspectNetworkOptions>;
    match Attempt::of(docker.inspect_network(&name, options).await) {
        Attempt::Done(_) => return Ok(()),
        Attempt::Refused { status: 404, .. } => {}
        other => return Err(other.into_error("inspect the network", name)),
    }
    let request = NetworkCreateRequest {
        name: name.clone(),
        driver: Some("bridge".to_owned()),
        options: Some(HashMap::from([(ICC_OPTION.to_owned(), false.to_string())])),
        labels: Some(names.instance_labels()),
        ..NetworkCreateRequest::default()
    };
    match Attempt::of(docker.create_network(request).await) {
        Attempt::Done(_) | Attempt::Refused { status: 409, .. } => Ok(()),
        other => Err(other.into_error("make the network", name)),
    }
}

/// Removes the network, since an engine has room for some thirty of them. One that is in use (403) stays, and one
/// that is gone already is fine.
pub(super) async fn remove(docker: &Docker, names: &Names) -> Result<(), Error> {
    let name = names.network();
    match Attempt::of(docker.remove_network(&name).await) {
        Attempt::Done(())
        | Attempt::Refused {
            status: 403 | 404, ..
        } => Ok(()),
        other => Err(other.into_error("remove the network", name)),
    }
}
