//! What to do next, decided from what is wanted and what was observed. Pure: no engine, no clock, no log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use firefly_domain::project::ExitCause;
use firefly_domain::{
    ContainerId, Endpoint, EventId, Failure, FailureCode, Generation, ProjectId, Step,
};

use crate::desired::{Opening, Want, Wanted};
use crate::runtime::{Observed, Status};

/// How long an opening may take in all; the steps inside a container have shorter limits of their own.
pub const OPENING_DEADLINE: TimeDelta = TimeDelta::minutes(20);

/// A container that has run for so long is well: a crash then is not the next one of a row.
pub const STABLE: TimeDelta = TimeDelta::minutes(10);

/// Something to be done. Each is idempotent, and none waits for another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a container for an opening, or adopt the one that is there, and say so.
    Start(Arc<Opening>),
    /// Hand the assignment to a running container and follow what it reports.
    Link {
        /// The opening.
        opening: Arc<Opening>,
        /// Where the container's project-server answers.
        endpoint: Endpoint,
    },
    /// Say that a container ended without being asked to.
    ReportExit {
        /// The opening it served.
        opening: Arc<Opening>,
        /// Its program's exit code.
        exit_code: Option<i64>,
        /// Whether the kernel killed it for its memory use.
        oom: bool,
        /// Why.
        cause: ExitCause,
        /// Whether it had run for [`STABLE`].
        stable: bool,
    },
    /// Stop and remove the container of an opening that is over, and say so.
    Release {
        /// The opening.
        opening: Arc<Opening>,
        /// Its containers, and where those that run answer.
        containers: Vec<Held>,
    },
    /// Stop and remove the container, then the workspace, unless work would be lost.
    Delete {
        /// The last opening.
        opening: Arc<Opening>,
        /// Its containers, and where those that run answer.
        containers: Vec<Held>,
        /// Also if work would be lost.
        force: bool,
    },
    /// Stop and remove containers that nobody wants.
    Discard {
        /// The project they were made for.
        project: ProjectId,
        /// The opening that cannot start before they are gone, if there is one; nobody else is told.
        opening: Option<Arc<Opening>>,
        /// The containers.
        containers: Vec<ContainerId>,
    },
    /// End an opening that takes too long.
    GiveUp {
        /// The opening.
        opening: Arc<Opening>,
        /// What to say.
        failure: Failure,
    },
    /// End a deletion that failed too often.
    GiveUpDeletion {
        /// The last opening.
        opening: Arc<Opening>,
        /// Whether it was one that may lose work.
        force: bool,
        /// Why it failed.
        detail: String,
    },
}

impl Action {
    /// The event that asked for it; containers that are in nobody's way are removed unasked.
    pub fn cause(&self) -> Option<EventId> {
        match self {
            Self::Start(opening)
            | Self::Link { opening, .. }
            | Self::ReportExit { opening, .. }
            | Self::Release { opening, .. }
            | Self::Delete { opening, .. }
            | Self::GiveUp { opening, .. }
            | Self::GiveUpDeletion { opening, .. } => Some(opening.cause),
            Self::Discard { opening, .. } => opening.as_ref().map(|opening| opening.cause),
        }
    }

    /// The project it is about; two actions about one project never run at once.
    pub fn project(&self) -> ProjectId {
        match self {
            Self::Start(opening)
            | Self::Link { opening, .. }
            | Self::ReportExit { opening, .. }
            | Self::Release { opening, .. }
            | Self::Delete { opening, .. }
            | Self::GiveUp { opening, .. }
            | Self::GiveUpDeletion { opening, .. } => opening.project,
            Self::Discard { project, .. } => *project,
        }
    }
}

/// A container to be stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The runtime's name for it.
    pub id: ContainerId,
    /// Where its project-server answers, if it runs.
    pub endpoint: Option<Endpoint>,
}

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// What is wanted.
    pub wanted: &'a BTreeMap<ProjectId, Wanted>,
    /// The containers there are.
    pub observed: &'a [Observed],
    /// Projects that something is being done about, or that have to wait before something is tried again.
    pub busy: &'a BTreeSet<ProjectId>,
    /// Openings whose reports are being followed.
    pub linked: &'a BTreeSet<(ProjectId, Generation)>,
    /// Openings whose container was seen to run in this life: if one is missing now, it crashed. Any other that is missing
    /// was lost with Firefly, its host or its engine.
    pub seen: &'a BTreeSet<(ProjectId, Generation)>,
    /// When this life began: what was not looked at cannot have been slow.
    pub begun: DateTime<Utc>,
    /// The time.
    pub now: DateTime<Utc>,
}

