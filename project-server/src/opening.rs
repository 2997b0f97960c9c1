//! The steps of an opening, in their order, each with its outcome reported.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cap_std::fs::Dir;
use firefly_domain::control::{Assignment, ReportBody};
use firefly_domain::{Failure, FailureCode, Source, Step};

use crate::child::{self, Jobs};
use crate::preview::Preview;
use crate::reports::Reports;
use crate::tool::protocol::{Outcome, SourceRequest, chain};
use crate::unsaved;
use crate::watch::{Change, Watch};

/// A large repository over a slow line.
const SOURCE_LIMIT: Duration = Duration::from_secs(5 * 60);

/// A large application with a cold cache.
const INSTALL_LIMIT: Duration = Duration::from_secs(10 * 60);

/// How often unsaved work is looked for where changes cannot be noticed: soon enough, and no great load.
const UNWATCHED_INTERVAL: Duration = Duration::from_secs(5);

/// What the steps work with.
pub(crate) struct Opening {
    pub jobs: Jobs,
    pub reports: Arc<Reports>,
    pub directory: Arc<Dir>,
    pub workspace: Arc<Path>,
    pub local_source: Option<PathBuf>,
    pub preview: Arc<Preview>,
}

impl Opening {
    /// Runs the steps, and after them follows the workspace's changes until it is dropped.
    pub(crate) async fn run(&self, assignment: &Assignment) {
        let begun = Instant::now();
        if let Err(failure) = self.steps(assignment).await {
            tracing::warn!(
                step = failure.step.as_str(),
                code = failure.code.as_str(),
                detail = failure.detail,
                "the opening failed"
            );
            self.reports.push(ReportBody::Failed(failure));
            return;
        }
        // Watched before anyone is told that it is ready, so that no change after that goes unseen.
        let watch = self.watch().await;
        let duration_ms = millis(begun);
        tracing::info!(duration_ms, "the preview is ready");
        self.reports.push(ReportBody::Ready { duration_ms });
        self.follow_changes(watch).await;
    }

    async fn follow_changes(&self, watch: Option<Watch>) {
        let (touch, touched) = tokio::sync::watch::channel(());
        let changes = async {
            let Some(watch) = watch else {
                return touch_regularly(&touch).await;
            };
            let on_change = |change: Change| {
                if change.shown {
                    self.preview.refresh();
                }
                if change.work {
                    touch.send_replace(());
                }
            };
            watch.follow(on_change).await;
        };
        tokio::join!(changes, unsaved::follow(&self.jobs, &self.reports, touched));
    }

    /// Begins to watch. The kernel lets a user have so many watchers and no more; a project opens without one too.
    async fn watch(&self) -> Option<Watch> {
        let workspace = Arc::clone(&self.workspace);
        let begin = tokio::task::spawn_blocking(move || Watch::begin(&workspace));
        let reason = match begin.await {
            Ok(Ok(watch)) => return Some(watch),
            Ok(Err(error)) => chain(&error),
            Err(panic) => panic.to_string(),
        };
        tracing::warn!(
            reason,
            "the workspace cannot be watched, so previews do not refresh; raise fs.inotify.max_user_instances and max_user_watches"
        );
        None
    }

    async fn steps(&self, assignment: &Assignment) -> Result<(), Failure> {
        self.source(assignment).await?;
        self.child_step(Step::Install, "install", &(), None).await?;
        self.preview()
    }

    async fn source(&self, assignment: &Assignment) -> Result<(), Failure> {
        let request = SourceRequest {
            source: assignment.source.clone(),
            local_source: self.local_source.clone(),
            branch: assignment.branch.clone(),
        };
        let trusting = match &assignment.source {
            Source::Path(_) => Some(trusting_git_config()?),
            Source::Git(_) | Source::Template(_) => None,
        };
        let git_config = trusting.as_ref().map(tempfile::NamedTempFile::path);
        self.child_step(Step::Source, "source", &request, git_config)
            .await
    }

