//! The project image: a base with node, npm and git, and on top of it the very program that runs here.
//!
//! The image's name is the hash of what is in it. So one that is there needs no second look, a new version of
//! Firefly makes a new one within seconds, and several versions on one host do not disturb each other.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::Docker;
use bollard::models::{ContainerConfig, ContainerCreateBody, ImageSummary};
use bollard::query_parameters::{
    CommitContainerOptionsBuilder, CreateContainerOptionsBuilder, ListImagesOptionsBuilder,
    RemoveImageOptions, UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use chrono::Utc;
use futures::{Stream, StreamExt, stream};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio_util::io::ReaderStream;

use super::super::Progress;
use super::call::{Attempt, CallExt, Error};
use super::checkup::Image;
use super::names::Names;
use super::remove_by_force;
use super::spec::PROGRAM;

mod base;

/// The name of project images, before the hash.
const REPOSITORY: &str = "firefly-project";

/// The label by which old project images are found.
const LABEL: (&str, &str) = ("studio.firefly.image", "project");

/// Hex digits of a hash in a name.
const HASH_LENGTH: usize = 12;

/// Project images that are kept, newest first; other versions of Firefly on the host may be at work with theirs.
const KEPT_IMAGES: usize = 5;

/// How long the engine may take to store an image; it copies and packs some hundred megabytes.
const STORE_DEADLINE: Duration = Duration::from_secs(120);

/// How long an image may be without its name because it is just being stored.
const NAMING_SECONDS: i64 = 60;

/// Tar files are made of blocks of this many bytes, and end with two empty ones.
const TAR_BLOCK: usize = 512;

/// Where the image comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// A ready image by its name; it is taken as it is.
    Ready(String),
    /// Made here from the base image and this program. `/proc/self/exe` is the program that runs, even when its
    /// file was replaced since.
    Program(PathBuf),
}

/// An image that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRef {
    name: String,
    id: String,
}

impl ImageRef {
    pub(super) fn new(name: impl Into<String>, id: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            id: id.into(),
        }
    }

    /// The hash by which the engine knows it.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id.strip_prefix("sha256:").unwrap_or(&self.id);
        write!(f, "{} ({})", self.name, id.get(..HASH_LENGTH).unwrap_or(id))
    }
}

/// Makes sure that the configured image is there.
pub(super) async fn provide(
    docker: &Docker,
    source: &ImageSource,
    names: &Names,
    progress: Progress<'_>,
) -> Result<ImageRef, Error> {
    match source {
        ImageSource::Ready(name) => find(docker, name).await?.ok_or_else(|| Error::NoImage {
            image: name.clone(),
        }),
        ImageSource::Program(path) => ensure(docker, path, names, progress).await,
    }
}

/// How far the configured image is, without making anything.
pub(super) async fn look(docker: &Docker, source: &ImageSource) -> Result<Image, Error> {
    let program = match source {
        ImageSource::Ready(name) => {
            let found = find(docker, name).await?;
            return Ok(found.map_or_else(
                || Image::NotThere(name.clone()),
                |image| Image::Ready(image.to_string()),
            ));
        }
        ImageSource::Program(program) => program,
    };
    let name = base::name();
    let Some(base) = find(docker, &name).await? else {
        return Ok(Image::Missing(name));
    };
    let hash = hash_of(program, base.id()).await;
    let hash = hash.map_err(|source| Error::Program {
        path: program.clone(),
        source,
    })?;
    let name = format!("{REPOSITORY}:{hash}");
    let found = find(docker, &name).await?;
    Ok(found.map_or(Image::BaseOnly(name), |image| {
        Image::Ready(image.to_string())
    }))
}

/// Makes sure that there is an image with this program as its project-server.
async fn ensure(
    docker: &Docker,
    program: &Path,
    names: &Names,
    progress: Progress<'_>,
) -> Result<ImageRef, Error> {
    let base = base::ensure(docker, progress).await?;
    let unreadable = |source| Error::Program {
        path: program.to_owned(),
        source,
    };
    let hash = hash_of(program, base.id()).await.map_err(unreadable)?;
    let name = format!("{REPOSITORY}:{hash}");
    if let Some(image) = find(docker, &name).await? {
        return Ok(image);
    }
    progress(&format!("making the project image {name}"));
    let archive = Archive::open(program).await.map_err(unreadable)?;
    let image = store(docker, &base, &hash, names, archive).await?;
    prune(docker, &name).await;
    Ok(image)
}

