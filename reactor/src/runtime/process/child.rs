//! One child process: a task of its own waits for its end, and it alone sends signals.
//!
//! A process id may be used anew once its process was waited for. So its end is only looked at, and the process
//! is waited for last of all: no signal is sent after that, and none reaches a stranger.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use chrono::Utc;
use firefly_domain::{ContainerId, ProjectId};
use futures::StreamExt;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};
use tokio::io::AsyncRead;
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::signal::{self, unix::SignalKind};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::Instant;

use super::super::handshake::{Lines, lines};
use super::super::last_words::LastWords;
use super::super::{Exit, RuntimeEvent};
use super::Error;
use super::record::Record;

/// Stop orders that may wait; a later one only changes the grace.
const ORDERS_MAX: usize = 4;

/// Grace for a child that nobody holds any more.
const ABANDONED_GRACE: Duration = Duration::from_secs(5);

/// How long a killed process may take to be gone.
const KILL_DEADLINE: Duration = Duration::from_secs(10);

/// How long output is waited for after its program ended; grandchildren may hold on to it.
const OUTPUT_DEADLINE: Duration = Duration::from_secs(1);

/// A look at whether a process has ended, which leaves it to be waited for.
const LOOK: WaitIdOptions = WaitIdOptions::EXITED
    .union(WaitIdOptions::NOWAIT)
    .union(WaitIdOptions::NOHANG);

/// A child process that is ended when this is dropped.
pub(super) struct Child {
    pub(super) id: ContainerId,
    /// Kept open for the child's life: its end is what tells the child that its parent is gone.
    pub(super) stdin: ChildStdin,
    orders: mpsc::Sender<Order>,
    exit: watch::Receiver<Option<Exit>>,
    output_ended: watch::Receiver<bool>,
}

/// What a child's watcher is told to do.
#[derive(Debug)]
enum Order {
    /// Ask it to end, and make it after so long.
    End(Duration),
    /// Pass a signal on to it with all that it started, and tell when that is done.
    Signal(Signal, oneshot::Sender<()>),
}

/// A new child and its output.
pub(super) struct Spawned {
    pub(super) child: Child,
    pub(super) stdout: Lines<ChildStdout>,
    pub(super) last_words: LastWords,
}

impl Child {
    /// How it ended, if it has.
    pub(super) fn exit(&self) -> Option<Exit> {
        self.exit.borrow().clone()
    }

    /// Asks it to end, ends it by force after `grace`, and waits until it has.
    pub(super) fn stop(
        &self,
        grace: Duration,
    ) -> impl Future<Output = Result<(), Error>> + Send + 'static {
        // A full queue holds orders enough, and a closed one means that the child has ended.
        let _ = self.orders.try_send(Order::End(grace));
        let (id, mut exit) = (self.id.clone(), self.exit.clone());
        async move {
            let ended = exit.wait_for(Option::is_some);
            match tokio::time::timeout(grace + KILL_DEADLINE, ended).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(_)) | Err(_) => Err(Error::Unkillable { id }),
            }
        }
    }

    /// Passes a signal on to it with all that it started. One that has ended is fine.
    pub(super) fn signal(&self, signal: Signal) -> impl Future<Output = ()> + Send + 'static {
        let (done, is_done) = oneshot::channel();
        let orders = self.orders.clone();
        async move {
            if orders.send(Order::Signal(signal, done)).await.is_ok() {
                // It is not said by a watcher whose child has ended.
                let _ = is_done.await;
            }
        }
    }

    /// Waits until the child's last words are complete, within reason.
    pub(super) async fn output_ended(&self) {
        let mut ended = self.output_ended.clone();
        let ended = ended.wait_for(|ended| *ended);
        // Incomplete last words are better than none, so it matters not which of the two comes first.
        let _ = tokio::time::timeout(OUTPUT_DEADLINE, ended).await;
    }
}

/// Starts a process, records it, and watches over it.
pub(super) fn spawn(
    mut command: Command,
    run_directory: &Path,
    events: broadcast::Sender<RuntimeEvent>,
    project: ProjectId,
) -> Result<Spawned, Error> {
    let mut process = command.spawn().map_err(Error::spawn(&command))?;
    let pid = process
        .id()
        .and_then(|pid| Pid::from_raw(pid.cast_signed()))
        .expect("a process that was not waited for has an id");
    let (stdin, stdout, stderr) = (
        process.stdin.take().expect("standard input is piped"),
        process.stdout.take().expect("standard output is piped"),
        process.stderr.take().expect("standard error is piped"),
    );
    let record = Record::of(pid).and_then(|record| record.save(run_directory).map(|()| record));
    let record = match record {
        Ok(record) => record,
        Err(source) => {
            // Its standard input ends here as well. It has not been given anything to do yet.
            let _ = process.start_kill();
            return Err(Error::RunDirectory {
                path: run_directory.to_owned(),
                source,
            });
        }
    };
    let process = Process::new(process, pid).map_err(Error::spawn(&command))?;
    let id = record.container_id();
    let last_words = LastWords::default();
    let output_ended = watch_errors(stderr, last_words.clone(), project);
    let (orders, orders_taken) = mpsc::channel(ORDERS_MAX);
    let (exit_told, exit) = watch::channel(None);
    let watched = id.clone();
    let run_directory = run_directory.to_owned();
    tokio::spawn(async move {
        let exit = watch(process, orders_taken).await;
        tracing::debug!(container.id = %watched, %project, "a project-server ended {exit}");
        record.forget(&run_directory);
        exit_told.send_replace(Some(exit));
        // Nobody may be listening.
        let _ = events.send(RuntimeEvent::Exited { id: watched });
    });
    Ok(Spawned {
        child: Child {
            id,
            stdin,
            orders,
            exit,
            output_ended,
        },
        stdout: lines(stdout),
        last_words,
    })
}

