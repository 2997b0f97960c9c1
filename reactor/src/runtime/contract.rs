//! The rules of [`ContainerRuntime`], proved on both kinds with a small program in the project-server's place.
//!
//! The Docker half needs an engine. Without one these tests fail and say so; they are never skipped.

mod particular;

use std::future::Future;
use std::os::unix::fs::MetadataExt;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use firefly_domain::control::Unsaved;
use firefly_domain::{ContainerId, Endpoint, ProjectKey};
use futures::{FutureExt, StreamExt};
use rustix::process::{Pid, Signal};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use super::choice::Kind;
use super::docker::{self, DockerRuntime, ImageSource, Limits};
use super::process::{self, ProcessRuntime};
use super::*;
use crate::lease::Unfenced;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const GRACE: Duration = Duration::from_secs(5);

/// A runtime with a home of its own.
struct Stage {
    runtime: Arc<dyn ContainerRuntime>,
    directories: Directories,
    kill: fn(&ContainerId),
    home: TempDir,
}

fn stand_in() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/runtime/testdata/stand-in.cjs")
}

fn home() -> (TempDir, Directories) {
    let home = tempfile::tempdir().unwrap();
    let [workspaces, caches, containers] =
        ["workspaces", "npm", "run/containers"].map(|name| home.path().join(name));
    let directories = Directories::new(&workspaces, &caches, &containers).unwrap();
    (home, directories)
}

fn process_config(home: &TempDir, directories: &Directories) -> process::Config {
    process::Config {
        command: vec![stand_in().into()],
        directories: directories.clone(),
        run_directory: home.path().join("run"),
        environment: environment::of_processes(|name| std::env::var_os(name), None),
        answer_deadline: PATIENCE,
    }
}

async fn on_processes(answer_deadline: Duration) -> Stage {
    let (home, directories) = home();
    let config = process::Config {
        answer_deadline,
        ..process_config(&home, &directories)
    };
    Stage {
        runtime: Arc::new(ProcessRuntime::begin(config).await.unwrap()),
        directories,
        kill: |id| {
            let (pid, _) = id.as_str().split_once('-').unwrap();
            let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
            rustix::process::kill_process(pid, Signal::KILL).unwrap();
        },
        home,
    }
}

/// The settings of an instance of its own.
fn docker_config(home: &TempDir, directories: &Directories) -> docker::Config {
    // The container's user must be able to pass through.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(home.path(), open).unwrap();
    let egress = home.path().join("egress");
    std::fs::create_dir_all(&egress).unwrap();
    docker::Config {
        instance: Uuid::new_v4(),
        directories: directories.clone(),
        image: ImageSource::Program(stand_in()),
        ca_bundle: None,
        limits: Limits {
            memory_bytes: 128 << 20,
            ..Limits::default()
        },
        egress,
        answer_deadline: PATIENCE,
    }
}

async fn on_docker(answer_deadline: Duration) -> Stage {
    let (home, directories) = home();
    let config = docker::Config {
        answer_deadline,
        ..docker_config(&home, &directories)
    };
    docker_stage(config, home, directories).await
}

async fn docker_stage(config: docker::Config, home: TempDir, directories: Directories) -> Stage {
    let runtime = DockerRuntime::connect(config, &|_| {})
        .await
        .expect("these tests need a Docker engine with the project image or a way to make it");
    Stage {
        runtime: Arc::new(runtime),
        directories,
        kill: |id| {
            let mut docker = std::process::Command::new("docker");
            let status = docker.args(["kill", id.as_str()]).output().unwrap().status;
            assert!(status.success());
        },
        home,
    }
}