/// Looks an image up by name.
async fn find(docker: &Docker, name: &str) -> Result<Option<ImageRef>, Error> {
    match Attempt::of(docker.inspect_image(name).await) {
        Attempt::Done(found) => Ok(found.id.map(|id| ImageRef::new(name, id))),
        Attempt::Refused { status: 404, .. } => Ok(None),
        other => Err(other.into_error("inspect the image", name)),
    }
}

/// The name for a program on a base: the beginning of their common hash.
async fn hash_of(program: &Path, base_id: &str) -> io::Result<String> {
    let (program, base_id) = (program.to_owned(), base_id.to_owned());
    tokio::task::spawn_blocking(move || {
        let mut hasher = Sha256::new();
        hasher.update(base_id);
        io::copy(
            &mut std::fs::File::open(program)?,
            &mut HashWriter(&mut hasher),
        )?;
        Ok(short_hex(&hasher.finalize()))
    })
    .await
    .unwrap_or_else(|panic| Err(io::Error::other(panic)))
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn short_hex(hash: &[u8]) -> String {
    let mut hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    hex.truncate(HASH_LENGTH);
    hex
}

/// Lays the program on the base and keeps the outcome under the hash.
async fn store(
    docker: &Docker,
    base: &ImageRef,
    hash: &str,
    names: &Names,
    archive: Archive,
) -> Result<ImageRef, Error> {
    let docker = docker.clone().with_timeout(STORE_DEADLINE);
    let mut labels = names.instance_labels();
    labels.insert(LABEL.0.to_owned(), LABEL.1.to_owned());
    let body = ContainerCreateBody {
        image: Some(base.id().to_owned()),
        entrypoint: Some(vec![PROGRAM.to_owned()]),
        labels: Some(labels),
        network_disabled: Some(true),
        ..ContainerCreateBody::default()
    };
    let name = names.image_maker();
    // A call that timed out may have made one.
    remove_by_force(&docker, &name).await?;
    let options = CreateContainerOptionsBuilder::default().name(&name).build();
    let container = docker
        .create_container(Some(options), body)
        .await
        .or_failed("create the container", &name)?;
    let stored = fill_and_commit(&docker, &container.id, hash, names, archive).await;
    remove_by_force(&docker, &container.id).await?;
    stored
}

async fn fill_and_commit(
    docker: &Docker,
    container: &str,
    hash: &str,
    names: &Names,
    archive: Archive,
) -> Result<ImageRef, Error> {
    let name = format!("{REPOSITORY}:{hash}");
    let options = UploadToContainerOptionsBuilder::default().path("/").build();
    let body = bollard::body_try_stream(archive.into_stream());
    docker
        .upload_to_container(container, Some(options), body)
        .await
        .or_failed("copy the program into", &name)?;
    // The image is for every instance, and would hand the label of this one on to what is made of it.
    let config = ContainerConfig {
        labels: Some(names.nobodys_labels()),
        ..ContainerConfig::default()
    };
    let options = CommitContainerOptionsBuilder::default()
        .container(container)
        .repo(REPOSITORY)
        .tag(hash)
        .build();
    let committed = docker
        .commit_container(options, config)
        .await
        .or_failed("store the image", &name)?;
    Ok(ImageRef::new(name, committed.id))
}

/// A tar file with the program in it, read from disk as it is sent.
struct Archive {
    header: tar::Header,
    length: u64,
    program: File,
}

impl Archive {
    async fn open(program: &Path) -> io::Result<Self> {
        let program = File::open(program).await?;
        let length = program.metadata().await?.len();
        let mut header = tar::Header::new_gnu();
        header.set_path(PROGRAM.trim_start_matches('/'))?;
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(length);
        header.set_cksum();
        Ok(Self {
            header,
            length,
            program,
        })
    }

    fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> {
        let block = TAR_BLOCK as u64;
        let padding = self.length.next_multiple_of(block) - self.length;
        let padding = usize::try_from(padding).unwrap_or_default();
        let header = Bytes::copy_from_slice(self.header.as_bytes());
        let end = Bytes::from(vec![0; padding + 2 * TAR_BLOCK]);
        stream::once(std::future::ready(Ok(header)))
            .chain(ReaderStream::new(self.program))
            .chain(stream::once(std::future::ready(Ok(end))))
    }
}

/// Removes old project images that no container uses. Failing at it costs disk space and nothing else.
async fn prune(docker: &Docker, current: &str) {
    let label = format!("{}={}", LABEL.0, LABEL.1);
    let options = ListImagesOptionsBuilder::default()
        .filters(&HashMap::from([("label", vec![label])]))
        .build();
    let images = match docker.list_images(Some(options)).await {
        Ok(images) => images,
        Err(error) => return tracing::debug!(%error, "old project images could not be listed"),
    };
    for name in outdated(images, current, Utc::now().timestamp()) {
        // One in use is refused with 409 and stays.
        let removed = docker.remove_image(&name, None::<RemoveImageOptions>, None);
        if let Err(error) = removed.await {
            tracing::debug!(%error, image = name, "an old project image stays");
        }
    }
}

/// The names of all but the newest images and the current one, and the ids of those that lost their name, as
/// happens when two instances store the same one.
fn outdated(mut images: Vec<ImageSummary>, current: &str, now: i64) -> Vec<String> {
    let is_ours = |name: &String| name.starts_with(REPOSITORY);
    images.sort_by_key(|image| std::cmp::Reverse(image.created));
    let is_settled = |image: &ImageSummary| image.created + NAMING_SECONDS < now;
    let (named, nameless): (Vec<_>, Vec<_>) = images
        .into_iter()
        .partition(|image| image.repo_tags.iter().any(is_ours));
    named
        .into_iter()
        .skip(KEPT_IMAGES)
        .flat_map(|image| image.repo_tags)
        .filter(|name| name != current && is_ours(name))
        .chain(
            nameless
                .into_iter()
                .filter(is_settled)
                .map(|image| image.id),
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(created: i64) -> ImageSummary {
        ImageSummary {
            created,
            repo_tags: vec![format!("{REPOSITORY}:{created}")],
            ..ImageSummary::default()
        }
    }

    #[test]
    fn the_newest_images_and_the_current_one_are_kept() {
        let images: Vec<_> = (1..=8).map(image).collect();
        let current = format!("{REPOSITORY}:2");
        assert_eq!(
            outdated(images, &current, 0),
            [format!("{REPOSITORY}:3"), format!("{REPOSITORY}:1")]
        );
    }

    #[test]
    fn an_image_that_lost_its_name_goes_by_its_id() {
        let nameless = ImageSummary {
            id: "sha256:1".to_owned(),
            repo_tags: vec!["<none>:<none>".to_owned()],
            ..ImageSummary::default()
        };
        let images = vec![nameless, image(1)];
        assert_eq!(
            outdated(images.clone(), "current", NAMING_SECONDS + 1),
            ["sha256:1"]
        );
        assert!(outdated(images, "current", NAMING_SECONDS).is_empty());
    }

    #[tokio::test]
    async fn the_hash_names_program_and_base() {
        let program = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(program.path(), "one").unwrap();
        let first = hash_of(program.path(), "base").await.unwrap();
        assert_eq!(first.len(), HASH_LENGTH);
        assert_ne!(first, hash_of(program.path(), "other").await.unwrap());
        std::fs::write(program.path(), "two").unwrap();
        assert_ne!(first, hash_of(program.path(), "base").await.unwrap());
    }

    #[test]
    fn an_image_shows_its_name_and_the_beginning_of_its_id() {
        let image = ImageRef::new("firefly-project:1", "sha256:0123456789abcdef");
        assert_eq!(image.to_string(), "firefly-project:1 (0123456789ab)");
    }
}
