//! What only one of the runtimes promises.

use super::*;

#[tokio::test]
async fn child_processes_end_with_their_parent() {
    let stage = on_processes(PATIENCE).await;
    let started = stage.started(1).await;
    let mut connection = TcpStream::connect(started.endpoint.as_str()).await.unwrap();
    let records = stage.home.path().join("run");
    assert_eq!(std::fs::read_dir(&records).unwrap().count(), 1);
    // All that a parent which is killed does is to close its end of the child's standard input.
    drop(stage.runtime);
    let mut rest = Vec::new();
    let end = tokio::time::timeout(PATIENCE, connection.read_to_end(&mut rest)).await;
    assert!(end.is_ok(), "the child lives on");
}

#[tokio::test]
async fn want_of_memory_is_told_apart_on_containers() {
    let stage = on_docker(PATIENCE).await;
    stage
        .play(|stage| async {
            let mut events = stage.runtime.events();
            let started = stage.runtime.start(&spec(1, "hoard")).await.unwrap();
            exit_of(&mut events, &started.id).await;
            let Some(Status::Exited(exit)) = stage.status(&started.id).await else {
                panic!("it should have exited");
            };
            assert!(exit.oom, "{exit:?}");
        })
        .await;
}

#[tokio::test]
async fn a_container_left_without_its_hello_is_made_anew() {
    let stage = on_docker(PATIENCE).await;
    stage
        .play(|stage| async {
            // A start that was given up half-way, as when Firefly is killed then.
            let silent = spec(1, "be silent");
            tokio::select! {
                early = stage.runtime.start(&silent) => panic!("{early:?}"),
                () = stage.runs() => {}
            }
            let left = stage.runtime.list().await.unwrap();
            assert_eq!(left.len(), 1);
            let started = stage.started(1).await;
            assert_ne!(started.id, left[0].id);
        })
        .await;
}

#[tokio::test]
async fn containers_own_the_workspace_whoever_made_it() {
    let stage = on_docker(PATIENCE).await;
    stage
        .play(|stage| async {
            let workspace = stage.directories.workspace(spec(1, "").project);
            let inner = workspace.join("inner");
            std::fs::create_dir_all(&inner).unwrap();
            std::fs::write(inner.join("file"), "x").unwrap();
            stage.started(1).await;
            let owner = |path: &Path| std::fs::metadata(path).unwrap().uid();
            assert_ne!(owner(&workspace), 0, "containers do not run as root");
            assert_eq!(owner(&inner.join("file")), owner(&workspace));
        })
        .await;
}

#[tokio::test]
async fn containers_are_gone_before_child_processes_take_over() {
    let (home, directories) = home();
    let config = docker_config(&home, &directories);
    let process = process_config(&home, &directories);
    let stage = docker_stage(config.clone(), home, directories).await;
    stage
        .play(|stage| async {
            stage.started(1).await;
            let (last, ignore) = (Some(Kind::Docker), &|_: &str| {});
            let past = Past {
                last,
                ..Past::default()
            };
            let choice = choose(Preference::Process, past, config, process, ignore).await;
            let choice = choice.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(choice.runtime.kind(), "process");
            assert_eq!(choice.last, Kind::Process);
            assert_eq!(stage.runtime.list().await.unwrap(), []);
        })
        .await;
}

#[tokio::test]
async fn helpers_of_an_earlier_life_are_removed_and_projects_are_not() {
    let (home, directories) = home();
    let config = docker_config(&home, &directories);
    let stage = docker_stage(config.clone(), home, directories).await;
    stage
        .play(|stage| async {
            let started = stage.started(1).await;
            let label = format!("studio.firefly.instance={}", config.instance);
            let image = stage.runtime.image();
            let image = image.split(' ').next().unwrap();
            let docker = |arguments: &[&str]| {
                let mut docker = std::process::Command::new("docker");
                let output = docker.args(arguments).output().unwrap();
                assert!(output.status.success(), "{output:?}");
                String::from_utf8(output.stdout).unwrap()
            };
            docker(&["create", "--label", &label, image]);
            let next = DockerRuntime::connect(config, &|_| {}).await.unwrap();
            next.take_over(&Unfenced).await.unwrap();
            let filter = format!("label={label}");
            let left = docker(&["ps", "--all", "--no-trunc", "--quiet", "--filter", &filter]);
            assert_eq!(left.trim(), started.id.as_str());
        })
        .await;
}

#[tokio::test]
async fn a_container_of_another_image_is_made_anew() {
    let (home, directories) = home();
    let config = docker_config(&home, &directories);
    let upgraded = home.path().join("upgraded.cjs");
    let mut program = std::fs::read(stand_in()).unwrap();
    program.extend_from_slice(b"// A later version.\n");
    std::fs::write(&upgraded, program).unwrap();
    let later = docker::Config {
        image: ImageSource::Program(upgraded),
        ..config.clone()
    };
    let stage = docker_stage(config, home, directories).await;
    stage
        .play(|stage| async {
            let first = stage.started(1).await;
            let later = DockerRuntime::connect(later, &|_| {}).await.unwrap();
            let second = later.start(&spec(1, "a key")).await.unwrap();
            assert_ne!(second.id, first.id);
            assert_eq!(later.list().await.unwrap().len(), 1);
        })
        .await;
}
