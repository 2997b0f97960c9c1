//! A project plays the attacker while another one is watched: whatever it tries is refused, or harms nobody but itself.
//!
//! What any program of a project could do is done through the engine, as the container's user and beside its project-server.

mod stage;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use firefly_tests::{Runtime, wait_for};
use serde_json::{Value, json};

use stage::{SECRET_PAGE, Stage};

const KNOCK: &str = include_str!("attacker/knock.cjs");
const LOOK: &str = include_str!("attacker/look.cjs");
const MULTIPLY: &str = include_str!("attacker/multiply.cjs");
const HOARD: &str = include_str!("attacker/hoard.cjs");

/// Where the way out is in a container.
const PROXY_PORT: u16 = 3_128;

/// Requests that are under way at once, so that more than one connection is needed.
const BURST: usize = 16;

/// How a shell says that there is no such program.
const NO_SUCH_PROGRAM: i32 = 127;

/// How a process ends that the kernel kills: 128 + SIGKILL.
const KILLED: i32 = 137;

#[tokio::test(flavor = "multi_thread")]
async fn neither_this_host_nor_its_networks_can_be_reached() {
    let stage = Stage::set(&["--egress", "open"]).await;
    // What listens everywhere is what people forget.
    let everywhere = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    everywhere.set_nonblocking(true).unwrap();
    let ports = [
        stage.firefly.port(),
        everywhere.local_addr().unwrap().port(),
        80,
    ];
    let here = Runtime::Docker.host_address().to_string();
    let hosts = [
        "127.0.0.1",
        "localhost",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f.1",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "10.0.0.1",
        "172.17.0.1",
        "192.168.0.1",
        "100.64.0.1",
        &here,
    ];
    for way in ["tunnel", "request"] {
        for port in ports {
            let attempts = hosts.map(|host| json!({"way": way, "host": host, "port": port}));
            for (attempt, end) in stage.knock(&attempts).await {
                assert_eq!(end, "403", "{attempt}");
            }
        }
    }

    let direct = |host: &str, port: u16| json!({"way": "direct", "host": host, "port": port});
    let open = stage.knock(&[direct("127.0.0.1", PROXY_PORT)]).await;
    assert_eq!(open[0].1, "connected", "knocking works at all");
    let hosts = [
        "127.0.0.1",
        "169.254.169.254",
        "10.0.0.1",
        "192.0.2.1",
        &here,
    ];
    let attempts = hosts.map(|host| ports.map(|port| direct(host, port)));
    let sockets = ["/var/run/docker.sock", "/run/docker.sock"]
        .map(|path| json!({"way": "socket", "path": path}));
    for (attempt, end) in stage
        .knock(&[&attempts.concat()[..], &sockets].concat())
        .await
    {
        let refusals = ["ECONNREFUSED", "ENETUNREACH", "ENOENT"];
        assert!(refusals.contains(&end.as_str()), "{attempt}: {end}");
    }
    let nobody = everywhere.accept().unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::WouldBlock);
    stage.undisturbed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_others_is_there_to_be_read() {
    let stage = Stage::set(&[]).await;
    let data = stage.firefly.data();
    let victims = stage.firefly.workspace(&stage.victim);
    assert!(victims.join("index.html").exists());
    let paths = [
        data.clone(),
        data.join("secret"),
        data.join("events.db"),
        data.join("run/containers"),
        victims,
        "/var/run/docker.sock".into(),
    ];
    let found = stage.node(LOOK, &json!({"paths": paths})).await;
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(
        found["paths"],
        json!(vec!["ENOENT"; paths.len()]),
        "{found:#}"
    );
    assert_eq!(found["runs"], true, "its project-server is in sight");
    assert_eq!(
        found["memory"],
        json!(["EACCES", "EACCES", "EACCES", "EACCES"]),
        "{found:#}"
    );
    assert_eq!(found["descriptors"], "EACCES", "{found:#}");
    assert_eq!(found["egress"], json!(["egress.sock"]));
    assert_eq!(found["planted"], "EROFS", "{found:#}");
    assert_eq!(found["removed"], "EROFS", "{found:#}");

    // The install script of its package wrote down what it was told.
    let workspace = stage.firefly.workspace(&stage.attacker);
    let environment = std::fs::read_to_string(workspace.join("environment.txt")).unwrap();
    let way_out = format!("HTTPS_PROXY=http://127.0.0.1:{PROXY_PORT}\n");
    assert!(environment.contains(&way_out), "{environment}");
    let victim = stage.victim["id"].as_str().unwrap();
    for secret in [stage.api.token.as_str(), victim, "FIREFLY_", "DOCKER_"] {
        let told = found["told"].as_str().unwrap();
        assert!(!told.contains(secret), "{secret}: {told}");
        assert!(!environment.contains(secret), "{secret}: {environment}");
    }
    stage.undisturbed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_privilege_can_be_gained() {
    let stage = Stage::set(&[]).await;
    let allowed = stage.sh("touch /workspace/mine /tmp/mine").await;
    assert!(allowed.status.success(), "{allowed:?}");
    for refused in [
        "touch /mine",
        "touch /usr/local/bin/project-server",
        "touch /run/mine",
        "touch /etc/passwd",
        "chown 0 /workspace/mine",
        "mount -t tmpfs none /tmp",
        "mount -o remount,rw /",
        "mount -o remount,rw /run/egress",
        "umount /run/egress",
        "unshare --user --map-root-user true",
        "unshare --mount true",
        "unshare --net true",
        "mknod /tmp/disk b 8 0",
        "chroot / true",
        "echo 1 > /proc/sys/kernel/panic",
        "nsenter --target 1 --mount true",
    ] {
        let said = stage.sh(refused).await;
        let code = said.status.code();
        let refusal = code.is_some_and(|code| code != 0 && code != NO_SUCH_PROGRAM);
        assert!(refusal, "{refused}: {said:?}");
    }
    let status = stage.sh("cat /proc/self/status").await;
    let status = String::from_utf8_lossy(&status.stdout);
    for line in [
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
    ] {
        assert!(status.contains(line), "{line}: {status}");
    }
    stage.undisturbed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_used_up_is_its_own() {
    let limits = [
        "--container-memory-mib=384",
        "--container-cpus=1",
        "--container-pids=64",
    ];
    let stage = Stage::set(&limits).await;
    let most = 200;
    let said = stage.node(MULTIPLY, &json!(most)).await;
    let multiplied: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(multiplied["refusal"], "EAGAIN", "{multiplied}");
    assert!(multiplied["started"].as_u64() < Some(64), "{multiplied}");

    let full = stage
        .sh("dd if=/dev/zero of=/tmp/full bs=1M count=300; code=$?; rm /tmp/full; exit $code")
        .await;
    let told = String::from_utf8_lossy(&full.stderr);
    assert!(told.contains("No space left"), "{full:?}");

    let hoarded = stage.node(HOARD, &Value::Null).await;
    assert_eq!(hoarded.status.code(), Some(KILLED), "{hoarded:?}");
    // The largest is killed, not the whole container.
    let key = stage.attacker["key"].as_str().unwrap();
    let page = stage.api.preview(&format!("{key}/index.html"), &[]).await;
    assert_eq!(page.status, 200, "{page:?}");
    stage.undisturbed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_in_the_place_of_its_socket_leads_nowhere() {
    let stage = Stage::set(&[]).await;
    let mine = stage.container_directory(&stage.attacker);
    let theirs = stage.container_directory(&stage.victim);
    let socket = mine.join("project-server.sock");
    assert!(socket.exists());
    for target in [
        PathBuf::from("/var/run/docker.sock"),
        theirs.join("project-server.sock"),
        Path::new("..")
            .join(theirs.file_name().unwrap())
            .join("project-server.sock"),
    ] {
        let link = format!(
            "ln -sf {} /run/firefly/project-server.sock",
            target.display()
        );
        let linked = stage.sh(&link).await;
        assert!(linked.status.success(), "{linked:?}");
        assert_eq!(std::fs::read_link(&socket).unwrap(), target);
        wait_for("a new connection to the link", async || {
            let mut met = None;
            for page in stage.burst(BURST).await {
                let foreign =
                    page.text.contains(SECRET_PAGE) || page.text.contains("page not found");
                assert!(!foreign, "{page:?}");
                if page.status != 200 {
                    met = Some(());
                }
            }
            met
        })
        .await;
    }
    stage.undisturbed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_out_of_the_workspace_show_nothing() {
    let stage = Stage::set(&[]).await;
    let victims = stage.firefly.workspace(&stage.victim).join("index.html");
    let victims = victims.to_string_lossy().into_owned();
    let key = stage.attacker["key"].as_str().unwrap();
    for target in [
        victims.as_str(),
        "../../workspaces",
        "/proc/self/environ",
        "/proc/1/environ",
        "/proc/self/root/etc/passwd",
        "/run/egress/egress.sock",
        "/dev/zero",
    ] {
        let linked = stage
            .sh(&format!("ln -sfn {target} /workspace/link.txt"))
            .await;
        assert!(linked.status.success(), "{linked:?}");
        let page = stage.api.preview(&format!("{key}/link.txt"), &[]).await;
        assert_eq!(page.status, 404, "{target}: {page:?}");
        assert!(!page.text.contains(SECRET_PAGE), "{page:?}");
    }
    stage.undisturbed().await;
}
