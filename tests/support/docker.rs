//! The container engine, seen from beside Firefly: through its own command line.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::process::{Command, Output};

/// The label that all containers and networks of one Firefly carry.
const INSTANCE_LABEL: &str = "studio.firefly.instance";

/// The label that only containers of projects carry.
const PLACE_LABEL: &str = "studio.firefly.place";

/// What is in the name of a container that waits for a project.
const POOL: &str = "-pool-";

/// A container of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The engine's full id.
    pub id: String,
    /// Whether its programs are there, be it that they stand still.
    pub alive: bool,
}

/// All project containers of one instance, running or not.
pub fn containers(instance: &str) -> Vec<Container> {
    let listed = docker(&[
        "ps",
        "--all",
        "--no-trunc",
        "--filter",
        &format!("label={INSTANCE_LABEL}={instance}"),
        "--filter",
        &format!("label={PLACE_LABEL}"),
        "--format",
        "{{.ID}} {{.State}} {{.Names}}",
    ]);
    let read = |line: &str| {
        let mut words = line.split(' ');
        let id = words.next()?.to_owned();
        let alive = ["running", "paused"].contains(&words.next()?);
        let of_project = !words.next()?.contains(POOL);
        of_project.then_some(Container { id, alive })
    };
    listed.lines().filter_map(read).collect()
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
