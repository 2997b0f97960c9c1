//! Outcomes into the log, through the same decisions as any command.

use std::sync::Arc;

use firefly_domain::control::ReportBody;
use firefly_domain::project::{Command, Outcome, Rejection};
use firefly_domain::source::BRANCH_LENGTH_MAX;
use firefly_domain::{Actor, Endpoint, Project};
use firefly_event_store::{CommandError, CommandHandler, Context, EventStore};

use crate::desired::Opening;
use crate::lease::{Fence, NotLeading};

/// The name under which the reactor acts.
pub const ACTOR: &str = "reactor";

/// Why an outcome is not recorded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This process may not act.
    #[error("this process may not report")]
    NotLeading(#[source] NotLeading),
    /// The log failed.
    #[error("the outcome was not taken")]
    Command(#[source] CommandError<Rejection>),
}

/// Reports what became of openings.
#[derive(Clone)]
pub struct Reporter {
    projects: CommandHandler<Project>,
    fence: Arc<dyn Fence>,
}

impl Reporter {
    /// Reports to a log, as long as the fence lets it.
    pub fn new(store: Arc<dyn EventStore>, fence: Arc<dyn Fence>) -> Self {
        Self {
            projects: CommandHandler::new(store),
            fence,
        }
    }

    /// Records an outcome; one that is too late, or known already, changes nothing.
    ///
    /// # Errors
    ///
    /// The log failed, or another process acts, so the outcome is not recorded; report it again.
    pub async fn report(&self, opening: &Opening, outcome: Outcome) -> Result<(), Error> {
        self.fence.check().await.map_err(Error::NotLeading)?;
        let context = Context {
            causation_id: Some(opening.cause),
            ..Context::new(Actor::System(ACTOR.to_owned()), opening.correlation_id)
        };
        let command = Command::Report {
            generation: opening.generation,
            outcome,
        };
        match self
            .projects
            .handle(opening.project.as_uuid(), command, &context)
            .await
        {
            Ok(_) => Ok(()),
            Err(CommandError::Rejected(rejection)) => {
                tracing::info!(project.key = %opening.key, %rejection, "an outcome came too late");
                Ok(())
            }
            Err(error) => Err(Error::Command(error)),
        }
    }
}

/// What a project-server's report means to its project; `None` for what is of the moment only.
///
/// It may be strangers' code that reports, so texts are cut to what they can be at most.
pub fn outcome(body: ReportBody, endpoint: &Endpoint) -> Option<Outcome> {
    Some(match body {
        ReportBody::Cloned {
            branch,
            commit,
            duration_ms,
        } => Outcome::Cloned {
            branch: name(branch),
            commit: name(commit),
            duration_ms,
        },
        ReportBody::TemplateApplied {
            template,
            commit,
            duration_ms,
        } => Outcome::TemplateApplied {
            template: name(template),
            commit: name(commit),
            duration_ms,
        },
        ReportBody::Resumed {
            branch,
            commit,
            duration_ms,
        } => Outcome::Resumed {
            branch: branch.map(name),
            commit: commit.map(name),
            duration_ms,
        },
        ReportBody::Installed {
            packages,
            reused,
            duration_ms,
        } => Outcome::Installed {
            packages,
            reused,
            duration_ms,
        },
        ReportBody::Ready { duration_ms } => Outcome::Ready {
            endpoint: endpoint.clone(),
            duration_ms,
        },
        ReportBody::Failed(failure) => Outcome::Failed(failure),
        ReportBody::UnsavedWork(unsaved) => Outcome::UnsavedWork(unsaved),
        ReportBody::Progress(_) => return None,
    })
}

/// A name as git has it: no longer than a branch may be, and nothing in it that a terminal would act on.
fn name(text: String) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(BRANCH_LENGTH_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reported_name_is_bounded() {
        let branch = format!("\u{1b}[31m{}", "x".repeat(10_000));
        let cloned = ReportBody::Cloned {
            branch,
            commit: "c0ffee".into(),
            duration_ms: 1,
        };
        let Some(Outcome::Cloned { branch, commit, .. }) = outcome(cloned, &Endpoint::new("h:1"))
        else {
            panic!("a clone is an outcome");
        };
        assert_eq!(
            (branch.len(), branch.starts_with("[31mx")),
            (BRANCH_LENGTH_MAX, true)
        );
        assert_eq!(commit, "c0ffee");
    }
}
