//! The one place that decides between Docker and child processes, and says why.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::docker::{self, DockerRuntime};
use super::process::{self, ProcessRuntime};
use super::{ContainerRuntime, Progress};

/// How long Docker may take to answer if projects ran in it last; on a machine that boots it starts beside Firefly.
const DOCKER_PATIENCE: Duration = Duration::from_secs(15);

/// Between two questions.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// What the operator wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preference {
    /// Docker if it answers and the image is there or can be made, and child processes otherwise.
    #[default]
    Auto,
    /// Docker, or an error.
    Docker,
    /// Child processes.
    Process,
}

impl fmt::Display for Preference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Docker => "docker",
            Self::Process => "process",
        })
    }
}

/// The text names no runtime.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no container runtime; choose auto, docker or process")]
pub struct InvalidPreference(String);

impl FromStr for Preference {
    type Err = InvalidPreference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "docker" => Ok(Self::Docker),
            "process" => Ok(Self::Process),
            _ => Err(InvalidPreference(text.to_owned())),
        }
    }
}

/// A runtime as an installation remembers it from one start to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Docker: its containers may be running.
    Docker,
    /// Child processes.
    Process,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "docker",
            Self::Process => "process",
        })
    }
}

/// The text is none that a [`Kind`] is written as.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no container runtime; it should be docker or process")]
pub struct InvalidKind(String);

impl FromStr for Kind {
    type Err = InvalidKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "docker" => Ok(Self::Docker),
            "process" => Ok(Self::Process),
            _ => Err(InvalidKind(text.to_owned())),
        }
    }
}

/// Why no runtime was chosen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The runtime itself.
    #[error(transparent)]
    Runtime(#[from] super::Error),
    /// Child processes would work on workspaces that containers may be writing to.
    #[error(
        "projects last ran in Docker containers, which may be running still, and Docker cannot be used now; start \
         Docker, or give up those containers with --runtime process"
    )]
    DockerLost(#[source] super::Error),
    /// Another Firefly runs projects elsewhere.
    #[error(
        "another Firefly on this data directory runs projects with --runtime {others}; start this one the same way, or stop the \
         other"
    )]
    Others {
        /// Where.
        others: Kind,
    },
}

/// What an installation remembers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Past {
    /// Where projects ran last.
    pub last: Option<Kind>,
    /// Where the other processes of the installation run them, if there are any.
    pub others: Option<Kind>,
}

/// What was chosen.
pub struct Choice {
    /// The runtime.
    pub runtime: Arc<dyn ContainerRuntime>,
    /// Which it is.
    pub kind: Kind,
    /// In one sentence, why it is this one.
    pub reason: String,
    /// What the next choice needs to know: Docker as long as its containers may be running.
    pub last: Kind,
}

/// Chooses by what the operator wants, by what is there, and by what was chosen last: two runtimes never work on the
/// same workspaces.
pub async fn choose(
    preference: Preference,
    past: Past,
    docker: docker::Config,
    process: process::Config,
    progress: Progress<'_>,
) -> Result<Choice, Error> {
    if let Some(others) = past.others {
        return like_others(preference, others, docker, process, progress).await;
    }
    match (preference, past.last) {
        (Preference::Docker, _) => in_docker(docker, "as configured", &process, progress).await,
        (Preference::Auto, Some(Kind::Docker)) => {
            // Whether it answers is seen below once more, with the error that counts.
            let _ = patiently(docker::reach, DOCKER_PATIENCE, progress).await;
            in_docker(docker, "as before", &process, progress)
                .await
                .map_err(|error| match error {
                    Error::Runtime(error) => Error::DockerLost(error),
                    lost => lost,
                })
        }
        (Preference::Auto, _) => {
            match in_docker(docker, "since Docker answers", &process, progress).await {
                Err(Error::Runtime(error @ super::Error::Docker(_))) => {
                    let why = format!("since Docker cannot be used: {}", error.with_causes());
                    in_processes(process, Kind::Process, &format!("without isolation, {why}"))
                }
                other => other,
            }
        }
        (Preference::Process, Some(Kind::Docker)) => {
            let (last, why) = give_up_containers(docker.instance).await?;
            in_processes(process, last, &why)
        }
        (Preference::Process, _) => in_processes(process, Kind::Process, "as configured"),
    }
}