    async fn child_step(
        &self,
        step: Step,
        job: &'static str,
        request: &impl serde::Serialize,
        git_config: Option<&Path>,
    ) -> Result<(), Failure> {
        let begun = Instant::now();
        let limit = match step {
            Step::Install => INSTALL_LIMIT,
            Step::Container | Step::Source | Step::Preview => SOURCE_LIMIT,
        };
        let result = self
            .jobs
            .step(job, request, git_config, limit, |progress| {
                self.reports.progress(progress);
            })
            .await;
        match result {
            Ok(Outcome::Failed(failure)) => Err(failure),
            Ok(outcome) => {
                self.reports.push(outcome.into_report(millis(begun)));
                Ok(())
            }
            Err(error) => Err(without_outcome(step, &error)),
        }
    }

    fn preview(&self) -> Result<(), Failure> {
        match self.directory.metadata("index.html") {
            Ok(metadata) if metadata.is_file() => Ok(()),
            _ => Err(Failure::new(
                Step::Preview,
                FailureCode::NoIndexPage,
                "there is no index.html at the root of the project, so there is nothing to show; add one",
            )),
        }
    }
}

/// Stands in for a watch: something may always have changed.
async fn touch_regularly(touch: &tokio::sync::watch::Sender<()>) {
    loop {
        tokio::time::sleep(UNWATCHED_INTERVAL).await;
        touch.send_replace(());
    }
}

/// The child said nothing: it was stopped at its deadline, or it died.
fn without_outcome(step: Step, error: &child::Error) -> Failure {
    let code = match (error, step) {
        (child::Error::Deadline { .. }, _) => FailureCode::DeadlineExceeded,
        (_, Step::Install) => FailureCode::InstallFailed,
        (_, _) => FailureCode::CloneFailed,
    };
    Failure::new(step, code, chain(error))
}

/// git refuses to read a repository that another user owns, as one does in a container, unless its global
/// configuration says otherwise. A person on this machine has named the directory, so it may be read.
fn trusting_git_config() -> Result<tempfile::NamedTempFile, Failure> {
    let write = || {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(b"[safe]\n\tdirectory = *\n")?;
        Ok(file)
    };
    write().map_err(|error: std::io::Error| {
        Failure::new(
            Step::Source,
            FailureCode::WorkspaceFailed,
            format!(
                "cannot write git's configuration to {}: {error}",
                std::env::temp_dir().display()
            ),
        )
    })
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use firefly_domain::control::Unsaved;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{Config, SelfExe};

    /// An opening whose children print the file `answer` of the workspace.
    fn opening(workspace: &Path) -> Opening {
        let config = Config {
            listen: crate::Listen::Tcp((Ipv4Addr::LOCALHOST, 0).into()),
            workspace: workspace.to_owned(),
            local_source: None,
            npm_cache: None,
            egress: None,
            exit_on_stdin_eof: false,
            self_exe: SelfExe {
                program: "sh".into(),
                args: vec!["-c".into(), "cat $1/answer".into()],
            },
        };
        let directory = Dir::open_ambient_dir(workspace, cap_std::ambient_authority());
        Opening {
            jobs: Jobs::new(&config, None, workspace.into()),
            reports: Arc::new(Reports::new()),
            directory: Arc::new(directory.unwrap()),
            workspace: workspace.into(),
            local_source: None,
            preview: Arc::new(Preview::new(CancellationToken::new())),
        }
    }

    #[tokio::test]
    async fn unsaved_work_is_found_in_a_workspace_that_cannot_be_watched() {
        let workspace = tempfile::tempdir().unwrap();
        let answer = workspace.path().join("answer");
        let opening = opening(workspace.path());
        let (_, mut live) = opening.reports.since(0);
        let changed = Unsaved {
            files: 1,
            commits: 0,
        };
        let reader = async {
            for unsaved in [Unsaved::NONE, changed] {
                std::fs::write(&answer, serde_json::to_vec(&unsaved).unwrap()).unwrap();
                let report = live.recv().await.unwrap();
                assert_eq!(report.body, ReportBody::UnsavedWork(unsaved));
            }
        };
        let found = async {
            tokio::select! {
                biased;
                () = reader => true,
                () = opening.follow_changes(None) => false,
            }
        };
        let limit = UNWATCHED_INTERVAL * 10;
        assert_eq!(tokio::time::timeout(limit, found).await, Ok(true));
    }
}