/// Waits for the end of a process; on order, asks for it and then makes it.
async fn watch(mut process: Process, mut orders: mpsc::Receiver<Order>) -> Exit {
    let mut kill_at: Option<Instant> = None;
    let mut abandoned = false;
    loop {
        let kill = async {
            match kill_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = process.ended() => break,
            order = orders.recv(), if !abandoned => {
                abandoned = order.is_none();
                let grace = match order {
                    Some(Order::Signal(signal, done)) => {
                        process.signal_group(signal);
                        // Whoever asked may have gone.
                        let _ = done.send(());
                        continue;
                    }
                    Some(Order::End(grace)) => grace,
                    None => ABANDONED_GRACE,
                };
                let at = Instant::now() + grace;
                kill_at = Some(kill_at.map_or(at, |earlier| earlier.min(at)));
                process.signal(Signal::TERM);
                // One that stands still takes no other signal.
                process.signal_group(Signal::CONT);
            }
            () = kill => {
                kill_at = None;
                process.signal_group(Signal::KILL);
            }
        }
    }
    // What the child started and left behind goes with it.
    process.signal_group(Signal::KILL);
    Exit {
        exit_code: process.wait().await.ok().and_then(exit_code),
        oom: false,
        finished_at: Some(Utc::now()),
    }
}

/// A process that leads a group and was not waited for yet, so that its number is nobody else's.
struct Process {
    process: tokio::process::Child,
    pid: Pid,
    /// Tells that some child of Firefly has ended; it began before the first look at this one.
    child_ended: signal::unix::Signal,
}

impl Process {
    fn new(process: tokio::process::Child, pid: Pid) -> io::Result<Self> {
        let child_ended = signal::unix::signal(SignalKind::child())?;
        Ok(Self {
            process,
            pid,
            child_ended,
        })
    }

    /// Waits for the end and leaves the dead process where it is.
    async fn ended(&mut self) {
        // Nobody but `wait` takes the process away, so a failure can only mean that there is nothing to wait for.
        while let Ok(None) = waitid(WaitId::Pid(self.pid), LOOK) {
            if self.child_ended.recv().await.is_none() {
                return;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        if let Err(error) = rustix::process::kill_process(self.pid, signal) {
            tracing::debug!(%error, pid = ?self.pid, "a child process took no signal");
        }
    }

    fn signal_group(&self, signal: Signal) {
        // A group with nobody in it that could take a signal is the usual case.
        let _ = rustix::process::kill_process_group(self.pid, signal);
    }

    /// How it ended. Nothing else may be asked of it afterwards.
    async fn wait(mut self) -> io::Result<ExitStatus> {
        self.process.wait().await
    }
}

/// The exit code; 128 + the signal for a process that a signal ended, as engines and shells report it.
pub(super) fn exit_code(status: ExitStatus) -> Option<i64> {
    let code = status.code().or_else(|| Some(128 + status.signal()?))?;
    Some(i64::from(code))
}

/// Logs what a child prints from now on; nobody else reads it, and a full pipe would stop the child.
pub(super) fn log_output(mut stdout: Lines<ChildStdout>, project: ProjectId) {
    tokio::spawn(async move {
        while let Some(Ok(line)) = stdout.next().await {
            tracing::debug!(%project, "project-server: {line}");
        }
    });
}

/// Logs what a child complains of, and keeps the end of it.
fn watch_errors(
    stderr: impl AsyncRead + Send + Unpin + 'static,
    last_words: LastWords,
    project: ProjectId,
) -> watch::Receiver<bool> {
    let (told, ended) = watch::channel(false);
    let mut lines = lines(stderr);
    tokio::spawn(async move {
        while let Some(Ok(line)) = lines.next().await {
            tracing::info!(%project, "project-server: {line}");
            last_words.push(&line);
        }
        told.send_replace(true);
    });
    ended
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn what_a_child_leaves_behind_ends_with_it() {
        let run_directory = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command
            .args(["-c", "sleep 600 & exit 7"])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let project = ProjectId::from_uuid(uuid::Uuid::nil());
        let events = broadcast::Sender::new(1);
        let spawned = spawn(command, run_directory.path(), events, project).unwrap();
        // The pipe is closed once the sleeping process is gone, which holds it as well.
        let mut rest = Vec::new();
        let mut stdout = spawned.stdout.into_inner();
        let closed = stdout.read_to_end(&mut rest);
        let closed = tokio::time::timeout(KILL_DEADLINE, closed).await;
        assert!(closed.is_ok(), "it lives on");
        let mut exit = spawned.child.exit;
        let exit = exit.wait_for(Option::is_some).await.unwrap().clone();
        assert_eq!(exit.unwrap().exit_code, Some(7));
    }
}