impl Stage {
    /// Runs one test and leaves nothing behind, whatever came of it.
    async fn play<'a, F: Future<Output = ()>>(&'a self, act: impl FnOnce(&'a Self) -> F) {
        let act = AssertUnwindSafe(tokio::time::timeout(PATIENCE, act(self)));
        let outcome = act.catch_unwind().await;
        for left in self.runtime.list().await.unwrap() {
            self.runtime.remove(&left.id).await.unwrap();
        }
        match outcome {
            Ok(in_time) => in_time.expect("the test did not end in time"),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    async fn claim(&self, prepared: &Started, slot: u128) -> Result<Option<Started>, Error> {
        let slot = ahead(slot).slot;
        self.runtime.claim(&prepared.id, slot, &spec("a key")).await
    }

    async fn started(&self) -> Started {
        let started = self.runtime.start(&spec("a key")).await;
        started.unwrap_or_else(|error| panic!("{}", error.with_causes()))
    }

    /// Waits until something runs.
    async fn runs(&self) {
        let running = |it: &Observed| matches!(it.status, Status::Running { .. });
        while !self.runtime.list().await.unwrap().iter().any(running) {
            tokio::task::yield_now().await;
        }
    }

    async fn status(&self, id: &ContainerId) -> Option<Status> {
        let list = self.runtime.list().await.unwrap();
        list.into_iter().find(|it| it.id == *id).map(|it| it.status)
    }
}

fn ahead(slot: u128) -> PrepareSpec {
    PrepareSpec {
        slot: Slot::from_uuid(Uuid::from_u128(slot)),
        control_key: "an early key".to_owned(),
        fence: Arc::new(Unfenced),
    }
}

fn spec(control_key: &str) -> StartSpec {
    let key = ProjectKey::new("alice", "montage", "app").unwrap();
    StartSpec {
        project: key.id(),
        key,
        control_key: control_key.to_owned(),
        local_source: None,
        fence: Arc::new(Unfenced),
    }
}

async fn answer(endpoint: &Endpoint) -> String {
    let connection = firefly_endpoint::connect(endpoint, PATIENCE).await;
    let mut connection = connection.unwrap();
    let request = b"GET / HTTP/1.0\r\n\r\n";
    connection.write_all(request).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer
        .split("\r\n\r\n")
        .nth(1)
        .unwrap_or_default()
        .to_owned()
}

/// Waits for the event that a container ended.
async fn exit_of(events: &mut BoxStream<'static, RuntimeEvent>, id: &ContainerId) {
    let wanted = RuntimeEvent::Exited { id: id.clone() };
    while events.next().await.unwrap() != wanted {}
}

async fn a_start_hands_the_hello_over(stage: &Stage) {
    let started = stage.started().await;
    assert_eq!(answer(&started.endpoint).await, "a key");
    let endpoint = started.endpoint.clone();
    assert_eq!(
        stage.runtime.list().await.unwrap(),
        [Observed {
            id: started.id,
            serves: Serves::Project(spec("").project),
            status: Status::Running { endpoint },
        }]
    );
}

async fn a_project_has_one_container_whoever_asks_for_another(stage: &Stage) {
    let first = stage.started().await;
    for key in ["a key", "another key"] {
        let error = stage.runtime.start(&spec(key)).await;
        let Err(Error::Occupied { container, .. }) = error else {
            panic!("{error:?}");
        };
        assert_eq!(container, first.id);
    }
    assert_eq!(answer(&first.endpoint).await, "a key");
    stage.runtime.remove(&first.id).await.unwrap();
    let next = stage.started().await;
    assert_ne!(next.id, first.id);
}

async fn one_that_ended_is_brought_back_with_another_key(stage: &Stage) {
    let first = stage.started().await;
    for key in ["another key", "a third key"] {
        let id = &stage.runtime.list().await.unwrap()[0].id;
        stage.runtime.stop(id, GRACE).await.unwrap();
        let again = stage.runtime.start(&spec(key)).await.unwrap();
        assert_eq!(again.kept, again.id == first.id);
        assert_eq!(answer(&again.endpoint).await, key);
        assert_eq!(stage.runtime.list().await.unwrap().len(), 1);
    }
}

async fn a_paused_container_stands_still_and_goes_on_where_it_was(stage: &Stage) {
    let started = stage.started().await;
    let endpoint = started.endpoint.clone();
    for _ in 0..2 {
        stage.runtime.pause(&started.id).await.unwrap();
    }
    let paused = Status::Paused {
        endpoint: endpoint.clone(),
    };
    assert_eq!(stage.status(&started.id).await, Some(paused));
    // Nobody answers while it stands still; who asked meanwhile is answered then.
    let (go_on, unpaused) = tokio::sync::oneshot::channel();
    let asked = async {
        let mut asking = std::pin::pin!(answer(&endpoint));
        let early = tokio::time::timeout(Duration::from_millis(300), &mut asking).await;
        assert!(early.is_err(), "it answers while it should stand still");
        go_on.send(()).unwrap();
        asking.await
    };
    let woken = async {
        unpaused.await.unwrap();
        for _ in 0..2 {
            stage.runtime.unpause(&started.id).await.unwrap();
        }
    };
    let (answered, ()) = tokio::join!(asked, woken);
    assert_eq!(answered, "a key");
    let running = Status::Running { endpoint };
    assert_eq!(stage.status(&started.id).await, Some(running));
}

async fn a_paused_container_can_be_stopped_and_removed(stage: &Stage) {
    let started = stage.started().await;
    stage.runtime.pause(&started.id).await.unwrap();
    stage.runtime.stop(&started.id, GRACE).await.unwrap();
    let status = stage.status(&started.id).await;
    assert!(matches!(status, Some(Status::Exited(_))), "{status:?}");
    let again = stage.started().await;
    stage.runtime.pause(&again.id).await.unwrap();
    stage.runtime.remove(&again.id).await.unwrap();
    assert_eq!(stage.status(&again.id).await, None);
    for id in [&started.id, &again.id] {
        stage.runtime.pause(id).await.unwrap();
        stage.runtime.unpause(id).await.unwrap();
    }
}

async fn what_is_started_ahead_becomes_a_projects_own(stage: &Stage) {
    if !stage.runtime.has_pool() {
        assert!(stage.runtime.prepare(&ahead(1)).await.is_err());
        return;
    }
    let prepared = stage.runtime.prepare(&ahead(1)).await.unwrap();
    let serves = |list: &[Observed]| list.iter().map(|it| it.serves).collect::<Vec<_>>();
    let list = stage.runtime.list().await.unwrap();
    assert_eq!(serves(&list), [Serves::Pool(ahead(1).slot)]);
    for _ in 0..2 {
        let claimed = stage.claim(&prepared, 1).await.unwrap();
        assert_eq!(claimed, Some(prepared.clone()));
    }
    let list = stage.runtime.list().await.unwrap();
    assert_eq!(serves(&list), [Serves::Project(spec("").project)]);
    assert_eq!(answer(&prepared.endpoint).await, "an early key");
    let workspace = stage.directories.workspace(spec("").project);
    std::fs::write(workspace.join("file"), "x").unwrap();

    // From here on it is like any other.
    stage.runtime.stop(&prepared.id, GRACE).await.unwrap();
    let again = stage.started().await;
    assert_eq!((&again.id, again.kept), (&prepared.id, true));
    assert_eq!(answer(&again.endpoint).await, "a key");
    stage.runtime.remove(&again.id).await.unwrap();
    assert!(workspace.join("file").exists());
}

async fn a_claim_gives_way_to_what_the_project_has(stage: &Stage) {
    if !stage.runtime.has_pool() {
        return;
    }
    let own = stage.started().await;
    let prepared = stage.runtime.prepare(&ahead(1)).await.unwrap();
    let error = stage.claim(&prepared, 1).await;
    let Err(Error::Occupied { container, .. }) = error else {
        panic!("{error:?}");
    };
    assert_eq!(container, own.id);
    assert_eq!(answer(&prepared.endpoint).await, "an early key");

    let workspace = stage.directories.workspace(spec("").project);
    std::fs::write(workspace.join("precious"), "x").unwrap();
    stage.runtime.remove(&own.id).await.unwrap();
    assert_eq!(stage.claim(&prepared, 1).await.unwrap(), None);
    assert!(workspace.join("precious").exists());
    assert_eq!(stage.runtime.list().await.unwrap(), []);
}

async fn a_stop_is_a_request_first_and_may_be_repeated(stage: &Stage) {
    let started = stage.started().await;
    stage.runtime.stop(&started.id, GRACE).await.unwrap();
    let Some(Status::Exited(exit)) = stage.status(&started.id).await else {
        panic!("it should have exited");
    };
    // The stand-in answers a polite request with this code.
    assert_eq!((exit.exit_code, exit.oom), (Some(5), false));
    assert!(exit.finished_at.is_some());
    stage.runtime.stop(&started.id, GRACE).await.unwrap();
    stage.runtime.remove(&started.id).await.unwrap();
    stage.runtime.stop(&started.id, GRACE).await.unwrap();
    stage.runtime.remove(&started.id).await.unwrap();
    assert_eq!(stage.status(&started.id).await, None);
}

async fn an_end_behind_our_back_is_told_and_seen(stage: &Stage) {
    let mut events = stage.runtime.events();
    assert_eq!(events.next().await, Some(RuntimeEvent::Resynchronise));
    let started = stage.started().await;
    (stage.kill)(&started.id);
    exit_of(&mut events, &started.id).await;
    let Some(Status::Exited(exit)) = stage.status(&started.id).await else {
        panic!("it should have exited");
    };
    assert_eq!(exit.exit_code, Some(137));
}

async fn removal_keeps_the_workspace_until_it_is_asked_for(stage: &Stage) {
    let project = spec("").project;
    let inspect = || stage.runtime.inspect_workspace(project);
    assert_eq!(inspect().await.unwrap(), None);
    let started = stage.started().await;
    let workspace = stage.directories.workspace(project);
    std::fs::write(workspace.join("unsaved"), "x").unwrap();
    stage.runtime.remove(&started.id).await.unwrap();
    let unsaved = Unsaved {
        files: 1,
        commits: 0,
    };
    assert_eq!(inspect().await.unwrap(), Some(unsaved));
    assert_eq!(inspect().await.unwrap(), Some(unsaved));
    stage.runtime.remove_workspace(project).await.unwrap();
    stage.runtime.remove_workspace(project).await.unwrap();
    assert_eq!(inspect().await.unwrap(), None);
}

async fn an_inspection_that_fails_says_why(stage: &Stage) {
    let project = spec("").project;
    let started = stage.started().await;
    stage.runtime.remove(&started.id).await.unwrap();
    for number in 0..9 {
        let file = stage
            .directories
            .workspace(project)
            .join(format!("{number}"));
        std::fs::write(file, "x").unwrap();
    }
    let error = stage.runtime.inspect_workspace(project).await.unwrap_err();
    let Error::Inspection {
        exit, last_words, ..
    } = error
    else {
        panic!("{}", error.with_causes());
    };
    assert_eq!(exit.exit_code, Some(4));
    assert_eq!(last_words, "this is no repository");
}

async fn a_program_that_dies_at_once_is_quoted(stage: &Stage) {
    let error = stage.runtime.start(&spec("die")).await.unwrap_err();
    let Error::Died {
        exit, last_words, ..
    } = error
    else {
        panic!("{}", error.with_causes());
    };
    assert_eq!(exit.exit_code, Some(3));
    assert_eq!(last_words, "the disk has run away");
    assert_eq!(stage.runtime.list().await.unwrap(), []);
}

async fn a_program_that_never_speaks_is_ended(stage: &Stage) {
    let error = stage.runtime.start(&spec("be silent")).await.unwrap_err();
    let Error::NoAnswer { last_words, .. } = error else {
        panic!("{}", error.with_causes());
    };
    assert_eq!(last_words, "thinking");
    assert_eq!(stage.runtime.list().await.unwrap(), []);
}

async fn projects_start_side_by_side(stage: &Stage) {
    let of_project = |name: &str| {
        let key = ProjectKey::new("alice", "montage", name).unwrap();
        let project = key.id();
        StartSpec {
            project,
            key,
            ..spec("a key")
        }
    };
    let specs = ["one", "two", "three", "four"].map(of_project);
    let starts = specs.iter().map(|spec| stage.runtime.start(spec));
    for started in futures::future::join_all(starts).await {
        assert_eq!(answer(&started.unwrap().endpoint).await, "a key");
    }
    assert_eq!(stage.runtime.list().await.unwrap().len(), specs.len());
}

async fn two_instances_do_not_see_each_other(ours: &Stage, theirs: &Stage) {
    let started = ours.started().await;
    assert_eq!(theirs.runtime.list().await.unwrap(), []);
    let other = theirs.started().await;
    theirs.runtime.remove(&other.id).await.unwrap();
    assert_eq!(answer(&started.endpoint).await, "a key");
}

macro_rules! contract {
    ($kind:ident, $stage:ident) => {
        mod $kind {
            use super::*;

            contract!(
                $stage:
                a_start_hands_the_hello_over
                a_project_has_one_container_whoever_asks_for_another
                one_that_ended_is_brought_back_with_another_key
                a_paused_container_stands_still_and_goes_on_where_it_was
                a_paused_container_can_be_stopped_and_removed
                what_is_started_ahead_becomes_a_projects_own
                a_claim_gives_way_to_what_the_project_has
                a_stop_is_a_request_first_and_may_be_repeated
                an_end_behind_our_back_is_told_and_seen
                removal_keeps_the_workspace_until_it_is_asked_for
                an_inspection_that_fails_says_why
                a_program_that_dies_at_once_is_quoted
                projects_start_side_by_side
            );

            #[tokio::test]
            async fn a_program_that_never_speaks_is_ended() {
                let stage = $stage(Duration::from_secs(2)).await;
                stage.play(super::a_program_that_never_speaks_is_ended).await;
            }

            #[tokio::test]
            async fn two_instances_do_not_see_each_other() {
                let ours = &$stage(PATIENCE).await;
                let theirs = $stage(PATIENCE).await;
                theirs
                    .play(|theirs| {
                        ours.play(move |ours| {
                            super::two_instances_do_not_see_each_other(ours, theirs)
                        })
                    })
                    .await;
            }
        }
    };
    ($stage:ident: $($rule:ident)+) => {
        $(
            #[tokio::test]
            async fn $rule() {
                $stage(PATIENCE).await.play(super::$rule).await;
            }
        )+
    };
}

contract!(on_child_processes, on_processes);
contract!(on_containers, on_docker);
