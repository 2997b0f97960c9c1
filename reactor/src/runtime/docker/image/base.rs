//! The base image: found, or made from Debian packages, or built with the help of a registry.

use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::BuildImageOptionsBuilder;
use bytes::Bytes;
use futures::StreamExt;
use sha2::{Digest, Sha256};

use super::super::super::Progress;
use super::super::call::{BaseError, Error};
use super::{ImageRef, find, short_hex};

mod script;

/// Makes the base from Debian packages. Its hash names the image, here as in the script itself.
const SCRIPT: &str = include_str!("../../../../../deploy/project-image/bootstrap");

/// Describes the same for machines that reach a registry; only its first stage is used here.
const DOCKERFILE: &str = include_str!("../../../../../deploy/project-image/Dockerfile");

const REPOSITORY: &str = "firefly-project-base";

/// How long making the base may take; with a slow mirror it is minutes.
const MAKE_DEADLINE: Duration = Duration::from_secs(600);

/// The name of the base image, and in it the hash of what makes it.
pub(super) fn name() -> String {
    format!("{REPOSITORY}:{}", tag())
}

fn tag() -> String {
    short_hex(&Sha256::digest(SCRIPT))
}

/// Finds the base image or makes it.
pub(super) async fn ensure(docker: &Docker, progress: Progress<'_>) -> Result<ImageRef, Error> {
    let tag = tag();
    let name = name();
    if let Some(image) = find(docker, &name).await? {
        return Ok(image);
    }
    progress(&format!(
        "making the base image {name}; this takes a minute and happens once"
    ));
    make(docker, &tag, &name, progress).await?;
    find(docker, &name)
        .await?
        .ok_or_else(|| Error::NoImage { image: name })
}

/// Tries the script, which usually needs root, and then a registry.
async fn make(docker: &Docker, tag: &str, name: &str, progress: Progress<'_>) -> Result<(), Error> {
    let Err(of_script) = script::run(SCRIPT, tag, MAKE_DEADLINE, progress).await else {
        return Ok(());
    };
    progress("it could not be made from Debian packages; trying a registry");
    let built = tokio::time::timeout(MAKE_DEADLINE, build(docker, name)).await;
    built
        .unwrap_or(Err(BaseError::TooLong(MAKE_DEADLINE)))
        .map_err(|of_build| Error::NoBase {
            image: name.to_owned(),
            of_script: of_script.in_one_line(),
            source: Box::new(of_build),
        })
}

/// Builds the first stage of the Dockerfile; the engine pulls what it begins with.
async fn build(docker: &Docker, name: &str) -> Result<(), BaseError> {
    let options = BuildImageOptionsBuilder::default()
        .dockerfile("Dockerfile")
        .target("base")
        .t(name)
        .rm(true)
        .build();
    let docker = docker.clone().with_timeout(MAKE_DEADLINE);
    let context = bollard::body_full(context()?);
    let mut lines = Box::pin(docker.build_image(options, None, Some(context)));
    while let Some(line) = lines.next().await {
        line.map_err(BaseError::Build)?;
    }
    Ok(())
}

/// A tar file with nothing but the Dockerfile in it.
fn context() -> Result<Bytes, BaseError> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(DOCKERFILE.len() as u64);
    let mut archive = tar::Builder::new(Vec::new());
    archive
        .append_data(&mut header, "Dockerfile", DOCKERFILE.as_bytes())
        .map_err(BaseError::NotRun)?;
    let bytes = archive.into_inner().map_err(BaseError::NotRun)?;
    Ok(Bytes::from(bytes))
}