/// Runs projects where the other processes of the installation do. What is there may be in use.
async fn like_others(
    preference: Preference,
    others: Kind,
    docker: docker::Config,
    process: process::Config,
    progress: Progress<'_>,
) -> Result<Choice, Error> {
    let why = "as another Firefly on this data directory does";
    match (preference, others) {
        (Preference::Auto | Preference::Docker, Kind::Docker) => {
            connected(docker, why, progress).await
        }
        (Preference::Auto | Preference::Process, Kind::Process) => {
            in_processes(process, Kind::Process, why)
        }
        (Preference::Docker, Kind::Process) | (Preference::Process, Kind::Docker) => {
            Err(Error::Others { others })
        }
    }
}

async fn in_docker(
    docker: docker::Config,
    why: &str,
    process: &process::Config,
    progress: Progress<'_>,
) -> Result<Choice, Error> {
    let choice = connected(docker, why, progress).await?;
    process::end_leftovers(&process.run_directory)
        .await
        .map_err(super::Error::from)?;
    Ok(choice)
}

async fn connected(
    docker: docker::Config,
    why: &str,
    progress: Progress<'_>,
) -> Result<Choice, Error> {
    let runtime = DockerRuntime::connect(docker, progress)
        .await
        .map_err(super::Error::from)?;
    Ok(Choice {
        runtime: Arc::new(runtime),
        kind: Kind::Docker,
        reason: format!("project-servers run in Docker containers, {why}"),
        last: Kind::Docker,
    })
}

fn in_processes(process: process::Config, last: Kind, why: &str) -> Result<Choice, Error> {
    let runtime = ProcessRuntime::new(process).map_err(super::Error::from)?;
    Ok(Choice {
        runtime: Arc::new(runtime),
        kind: Kind::Process,
        reason: format!("project-servers run as child processes, {why}"),
        last,
    })
}

/// Removes the containers that the operator gives up. An engine that does not answer may have some for later.
async fn give_up_containers(instance: Uuid) -> Result<(Kind, String), Error> {
    if let Err(error) = docker::reach().await {
        let error = super::Error::from(error).with_causes();
        let why = format!(
            "as configured; containers of an earlier start may be running still, since Docker does not answer: {error}"
        );
        return Ok((Kind::Docker, why));
    }
    let removed = docker::remove_all_containers(instance)
        .await
        .map_err(super::Error::from)?;
    let why = format!("as configured; removed Docker containers of an earlier start: {removed}");
    Ok((Kind::Process, why))
}

/// Asks again and again, since Docker may be starting at the same time as Firefly.
async fn patiently<T, E>(
    ask: impl AsyncFn() -> Result<T, E>,
    patience: Duration,
    progress: Progress<'_>,
) -> Result<T, E> {
    let deadline = Instant::now() + patience;
    loop {
        match ask().await {
            Err(_) if Instant::now() < deadline => {
                progress("waiting for Docker, in which projects ran last");
                tokio::time::sleep(ASK_AGAIN).await;
            }
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_preference_is_read_as_it_is_written() {
        for preference in [Preference::Auto, Preference::Docker, Preference::Process] {
            assert_eq!(preference.to_string().parse(), Ok(preference));
        }
        assert!("podman".parse::<Preference>().is_err());
    }

    #[test]
    fn a_kind_is_read_as_it_is_written() {
        for kind in [Kind::Docker, Kind::Process] {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert!("auto".parse::<Kind>().is_err());
    }

    #[tokio::test]
    async fn an_engine_that_is_just_starting_is_waited_for() {
        let asked = Cell::new(0);
        let ask = async || {
            asked.set(asked.get() + 1);
            if asked.get() < 2 { Err(()) } else { Ok(()) }
        };
        assert_eq!(patiently(ask, DOCKER_PATIENCE, &|_| {}).await, Ok(()));
    }

    #[tokio::test]
    async fn an_engine_that_never_answers_is_given_up() {
        let never = async || Err::<(), _>("no");
        assert_eq!(patiently(never, ASK_AGAIN, &|_| {}).await, Err("no"));
    }
}
