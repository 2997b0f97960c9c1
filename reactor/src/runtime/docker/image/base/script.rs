//! Runs the script that makes the base image, and ends it with all that it has started.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use super::super::super::super::Progress;
use super::super::super::super::last_words::LastWords;
use super::super::super::call::BaseError;

/// How long the script may take to clear away what it has made so far; that is some hundred megabytes.
const CLEAR_DEADLINE: Duration = Duration::from_secs(20);

/// Runs the script to its end. Dropping the future asks all of it to end.
pub(super) async fn run(
    script: &str,
    tag: &str,
    deadline: Duration,
    progress: Progress<'_>,
) -> Result<(), BaseError> {
    let mut group = Group::spawn(script, tag).map_err(BaseError::NotRun)?;
    let last_words = LastWords::default();
    let keep = |line: &str| last_words.push(line);
    let (stdout, stderr) = (group.leader.stdout.take(), group.leader.stderr.take());
    let work = async {
        tokio::join!(each_line(stdout, progress), each_line(stderr, &keep));
        group.leader.wait().await
    };
    match tokio::time::timeout(deadline, work).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(_)) => Err(BaseError::Script(last_words.to_string())),
        Ok(Err(error)) => Err(BaseError::NotRun(error)),
        Err(_) => {
            group.end().await;
            Err(BaseError::TooLong(deadline))
        }
    }
}

/// The script and all that it has started.
struct Group {
    leader: Child,
}

impl Group {
    fn spawn(script: &str, tag: &str) -> io::Result<Self> {
        let leader = Command::new("bash")
            .args(["-c", script, "bootstrap"])
            .env("FIREFLY_PROJECT_BASE_TAG", tag)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        Ok(Self { leader })
    }

    /// Asks all of it to end, which lets it clear up, and then makes it.
    async fn end(&mut self) {
        self.signal(Signal::TERM);
        if tokio::time::timeout(CLEAR_DEADLINE, self.leader.wait())
            .await
            .is_err()
        {
            self.signal(Signal::KILL);
        }
    }

    /// Reaches nobody once the leader was waited for: then the number may be a stranger's.
    fn signal(&self, signal: Signal) {
        let leader = self.leader.id();
        if let Some(leader) = leader.and_then(|id| Pid::from_raw(id.cast_signed())) {
            // It fails only if nobody is left.
            let _ = kill_process_group(leader, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
    }
}

async fn each_line(output: Option<impl AsyncRead + Unpin>, take: Progress<'_>) {
    let Some(output) = output else { return };
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        take(&line);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Starts something that would go on for long, says so by a file, and clears up in the end.
    const ENDLESS: &str = r#"
        trap 'rm "$FIREFLY_PROJECT_BASE_TAG/begun"' EXIT
        sleep 600 & echo $! >"$FIREFLY_PROJECT_BASE_TAG/pid"
        touch "$FIREFLY_PROJECT_BASE_TAG/begun"
        wait
    "#;

    /// A process that has ended has no command line, even while nobody has asked for its status.
    async fn is_gone(pid_file: &Path) {
        let pid = std::fs::read_to_string(pid_file).unwrap();
        let line = Path::new("/proc").join(pid.trim()).join("cmdline");
        while std::fs::read(&line).is_ok_and(|line| !line.is_empty()) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_script_that_takes_too_long_clears_up_and_leaves_nothing_running() {
        let home = tempfile::tempdir().unwrap();
        let tag = home.path().to_str().unwrap();
        let outcome = run(ENDLESS, tag, Duration::from_secs(2), &|_| {}).await;
        assert!(matches!(outcome, Err(BaseError::TooLong(_))), "{outcome:?}");
        is_gone(&home.path().join("pid")).await;
        assert!(!home.path().join("begun").exists());
    }

    #[tokio::test]
    async fn a_script_that_nobody_waits_for_any_more_ends() {
        let home = tempfile::tempdir().unwrap();
        let (tag, begun) = (home.path().to_str().unwrap(), home.path().join("begun"));
        let has_begun = async {
            while !begun.exists() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            outcome = run(ENDLESS, tag, CLEAR_DEADLINE, &|_| {}) => panic!("{outcome:?}"),
            () = has_begun => {}
        }
        is_gone(&home.path().join("pid")).await;
    }

    #[tokio::test]
    async fn a_script_that_fails_is_quoted() {
        let outcome = run("echo no >&2; exit 1", "", CLEAR_DEADLINE, &|_| {}).await;
        let Err(BaseError::Script(words)) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(words, "no");
    }
}