/// Decides what to do; at most one thing for each project.
pub fn plan(situation: Situation<'_>) -> Vec<Action> {
    let mut observed: BTreeMap<ProjectId, Vec<&Observed>> = BTreeMap::new();
    for container in situation.observed {
        observed
            .entry(container.project)
            .or_default()
            .push(container);
    }
    let strangers = observed
        .iter()
        .filter(|(project, _)| {
            !situation.wanted.contains_key(project) && !situation.busy.contains(project)
        })
        .map(|(project, containers)| discard(*project, None, containers));
    let known = situation
        .wanted
        .iter()
        .filter(|(project, _)| !situation.busy.contains(project))
        .filter_map(|(project, wanted)| {
            let containers = observed.get(project).map_or(&[][..], Vec::as_slice);
            plan_project(wanted, containers, &situation)
        });
    known.chain(strangers).collect()
}

fn plan_project(
    wanted: &Wanted,
    containers: &[&Observed],
    situation: &Situation<'_>,
) -> Option<Action> {
    let opening = &wanted.opening;
    let older: Vec<&Observed> = containers
        .iter()
        .copied()
        .filter(|container| container.generation != opening.generation)
        .collect();
    if !older.is_empty() && wanted.want != Want::Unknown {
        // Before its successor starts: two containers must never work on one workspace.
        let waits = matches!(wanted.want, Want::Running { started: None, .. });
        let waiting = waits.then(|| Arc::clone(opening));
        return Some(discard(opening.project, waiting, &older));
    }
    let current = containers.first().copied();
    match &wanted.want {
        Want::Running { ready: false, .. }
            if situation.now - opening.since.max(situation.begun) > OPENING_DEADLINE =>
        {
            Some(Action::GiveUp {
                opening: Arc::clone(opening),
                failure: too_slow(),
            })
        }
        Want::Running { started: None, .. } if situation.now < opening.not_before => None,
        Want::Running { started: None, .. } => Some(Action::Start(Arc::clone(opening))),
        Want::Running {
            started: Some(_), ..
        } => keep_running(opening, current, situation),
        Want::Released => Some(Action::Release {
            opening: Arc::clone(opening),
            containers: held(containers),
        }),
        Want::Deleted { force } => Some(Action::Delete {
            opening: Arc::clone(opening),
            containers: held(containers),
            force: *force,
        }),
        Want::Unknown => None,
        Want::Nothing if containers.is_empty() => None,
        Want::Nothing => Some(discard(opening.project, None, containers)),
    }
}

fn keep_running(
    opening: &Arc<Opening>,
    current: Option<&Observed>,
    situation: &Situation<'_>,
) -> Option<Action> {
    let seen = situation
        .seen
        .contains(&(opening.project, opening.generation));
    let lost = |crash| if seen { crash } else { ExitCause::Interrupted };
    let stable = opening
        .started_at
        .is_some_and(|started| situation.now - started >= STABLE);
    let opening = Arc::clone(opening);
    match current.map(|container| &container.status) {
        Some(Status::Running { .. })
            if situation
                .linked
                .contains(&(opening.project, opening.generation)) =>
        {
            None
        }
        Some(Status::Running { endpoint }) => Some(Action::Link {
            opening,
            endpoint: endpoint.clone(),
        }),
        Some(Status::Exited(exit)) => {
            let cause = lost(if exit.oom {
                ExitCause::OutOfMemory
            } else {
                ExitCause::Crashed
            });
            Some(Action::ReportExit {
                opening,
                exit_code: exit.exit_code,
                oom: exit.oom,
                cause,
                stable,
            })
        }
        // History says that it ran, so one that never ran has taken its name: it is as good as none.
        Some(Status::Created) | None => Some(Action::ReportExit {
            opening,
            exit_code: None,
            oom: false,
            cause: lost(ExitCause::Vanished),
            stable,
        }),
    }
}

fn discard(project: ProjectId, opening: Option<Arc<Opening>>, containers: &[&Observed]) -> Action {
    Action::Discard {
        project,
        opening,
        containers: containers
            .iter()
            .map(|container| container.id.clone())
            .collect(),
    }
}

fn held(containers: &[&Observed]) -> Vec<Held> {
    let endpoint = |status: &Status| match status {
        Status::Running { endpoint } => Some(endpoint.clone()),
        Status::Created | Status::Exited(_) => None,
    };
    containers
        .iter()
        .map(|container| Held {
            id: container.id.clone(),
            endpoint: endpoint(&container.status),
        })
        .collect()
}

fn too_slow() -> Failure {
    let detail = format!(
        "the project was not ready after {} minutes; restart it, and look at its history for the step that takes so long",
        OPENING_DEADLINE.num_minutes()
    );
    Failure::new(Step::Preview, FailureCode::DeadlineExceeded, detail)
}

#[cfg(test)]
mod tests;
