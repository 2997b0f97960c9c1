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
use firefly_domain::{ContainerId, Endpoint, Generation, ProjectKey};
use futures::{FutureExt, StreamExt};
use rustix::process::{Pid, Signal};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use super::choice::{Kind, Past};
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
    let (workspaces, caches) = (home.path().join("workspaces"), home.path().join("npm"));
    let directories = Directories::new(&workspaces, &caches).unwrap();
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
    let runtime = ProcessRuntime::new(config).unwrap();
    runtime.take_over(&Unfenced).await.unwrap();
    Stage {
        runtime: Arc::new(runtime),
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
    docker::Config {
        instance: Uuid::new_v4(),
        directories: directories.clone(),
        image: ImageSource::Program(stand_in()),
        ca_bundle: None,
        limits: Limits {
            memory_bytes: 128 << 20,
            ..Limits::default()
        },
        environment: Vec::new(),
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
        self.runtime.close().await.unwrap();
        match outcome {
            Ok(in_time) => in_time.expect("the test did not end in time"),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    async fn started(&self, generation: u64) -> Started {
        let started = self.runtime.start(&spec(generation, "a key")).await;
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

fn spec(generation: u64, control_key: &str) -> StartSpec {
    let key = ProjectKey::new("alice", "montage", "app").unwrap();
    StartSpec {
        project: key.id(),
        key,
        generation: Generation::new(generation),
        control_key: control_key.to_owned(),
        local_source: None,
        fence: Arc::new(Unfenced),
    }
}

async fn answer(endpoint: &Endpoint) -> String {
    let mut connection = TcpStream::connect(endpoint.as_str()).await.unwrap();
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
    let started = stage.started(1).await;
    assert_eq!(answer(&started.endpoint).await, "a key");
    let endpoint = started.endpoint.clone();
    assert_eq!(
        stage.runtime.list().await.unwrap(),
        [Observed {
            id: started.id,
            project: spec(1, "").project,
            generation: Generation::new(1),
            status: Status::Running { endpoint },
        }]
    );
}

async fn a_second_start_adopts_the_first(stage: &Stage) {
    let first = stage.started(1).await;
    assert_eq!(stage.started(1).await, first);
    assert_eq!(stage.runtime.list().await.unwrap().len(), 1);
}

async fn a_project_has_one_container_whoever_asks_for_another(stage: &Stage) {
    let first = stage.started(2).await;
    for generation in [1, 3] {
        let error = stage.runtime.start(&spec(generation, "a key")).await;
        let Err(Error::Occupied { container, .. }) = error else {
            panic!("{error:?}");
        };
        assert_eq!(container, first.id);
    }
    stage.runtime.stop(&first.id, GRACE).await.unwrap();
    let error = stage.runtime.start(&spec(3, "a key")).await.unwrap_err();
    assert!(matches!(error, Error::Occupied { .. }), "{error:?}");
    stage.runtime.remove(&first.id).await.unwrap();
    let next = stage.started(3).await;
    assert_ne!(next.id, first.id);
}

async fn a_start_replaces_one_that_ended(stage: &Stage) {
    let first = stage.started(1).await;
    stage.runtime.stop(&first.id, GRACE).await.unwrap();
    let second = stage.started(1).await;
    assert_ne!(second.id, first.id);
    assert_eq!(answer(&second.endpoint).await, "a key");
    assert_eq!(stage.runtime.list().await.unwrap().len(), 1);
}

async fn a_stop_is_a_request_first_and_may_be_repeated(stage: &Stage) {
    let started = stage.started(1).await;
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
    let started = stage.started(1).await;
    (stage.kill)(&started.id);
    exit_of(&mut events, &started.id).await;
    let Some(Status::Exited(exit)) = stage.status(&started.id).await else {
        panic!("it should have exited");
    };
    assert_eq!(exit.exit_code, Some(137));
}

async fn removal_keeps_the_workspace_until_it_is_asked_for(stage: &Stage) {
    let project = spec(1, "").project;
    let inspect = || stage.runtime.inspect_workspace(project);
    assert_eq!(inspect().await.unwrap(), None);
    let started = stage.started(1).await;
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
    let project = spec(1, "").project;
    let started = stage.started(1).await;
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
    let error = stage.runtime.start(&spec(1, "die")).await.unwrap_err();
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
    let error = stage
        .runtime
        .start(&spec(1, "be silent"))
        .await
        .unwrap_err();
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
            ..spec(1, "a key")
        }
    };
    let specs = ["one", "two", "three", "four"].map(of_project);
    let starts = specs.iter().map(|spec| stage.runtime.start(spec));
    for started in futures::future::join_all(starts).await {
        assert_eq!(answer(&started.unwrap().endpoint).await, "a key");
    }
    assert_eq!(stage.runtime.list().await.unwrap().len(), specs.len());
}

async fn closing_disturbs_nothing_that_runs(stage: &Stage) {
    let first = stage.started(1).await;
    stage.runtime.close().await.unwrap();
    assert_eq!(answer(&first.endpoint).await, "a key");
    stage.runtime.remove(&first.id).await.unwrap();
    stage.runtime.close().await.unwrap();
    stage.runtime.close().await.unwrap();
    let second = stage.started(2).await;
    assert_eq!(answer(&second.endpoint).await, "a key");
}

async fn two_instances_do_not_see_each_other(ours: &Stage, theirs: &Stage) {
    let started = ours.started(1).await;
    assert_eq!(theirs.runtime.list().await.unwrap(), []);
    let other = theirs.started(1).await;
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
                a_second_start_adopts_the_first
                a_project_has_one_container_whoever_asks_for_another
                a_start_replaces_one_that_ended
                a_stop_is_a_request_first_and_may_be_repeated
                an_end_behind_our_back_is_told_and_seen
                removal_keeps_the_workspace_until_it_is_asked_for
                an_inspection_that_fails_says_why
                a_program_that_dies_at_once_is_quoted
                closing_disturbs_nothing_that_runs
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
