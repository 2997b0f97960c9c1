//! Reading an inspection. Pure.

use bollard::models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum};
use chrono::{DateTime, Datelike, Utc};
use firefly_domain::{ContainerId, Endpoint, ProjectId};

use super::super::{Directories, Exit, Observed, Status};
use super::names::Names;
use super::spec;

/// The engine writes a time that has not come as one in the year 1.
const FIRST_REAL_YEAR: i32 = 1970;

/// A project container of this instance, as it was inspected; `None` for anything else.
pub(super) fn observed(
    found: &ContainerInspectResponse,
    names: &Names,
    directories: &Directories,
) -> Option<Observed> {
    let labels = found.config.as_ref()?.labels.as_ref()?;
    let (project, generation) = names.read(labels)?;
    Some(Observed {
        id: ContainerId::new(found.id.clone()?),
        project,
        generation,
        status: status(found.state.as_ref()?, || endpoint(directories, project))?,
    })
}

/// Where the project-server of a project's container answers, once it does.
pub(super) fn endpoint(directories: &Directories, project: ProjectId) -> Endpoint {
    Endpoint::unix(&directories.run_directory(project).join(spec::SOCKET))
}

fn status(state: &ContainerState, endpoint: impl FnOnce() -> Endpoint) -> Option<Status> {
    use ContainerStateStatusEnum as State;

    match state.status? {
        State::CREATED => Some(Status::Created),
        State::RUNNING | State::PAUSED | State::RESTARTING | State::STOPPING => {
            Some(Status::Running {
                endpoint: endpoint(),
            })
        }
        State::EXITED | State::DEAD => Some(Status::Exited(exit(state))),
        State::REMOVING | State::EMPTY => None,
    }
}

/// How a container ended.
pub(super) fn exit(state: &ContainerState) -> Exit {
    let finished_at = state
        .finished_at
        .as_deref()
        .and_then(|text| DateTime::parse_from_rfc3339(text).ok())
        .map(|time| time.with_timezone(&Utc))
        .filter(|time| time.year() >= FIRST_REAL_YEAR);
    Exit {
        exit_code: state.exit_code,
        oom: state.oom_killed.unwrap_or_default(),
        finished_at,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use firefly_domain::{Generation, ProjectKey};
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn status_of(state: serde_json::Value) -> Option<Status> {
        let names = Names::of(Uuid::from_u128(1));
        let project = ProjectKey::new("alice", "montage", "app").unwrap().id();
        let [workspaces, npm, run] = ["/w", "/n", "/r"].map(Path::new);
        let directories = Directories::new(workspaces, npm, run).unwrap();
        let found = json!({
            "Id": "c1",
            "State": state,
            "Config": {"Labels": names.labels(project, Generation::new(1))},
        });
        let found = serde_json::from_value(found).unwrap();
        observed(&found, &names, &directories).map(|it| it.status)
    }

    #[test]
    fn a_running_container_is_reached_in_its_projects_run_directory() {
        let project = ProjectKey::new("alice", "montage", "app").unwrap().id();
        let endpoint = Endpoint::new(format!("unix:/r/{project}/project-server.sock"));
        assert_eq!(
            status_of(json!({"Status": "running"})),
            Some(Status::Running { endpoint })
        );
    }

    #[test]
    fn an_exit_tells_code_memory_and_time() {
        let state = json!({
            "Status": "exited", "ExitCode": 137, "OOMKilled": true, "FinishedAt": "2026-01-02T03:04:05.6Z",
        });
        let Some(Status::Exited(exit)) = status_of(state) else {
            panic!("it has exited");
        };
        assert_eq!((exit.exit_code, exit.oom), (Some(137), true));
        assert_eq!(exit.finished_at.unwrap().timestamp(), 1_767_323_045);
    }

    #[test]
    fn a_time_that_has_not_come_is_no_time() {
        let state = json!({"Status": "dead", "FinishedAt": "0001-01-01T00:00:00Z"});
        assert!(matches!(
            status_of(state),
            Some(Status::Exited(Exit {
                finished_at: None,
                ..
            }))
        ));
    }

    #[test]
    fn a_container_that_is_being_removed_is_not_seen() {
        assert_eq!(status_of(json!({"Status": "removing"})), None);
    }
}
