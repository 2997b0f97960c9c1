//! The real binary, as `firefly up` on a data directory of its own and a free port.

mod binary;
mod settings;

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::api::text;
use crate::output::Output;
use crate::waiting::{until_ended, wait_blocking};
use crate::{Api, docker, npm_cache, processes};

pub use settings::{Runtime, Settings};

pub(crate) use binary::target_directory;
use binary::{program, spawn};

/// How long an orderly end may take; containers get five seconds, the shutdown in all fifteen.
const END_DEADLINE: Duration = Duration::from_secs(30);

/// The user that local sign-in signs in.
pub const USER: &str = "local";

/// A Firefly that was started; it ends when dropped, and with the last one on its data directory all that they have made.
pub struct Firefly {
    home: Arc<tempfile::TempDir>,
    settings: Settings,
    child: Child,
    output: Output,
    errors: Output,
    port: u16,
}

impl Firefly {
    /// Starts one with default settings.
    pub async fn start(runtime: Runtime) -> Self {
        Self::start_with(Settings::new(runtime)).await
    }

    /// Starts one and waits until it listens.
    ///
    /// # Panics
    ///
    /// It does not come to listen, or there is no Docker engine although one is asked for.
    pub async fn start_with(settings: Settings) -> Self {
        if settings.runtime == Runtime::Docker {
            docker::require();
        }
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        if settings.warm_npm_cache {
            npm_cache::copy_to(&home.path().join("data/npm").join(USER));
        }
        Self::start_in(Arc::new(home), settings).await
    }

    /// Starts another one on the same data directory, on another free port.
    ///
    /// # Panics
    ///
    /// It does not come to listen.
    pub async fn start_beside(&self) -> Self {
        Self::start_in(Arc::clone(&self.home), self.settings.clone()).await
    }

    async fn start_in(home: Arc<tempfile::TempDir>, settings: Settings) -> Self {
        let (output, errors) = (Output::new(), Output::new());
        let child = spawn(home.path(), &settings, 0, &output, &errors);
        let mut firefly = Self {
            home,
            settings,
            child,
            output,
            errors,
            port: 0,
        };
        firefly.port = firefly.listening(0).await;
        firefly
    }

    /// Starts again on the same data directory, on another free port.
    pub async fn restart(&mut self) {
        self.restart_on(0).await;
    }

    /// Starts again on the same data directory and port, as somebody would who was interrupted.
    pub async fn restart_on_same_port(&mut self) {
        self.restart_on(self.port).await;
    }

    async fn restart_on(&mut self, port: u16) {
        let skip = self.output.lines().len();
        self.child = spawn(
            self.home.path(),
            &self.settings,
            port,
            &self.output,
            &self.errors,
        );
        self.port = self.listening(skip).await;
    }

    /// The port in the line that says where it listens.
    async fn listening(&mut self, skip: usize) -> u16 {
        let port = |line: &str| {
            let url = match serde_json::from_str::<Value>(line) {
                Ok(said) if said["type"] == "listening" => text(&said["url"]),
                Ok(_) => return None,
                Err(_) => line.strip_prefix("console ")?.to_owned(),
            };
            url.rsplit(':').next()?.parse().ok()
        };
        tokio::select! {
            biased;
            port = self.output.find(skip, port) => port.expect("Firefly comes to listen in time"),
            status = until_ended(&mut self.child) => panic!(
                "Firefly ended before it listened, with {status}:\n{}",
                [self.output.lines().split_off(skip), self.errors.lines()].concat().join("\n")
            ),
        }
    }

