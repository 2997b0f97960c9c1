//! The container engine, seen from beside Firefly: through its own command line.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

/// The label that all containers and networks of one Firefly carry.
const INSTANCE_LABEL: &str = "studio.firefly.instance";

/// The label that only containers of projects carry.
const GENERATION_LABEL: &str = "studio.firefly.generation";

/// A container of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The engine's full id.
    pub id: String,
    /// The opening it was made for.
    pub generation: u64,
    /// Whether it runs.
    pub running: bool,
}

/// All project containers of one instance, running or not.
pub fn containers(instance: &str) -> Vec<Container> {
    let format = format!("{{{{.ID}}}} {{{{.State}}}} {{{{.Label \"{GENERATION_LABEL}\"}}}}");
    let listed = docker(&[
        "ps",
        "--all",
        "--no-trunc",
        "--filter",
        &format!("label={INSTANCE_LABEL}={instance}"),
        "--filter",
        &format!("label={GENERATION_LABEL}"),
        "--format",
        &format,
    ]);
    let read = |line: &str| {
        let mut words = line.split(' ');
        Some(Container {
            id: words.next()?.to_owned(),
            running: words.next()? == "running",
            generation: words.next()?.parse().ok()?,
        })
    };
    listed.lines().filter_map(read).collect()
}

/// What the engine did to containers of one instance, from a time in Unix seconds on until now: what it was, and to which.
pub fn happened(instance: &str, since: u64) -> Vec<String> {
    let label = format!("label={INSTANCE_LABEL}={instance}");
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs() + 1;
    let happened = docker(&[
        "events",
        "--since",
        &since.to_string(),
        "--until",
        &now.to_string(),
        "--filter",
        "type=container",
        "--filter",
        &label,
        "--format",
        "{{.Action}} {{.ID}}",
    ]);
    happened.lines().map(str::to_owned).collect()
}

/// The networks of one instance.
pub fn networks(instance: &str) -> Vec<String> {
    let label = format!("label={INSTANCE_LABEL}={instance}");
    let listed = docker(&["network", "ls", "--quiet", "--filter", &label]);
    listed.lines().map(str::to_owned).collect()
}

/// Kills a container behind Firefly's back.
pub fn kill(container: &str) {
    docker(&["kill", container]);
}

/// Removes everything of an instance, however far it came.
pub(crate) fn remove_all(instance: &str) {
    let label = format!("label={INSTANCE_LABEL}={instance}");
    let found = run(&["ps", "--all", "--quiet", "--filter", &label]);
    for id in String::from_utf8_lossy(&found.stdout).lines() {
        run(&["rm", "--force", "--volumes", id]);
    }
    let found = run(&["network", "ls", "--quiet", "--filter", &label]);
    for id in String::from_utf8_lossy(&found.stdout).lines() {
        run(&["network", "rm", id]);
    }
}

/// The address of this host that containers reach, on the engine's own bridge.
///
/// # Panics
///
/// No engine answers, or it has no bridge.
pub fn host_address() -> IpAddr {
    let format = "{{(index .IPAM.Config 0).Subnet}}";
    let subnet = docker(&["network", "inspect", "bridge", "--format", format]);
    let base = subnet.split('/').next().unwrap_or_default().parse();
    let base: Ipv4Addr = base.expect("the bridge has a subnet");
    // The engine does not always tell its gateway; the kernel knows which address it would speak to a container from.
    let container = Ipv4Addr::from_bits(base.to_bits() + 2);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect((container, 9))?;
        socket.local_addr()
    });
    socket.expect("this host is on the bridge").ip()
}

/// Fails the test if no engine answers, since half of what is to be proved needs one.
pub fn require() {
    let answer = run(&["version", "--format", "{{.Server.Version}}"]);
    assert!(
        answer.status.success(),
        "this test needs a Docker engine and none answers; start one (tests/run does): {}",
        String::from_utf8_lossy(&answer.stderr)
    );
}

fn docker(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(
        output.status.success(),
        "docker {arguments:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn run(arguments: &[&str]) -> Output {
    Command::new("docker")
        .args(arguments)
        .output()
        .expect("the docker command line is installed")
}
