//! Runs one job of [`tool()`](crate::tool()) in a process of its own, under a deadline.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use firefly_domain::control::{Progress, Unsaved};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

use crate::egress::Forwarder;
use crate::tool::protocol::{Line, Outcome};
use crate::{Config, SelfExe};

/// Half an hour of progress lines; a child that writes more is broken.
const OUTPUT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How long `git status` may take on the largest workspace that makes sense.
const INSPECT_DEADLINE: Duration = Duration::from_secs(60);

/// What a child may know of its parent's environment: what the reactor passes on, and nothing secret.
const ENVIRONMENT: [&str; 16] = [
    "PATH",
    "HOME",
    "LANG",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "NODE_EXTRA_CA_CERTS",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "npm_config_registry",
];

/// What git is told wherever it runs: to ask nobody, to read no configuration but the workspace's, and that packages
/// which give the address of a public repository for people with a key are found at the one for everybody.
const GIT_ENVIRONMENT: [(&str, &str); 8] = [
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_CONFIG_COUNT", "2"),
    ("GIT_CONFIG_KEY_0", "url.https://github.com/.insteadOf"),
    ("GIT_CONFIG_VALUE_0", "ssh://git@github.com/"),
    ("GIT_CONFIG_KEY_1", "url.https://github.com/.insteadOf"),
    ("GIT_CONFIG_VALUE_1", "git@github.com:"),
];

/// Why a job gave no outcome.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot start {job} as {program}; check that the program is there")]
    Start {
        job: &'static str,
        program: String,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot talk to the process that does {job}")]
    Talk {
        job: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("the process that does {job} ended without an outcome ({status})")]
    NoOutcome {
        job: &'static str,
        status: ExitStatus,
    },
    #[error("{job} took longer than {} s and was stopped", .limit.as_secs())]
    Deadline { job: &'static str, limit: Duration },
}

/// Starts children; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Jobs {
    exe: SelfExe,
    workspace: Arc<Path>,
    /// One look at a time: a second one would only slow the first.
    inspecting: Arc<Semaphore>,
    environment: Arc<HashMap<OsString, OsString>>,
}

impl Jobs {
    /// Reads from this process's environment what children may know. The way out, if there is one, is the only one.
    pub(crate) fn new(
        config: &Config,
        forwarder: Option<&Forwarder>,
        workspace: Arc<Path>,
    ) -> Self {
        let mut environment: HashMap<OsString, OsString> = ENVIRONMENT
            .iter()
            .filter_map(|name| Some(((*name).into(), std::env::var_os(name)?)))
            .collect();
        let cache = config.npm_cache.as_ref().map(|cache| cache.into());
        let cache = cache.or_else(|| {
            let home = environment.get(&OsString::from("HOME"))?;
            Some(Path::new(home).join(".npm").into_os_string())
        });
        if let Some(cache) = cache {
            environment.insert("npm_config_cache".into(), cache);
        }
        // npm runs git for some dependencies, and git does not read the variable that everyone else reads.
        if let Some(bundle) = environment.get(&OsString::from("SSL_CERT_FILE")).cloned() {
            environment.entry("GIT_SSL_CAINFO".into()).or_insert(bundle);
        }
        for (name, value) in GIT_ENVIRONMENT {
            environment.insert(name.into(), value.into());
        }
        for (name, value) in forwarder.map(Forwarder::environment).into_iter().flatten() {
            environment.insert(name.into(), value.into());
        }
        Self {
            exe: config.self_exe.clone(),
            workspace,
            inspecting: Arc::new(Semaphore::new(1)),
            environment: Arc::new(environment),
        }
    }

    /// Runs a step to its outcome. Dropping the future ends the child and everything it started.
    pub(crate) async fn step(
        &self,
        job: &'static str,
        request: &impl Serialize,
        git_config: Option<&Path>,
        limit: Duration,
        on_progress: impl FnMut(Progress),
    ) -> Result<Outcome, Error> {
        let talk = |source| Error::Talk { job, source };
        let mut line = serde_json::to_vec(request).map_err(|error| talk(error.into()))?;
        line.push(b'\n');
        let mut command = self.command(job);
        if let Some(path) = git_config {
            command.env("GIT_CONFIG_GLOBAL", path);
        }
        let mut group = self.spawn(job, command.stdin(Stdio::piped()))?;
        let mut stdin = group.child.stdin.take();
        let work = async {
            if let Some(stdin) = &mut stdin {
                stdin.write_all(&line).await.map_err(talk)?;
            }
            let outcome = read_outcome(&mut group.child, on_progress).await;
            let outcome = outcome.map_err(talk)?;
            // Whatever a script of npm has left running ends here; a child that has just spoken was about to end.
            group.kill();
            let status = group.child.wait().await.map_err(talk)?;
            outcome.ok_or(Error::NoOutcome { job, status })
        };
        match tokio::time::timeout(limit, work).await {
            Ok(result) => result,
            Err(_) => Err(Error::Deadline { job, limit }),
        }
    }

    /// Counts the unsaved work of the workspace.
    pub(crate) async fn inspect(&self) -> Result<Unsaved, Error> {
        let job = "inspect";
        let limit = INSPECT_DEADLINE;
        let talk = |source| Error::Talk { job, source };
        let work = async {
            // It is never closed, so there is no error to treat.
            let _turn = self.inspecting.acquire().await;
            let mut group = self.spawn(job, self.command(job).stdin(Stdio::null()))?;
            let mut output = Vec::new();
            if let Some(stdout) = &mut group.child.stdout {
                let mut stdout = stdout.take(OUTPUT_BYTES_MAX);
                stdout.read_to_end(&mut output).await.map_err(talk)?;
            }
            let status = group.child.wait().await.map_err(talk)?;
            serde_json::from_slice(&output).map_err(|_| Error::NoOutcome { job, status })
        };
        match tokio::time::timeout(limit, work).await {
            Ok(result) => result,
            Err(_) => Err(Error::Deadline { job, limit }),
        }
    }

