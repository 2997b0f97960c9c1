//! Reading an inspection. Pure.

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, ContainerSummary,
    ContainerSummaryStateEnum,
};
use chrono::{DateTime, Datelike, Utc};
use firefly_domain::{ContainerId, Endpoint};
use uuid::Uuid;

use super::super::{Directories, Exit, Observed, Status};
use super::names::Names;
use super::spec;

/// The engine writes a time that has not come as one in the year 1.
const FIRST_REAL_YEAR: i32 = 1970;

/// A container of this instance that holds a project-server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) observed: Observed,
    /// The place of its run directory.
    pub(super) place: Uuid,
    /// See [`Names::labels`].
    pub(super) made_as: String,
}

/// Reads an inspection; `None` for anything that is not ours, or is being removed.
pub(super) fn inspected(
    found: &ContainerInspectResponse,
    names: &Names,
    directories: &Directories,
) -> Option<Found> {
    let labels = found.config.as_ref()?.labels.as_ref()?;
    let told = names.read(found.name.as_deref()?, labels)?;
    let status = status(found.state.as_ref()?, endpoint(directories, &told.place))?;
    Some(Found {
        observed: Observed {
            id: ContainerId::new(found.id.clone()?),
            serves: told.serves,
            status,
        },
        place: told.place,
        made_as: told.made_as,
    })
}

/// Reads a line of a list, which tells enough of a container that is alive; of any other one an inspection has to.
pub(super) fn listed(
    found: &ContainerSummary,
    names: &Names,
    directories: &Directories,
) -> Option<Observed> {
    let name = found.names.as_ref()?.first()?;
    let told = names.read(name, found.labels.as_ref()?)?;
    let endpoint = endpoint(directories, &told.place);
    let status = match found.state? {
        ContainerSummaryStateEnum::RUNNING => Status::Running { endpoint },
        ContainerSummaryStateEnum::PAUSED => Status::Paused { endpoint },
        _ => return None,
    };
    Some(Observed {
        id: ContainerId::new(found.id.clone()?),
        serves: told.serves,
        status,
    })
}

/// Where the project-server of a container answers, once it does.
pub(super) fn endpoint(directories: &Directories, place: &Uuid) -> Endpoint {
    Endpoint::unix(&directories.run_directory(place).join(spec::SOCKET))
}

fn status(state: &ContainerState, endpoint: Endpoint) -> Option<Status> {
    use ContainerStateStatusEnum as State;

    match state.status? {
        State::CREATED => Some(Status::Created),
        State::PAUSED => Some(Status::Paused { endpoint }),
        State::RUNNING | State::RESTARTING | State::STOPPING => Some(Status::Running { endpoint }),
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

    use firefly_domain::ProjectKey;
    use serde_json::{Value, json};

    use super::super::super::Serves;
    use super::*;

    const PLACE: Uuid = Uuid::from_u128(9);

    fn names() -> Names {
        Names::of(Uuid::from_u128(1))
    }

    fn serves() -> Serves {
        Serves::Project(ProjectKey::new("alice", "montage", "app").unwrap().id())
    }

    fn directories() -> Directories {
        let [workspaces, npm, run] = ["/w", "/n", "/r"].map(Path::new);
        Directories::new(workspaces, npm, run).unwrap()
    }

    fn inspect(state: Value) -> Option<Found> {
        let found = json!({
            "Id": "c1",
            "Name": format!("/{}", names().container(serves())),
            "State": state,
            "Config": {"Labels": names().labels(&PLACE, "sha256:1")},
        });
        let found = serde_json::from_value(found).unwrap();
        inspected(&found, &names(), &directories())
    }

    fn status_of(state: Value) -> Option<Status> {
        inspect(state).map(|found| found.observed.status)
    }

    fn list(state: &str) -> Option<Observed> {
        let found = json!({
            "Id": "c1",
            "Names": [format!("/{}", names().container(serves()))],
            "State": state,
            "Labels": names().labels(&PLACE, "sha256:1"),
        });
        listed(&serde_json::from_value(found).unwrap(), &names(), &directories())
    }

    fn socket() -> Endpoint {
        Endpoint::new(format!("unix:/r/{PLACE}/project-server.sock"))
    }

    #[test]
    fn a_container_that_is_alive_is_reached_in_its_run_directory() {
        let found = inspect(json!({"Status": "running"})).unwrap();
        let endpoint = socket();
        assert_eq!(found.observed.status, Status::Running { endpoint });
        assert_eq!((found.observed.serves, found.place), (serves(), PLACE));
        assert_eq!(found.made_as, "sha256:1");
        let endpoint = socket();
        assert_eq!(
            status_of(json!({"Status": "paused"})),
            Some(Status::Paused { endpoint })
        );
    }

    #[test]
    fn a_list_tells_as_much_of_what_is_alive_and_nothing_of_the_rest() {
        for state in ["running", "paused"] {
            let found = inspect(json!({"Status": state})).unwrap();
            assert_eq!(list(state), Some(found.observed));
        }
        for state in ["created", "exited", "dead", "removing"] {
            assert_eq!(list(state), None, "{state}");
        }
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
