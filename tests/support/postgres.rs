//! A private PostgreSQL server for one test: real, durable, and gone when the test is.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// How often the server is asked whether it is up, before the test gives up; each try waits for up to a second.
const START_ATTEMPTS_MAX: u32 = 30;

/// The unprivileged user that Debian's package makes; PostgreSQL refuses to run as root.
const USER: &str = "postgres";

/// A running server with an empty database.
pub struct Postgres {
    server: Child,
    port: u16,
    _home: tempfile::TempDir,
}

impl Postgres {
    /// Makes a cluster in a temporary directory and starts its server on a free port of the loopback address.
    pub fn start() -> Self {
        let home = tempfile::tempdir().expect("no temporary directory");
        let data = home.path().join("data");
        std::fs::create_dir(&data).expect("no directory for the cluster");
        if is_root() {
            run(Command::new("chown").args([USER, &shown(home.path()), &shown(&data)]));
        }
        let mut initdb = unprivileged("initdb");
        run(initdb
            .args([
                "--no-sync",
                "--auth=trust",
                "--username=firefly",
                "--encoding=UTF8",
                "--pgdata",
            ])
            .arg(&data));
        let port = free_port();
        let mut postgres = unprivileged("postgres");
        postgres
            .arg("-D")
            .arg(&data)
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-k"])
            .arg(home.path());
        let server = postgres
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("postgres does not start");
        let postgres = Self {
            server,
            port,
            _home: home,
        };
        postgres.wait();
        postgres
    }

    /// Where its database is.
    pub fn url(&self) -> String {
        format!("postgres://firefly@127.0.0.1:{}/postgres", self.port)
    }

    fn wait(&self) {
        for _ in 0..START_ATTEMPTS_MAX {
            let mut ready = Command::new(binary("pg_isready"));
            ready.args([
                "-q",
                "-t",
                "1",
                "-h",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
            ]);
            if ready.status().is_ok_and(|status| status.success()) {
                return;
            }
            // pg_isready comes back at once when the port is still closed.
            std::thread::park_timeout(std::time::Duration::from_millis(50));
        }
        panic!(
            "the PostgreSQL server on port {} does not answer",
            self.port
        );
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("no free port");
    listener
        .local_addr()
        .expect("a bound socket has an address")
        .port()
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("no id");
    output.stdout.trim_ascii() == b"0"
}

/// A program of PostgreSQL's, as an unprivileged user, ended by the kernel when this test ends in whatever way.
fn unprivileged(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    if is_root() {
        command.args(["--reuid", USER, "--regid", USER, "--init-groups"]);
    }
    command
        .args(["--pdeathsig", "KILL"])
        .arg(binary(program))
        .current_dir("/");
    command
}

fn binary(program: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut found: Vec<PathBuf> = versions
        .map(|version| version.path().join("bin").join(program))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found
        .pop()
        .unwrap_or_else(|| panic!("PostgreSQL's {program} is not installed; tests/run installs it"))
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
