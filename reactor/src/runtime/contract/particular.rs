//! What only one of the runtimes promises.

use super::*;

#[tokio::test]
async fn child_processes_end_with_their_parent() {
    let stage = on_processes(PATIENCE).await;
    let started = stage.started().await;
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
            let started = stage.runtime.start(&spec("hoard")).await.unwrap();
            exit_of(&mut events, &started.id).await;
            let Some(Status::Exited(exit)) = stage.status(&started.id).await else {
                panic!("it should have exited");
            };
            assert!(exit.oom, "{exit:?}");
        })
        .await;
}

#[tokio::test]
async fn a_container_left_without_its_hello_is_in_the_way_until_it_ends() {
    let stage = on_docker(PATIENCE).await;
    stage
        .play(|stage| async {
            // A start that was given up half-way, as when Firefly is killed then.
            let silent = spec("be silent");
            tokio::select! {
                early = stage.runtime.start(&silent) => panic!("{early:?}"),
                () = stage.runs() => {}
            }
            let left = stage.runtime.list().await.unwrap();
            assert_eq!(left.len(), 1);
            let error = stage.runtime.start(&spec("a key")).await.unwrap_err();
            assert!(matches!(error, Error::Occupied { .. }), "{error:?}");
            stage.runtime.stop(&left[0].id, GRACE).await.unwrap();
            let started = stage.started().await;
            assert_eq!((&started.id, started.kept), (&left[0].id, true));
        })
        .await;
}

#[tokio::test]
async fn containers_own_the_workspace_whoever_made_it() {
    let stage = on_docker(PATIENCE).await;
    stage
        .play(|stage| async {
            let workspace = stage.directories.workspace(spec("").project);
            let inner = workspace.join("inner");
            std::fs::create_dir_all(&inner).unwrap();
            std::fs::write(inner.join("file"), "x").unwrap();
            stage.started().await;
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
            stage.started().await;
            let (last, ignore) = (Some(Kind::Docker), &|_: &str| {});
            let choice = choose(Preference::Process, last, config, process, ignore).await;
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
            let started = stage.started().await;
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
            let gone = ProjectKey::new("alice", "montage", "gone").unwrap().id();
            let left_behind = stage.directories.run_directory(gone.as_uuid());
            std::fs::create_dir(&left_behind).unwrap();
            DockerRuntime::connect(config, &|_| {}).await.unwrap();
            let filter = format!("label={label}");
            let left = docker(&["ps", "--all", "--no-trunc", "--quiet", "--filter", &filter]);
            assert_eq!(left.trim(), started.id.as_str());
            assert!(!left_behind.exists());
            assert_eq!(answer(&started.endpoint).await, "a key");
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
            let first = stage.started().await;
            stage.runtime.stop(&first.id, GRACE).await.unwrap();
            let later = DockerRuntime::connect(later, &|_| {}).await.unwrap();
            let second = later.start(&spec("a key")).await.unwrap();
            assert_ne!(second.id, first.id);
            assert_eq!(later.list().await.unwrap().len(), 1);
        })
        .await;
}

#[tokio::test]
async fn a_run_directory_is_its_containers_alone_and_goes_with_it() {
    let stage = on_docker(PATIENCE).await;
    stage
        .play(|stage| async {
            let directory = stage.directories.run_directory(spec("").project.as_uuid());
            let first = stage.started().await;
            let found = std::fs::metadata(&directory).unwrap();
            assert_eq!(found.mode() & 0o777, 0o700);
            assert_ne!(found.uid(), 0, "containers do not run as root");
            // What a project's programs may do, so that the next project-server could not make its socket.
            (stage.kill)(&first.id);
            let socket = directory.join("project-server.sock");
            std::fs::remove_file(&socket).unwrap();
            std::fs::create_dir_all(socket.join("inner")).unwrap();
            let second = stage.started().await;
            assert_eq!(second.id, first.id);
            assert_eq!(answer(&second.endpoint).await, "a key");
            stage.runtime.remove(&second.id).await.unwrap();
            assert!(!directory.exists());
        })
        .await;
}

#[tokio::test]
async fn a_container_has_a_way_out_and_no_network() {
    let (home, directories) = home();
    let config = docker_config(&home, &directories);
    let socket = config.egress.join(docker::EGRESS_SOCKET);
    let way_out = tokio::net::UnixListener::bind(&socket).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(&socket, open).unwrap();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = way_out.accept().await {
            connection.write_all(b"this way").await.unwrap();
        }
    });
    let stage = docker_stage(config, home, directories).await;
    stage
        .play(|stage| async {
            let spec = spec("look around");
            let started = stage.runtime.start(&spec).await.unwrap();
            assert_eq!(answer(&started.endpoint).await, "lo this way");
            assert_eq!(stage.runtime.start(&spec).await.unwrap(), started);
        })
        .await;
}