    fn command(&self, job: &str) -> Command {
        let mut command = Command::new(&self.exe.program);
        command
            .args(&self.exe.args)
            .arg(job)
            .arg(self.workspace.as_os_str())
            .env_clear()
            .envs(self.environment.iter());
        command
    }

    fn spawn(&self, job: &'static str, command: &mut Command) -> Result<Group, Error> {
        let child = command
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| Error::Start {
                job,
                program: self.exe.program.display().to_string(),
                source,
            })?;
        let leader = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Ok(Group { child, leader })
    }
}

/// A child with all the processes it started.
struct Group {
    child: Child,
    leader: Option<Pid>,
}

impl Group {
    /// Ends all of it, unless the child was waited for: then its number may belong to a stranger.
    fn kill(&self) {
        if let (Some(leader), Some(_)) = (self.leader, self.child.id()) {
            // It fails only if nothing is left to kill.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn read_outcome(
    child: &mut Child,
    mut on_progress: impl FnMut(Progress),
) -> std::io::Result<Option<Outcome>> {
    let Some(stdout) = child.stdout.take() else {
        return Ok(None);
    };
    let mut lines = BufReader::new(stdout.take(OUTPUT_BYTES_MAX)).lines();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line) {
            Ok(Line::Progress(progress)) => on_progress(progress),
            Ok(Line::Outcome(outcome)) => return Ok(Some(outcome)),
            // Something in the child printed for people; it is theirs to read.
            Err(_) => tracing::debug!(line, "the child printed something else"),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::Listen;

    /// Jobs whose child is this shell script.
    fn jobs(script: &str, workspace: &Path) -> Jobs {
        let config = Config {
            listen: Listen::Tcp((Ipv4Addr::LOCALHOST, 0).into()),
            workspace: workspace.to_owned(),
            local_source: None,
            npm_cache: None,
            egress: None,
            exit_on_stdin_eof: false,
            self_exe: SelfExe {
                program: "sh".into(),
                args: vec!["-c".into(), script.into()],
            },
        };
        Jobs::new(&config, None, workspace.into())
    }

    async fn run(jobs: &Jobs, limit: Duration) -> Result<Outcome, Error> {
        jobs.step("source", &(), None, limit, |_| {}).await
    }

    #[tokio::test]
    async fn a_silent_child_and_its_children_are_ended_at_the_deadline() {
        let workspace = tempfile::tempdir().unwrap();
        // "$1" is the workspace: the arguments of the tool follow the script.
        let jobs = jobs("sleep 1000 & echo $! > $1/pid; wait", workspace.path());
        let pid = workspace.path().join("pid");
        let limit = Duration::from_secs(1);
        assert!(matches!(
            run(&jobs, limit).await,
            Err(Error::Deadline { .. })
        ));
        let pid = std::fs::read_to_string(pid).unwrap();
        let status = Path::new("/proc").join(pid.trim()).join("cmdline");
        let gone = async {
            // A dead process has no command line, even while nobody has asked for its status.
            while std::fs::read(&status).is_ok_and(|line| !line.is_empty()) {
                tokio::task::yield_now().await;
            }
        };
        assert!(tokio::time::timeout(limit * 10, gone).await.is_ok());
    }

    #[tokio::test]
    async fn a_child_that_says_nothing_is_no_success() {
        let workspace = tempfile::tempdir().unwrap();
        let limit = Duration::from_secs(60);
        for script in ["exit 0", "echo nonsense", "kill -9 $$"] {
            let jobs = jobs(script, workspace.path());
            assert!(matches!(
                run(&jobs, limit).await,
                Err(Error::NoOutcome { .. } | Error::Talk { .. })
            ));
        }
    }

    #[tokio::test]
    async fn git_finds_what_packages_give_a_key_holders_address_for() {
        let workspace = tempfile::tempdir().unwrap();
        let script = "for url in git@github.com:a/b ssh://git@github.com/a/b; do \
             git ls-remote --get-url $url; done > $1/urls";
        let jobs = jobs(script, workspace.path());
        // The script has no outcome to tell.
        assert!(run(&jobs, Duration::from_secs(60)).await.is_err());
        let urls = std::fs::read_to_string(workspace.path().join("urls")).unwrap();
        assert_eq!(urls, "https://github.com/a/b\n".repeat(2));
    }

    #[tokio::test]
    async fn children_learn_nothing_but_what_is_listed() {
        let workspace = tempfile::tempdir().unwrap();
        let jobs = jobs("env > $1/env", workspace.path());
        // The script has no outcome to tell.
        assert!(run(&jobs, Duration::from_secs(60)).await.is_err());
        let seen = std::fs::read_to_string(workspace.path().join("env")).unwrap();
        let ours = GIT_ENVIRONMENT.map(|(name, _)| name);
        // The shell adds these itself.
        let shells = ["PWD", "OLDPWD", "SHLVL", "_"];
        for name in seen
            .lines()
            .filter_map(|line| Some(line.split_once('=')?.0))
        {
            assert!(
                ENVIRONMENT.contains(&name)
                    || ours.contains(&name)
                    || name == "npm_config_cache"
                    || shells.contains(&name),
                "{name} was passed on"
            );
        }
    }
}