    /// Kills it without a warning.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        processes::kill(self.child.id(), signal);
    }

    /// Asks it to end as Ctrl-C does, and waits until it has.
    ///
    /// # Panics
    ///
    /// It does not end in time.
    pub fn interrupt(&mut self) -> ExitStatus {
        self.signal(Signal::INT);
        self.ended()
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    ///
    /// It does not end in time.
    pub fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        let ended = wait_blocking(END_DEADLINE, || {
            status = self.child.try_wait().expect("a child can be waited for");
            status.is_some()
        });
        assert!(
            ended,
            "Firefly did not end within {} s",
            END_DEADLINE.as_secs()
        );
        status.unwrap_or_else(|| ExitStatus::from_raw(0))
    }

    /// A client that is signed in.
    pub async fn api(&self) -> Api {
        Api::sign_in(self.port).await
    }

    /// The port that it listens on.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What runs its projects.
    pub const fn runtime(&self) -> Runtime {
        self.settings.runtime
    }

    /// The address of the console and the API.
    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// The address of a file of a project, as browsers see it.
    pub fn preview(&self, project: &str, file: &str) -> String {
        format!("http://project.localhost:{}/{project}/{file}", self.port)
    }

    /// Where it keeps everything.
    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// The workspace of a project, by the id in the project's view.
    pub fn workspace(&self, project: &Value) -> PathBuf {
        let id = project["id"].as_str().expect("a project has an id");
        self.data().join("workspaces").join(id)
    }

    /// Which Firefly it is among all on the same engine.
    pub fn instance(&self) -> String {
        let file = self.data().join("instance");
        let instance = std::fs::read_to_string(file).expect("an instance has an id");
        instance.trim().to_owned()
    }

    /// The generations of whatever runs for its projects, as the machine itself tells.
    ///
    /// Child processes do not tell theirs; each stands for one of generation 0.
    pub fn running(&self) -> Vec<u64> {
        match self.settings.runtime {
            Runtime::Docker => docker::containers(&self.instance())
                .into_iter()
                .map(|container| container.generation)
                .collect(),
            Runtime::Process => self.project_servers().iter().map(|_| 0).collect(),
        }
    }

    /// The ids of its project-servers that run as child processes.
    pub fn project_servers(&self) -> Vec<u32> {
        let is_server = |pid: &u32| {
            std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|arguments| {
                arguments
                    .split(|byte| *byte == 0)
                    .any(|argument| argument == b"--exit-on-stdin-eof")
            })
        };
        let about = processes::about(&self.data().join("workspaces"));
        about.into_iter().filter(is_server).collect()
    }

    /// All processes that have to do with its workspaces.
    pub fn processes_in_workspaces(&self) -> Vec<u32> {
        processes::about(&self.data().join("workspaces"))
    }

    /// What it has said on standard output, in all its lives.
    pub fn said(&self) -> Vec<String> {
        self.output.lines()
    }

    /// Waits until a line of standard output makes something.
    ///
    /// # Panics
    ///
    /// No such line comes.
    pub async fn until_said<T>(&self, find: impl Fn(&str) -> Option<T>) -> T {
        match self.output.find(0, find).await {
            Some(found) => found,
            None => panic!("Firefly did not say what was awaited"),
        }
    }

    /// Waits until it has logged a text.
    ///
    /// # Panics
    ///
    /// It does not come.
    pub async fn until_logged(&self, text: &str) {
        let found = |line: &str| line.contains(text).then_some(());
        let logged = self.errors.find(0, found).await;
        assert!(logged.is_some(), "Firefly did not log: {text}");
    }

    /// Runs one command of the client against it, and waits for its end.
    pub async fn command(&self, arguments: &[&str]) -> Said {
        let output = tokio::process::Command::new(program(self.home.path()))
            .args(arguments)
            .env("FIREFLY_SERVER", self.url())
            .env("XDG_CACHE_HOME", self.home.path().join("cache"))
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .output()
            .await
            .expect("the binary can be run");
        Said {
            success: output.status.success(),
            output: String::from_utf8_lossy(&output.stdout).into_owned(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// How a command of the client ended, and what it said.
#[derive(Clone, Debug)]
pub struct Said {
    /// Whether its exit code was 0.
    pub success: bool,
    /// On standard output.
    pub output: String,
    /// On standard error.
    pub errors: String,
}

impl Drop for Firefly {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let is_last = Arc::strong_count(&self.home) == 1;
        if is_last
            && self.data().join("instance").exists()
            && self.settings.runtime == Runtime::Docker
        {
            docker::remove_all(&self.instance());
        }
        if is_last {
            processes::end_all(self.home.path());
        }
        if std::thread::panicking() {
            for line in self.output.lines().iter().chain(&self.errors.lines()) {
                eprintln!("firefly: {line}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[should_panic(expected = "the event log cannot be opened")]
    async fn a_firefly_that_ends_before_it_listens_is_not_waited_for() {
        let settings = Settings::new(Runtime::Process)
            .cold()
            .on_log("sqlite:/dev/null/events.db");
        Firefly::start_with(settings).await;
    }
}
