//! What to do next, decided from what is wanted and what was observed. Pure: no engine, no clock, no log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use firefly_domain::project::ExitCause;
use firefly_domain::{ContainerId, Failure, FailureCode, Generation, ProjectId, Step};

use crate::desired::{Opening, Want, Wanted};
use crate::runtime::{Observed, Serves, Status};

mod action;
pub mod fair;
mod pool;
mod sleep;

pub use action::{Action, Basis, Held, Subject};
pub use pool::Pool;
pub use sleep::Sleep;

/// How long an opening may take in all; the steps inside a container have shorter limits of their own.
pub const OPENING_DEADLINE: TimeDelta = TimeDelta::minutes(20);

/// A container that has run for so long is well: a crash then is not the next one of a row.
pub const STABLE: TimeDelta = TimeDelta::minutes(10);

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// What is wanted.
    pub wanted: &'a BTreeMap<ProjectId, Wanted>,
    /// The containers there are.
    pub observed: &'a [Observed],
    /// What something is being done about, or has to wait before it is tried again.
    pub busy: &'a BTreeSet<Subject>,
    /// Openings whose reports are being followed.
    pub linked: &'a BTreeSet<(ProjectId, Generation)>,
    /// Containers that were seen to be alive in this life: if one is missing now, it crashed. Any other that is missing was
    /// lost with Firefly, its host or its engine.
    pub seen: &'a BTreeSet<ContainerId>,
    /// When people last used a project, as far as this life knows.
    pub used: &'a BTreeMap<ProjectId, DateTime<Utc>>,
    /// When projects that nobody uses are put to sleep.
    pub sleep: &'a Sleep,
    /// Whether the host is short of memory.
    pub memory_wanted: bool,
    /// What is started ahead.
    pub pool: &'a Pool,
    /// When this life began: what was not looked at cannot have been slow, or idle.
    pub begun: DateTime<Utc>,
    /// The time.
    pub now: DateTime<Utc>,
}

/// Decides what to do; at most one thing for each project, and for each place in the pool.
pub fn plan(situation: Situation<'_>) -> Vec<Action> {
    let mut observed: BTreeMap<ProjectId, Vec<&Observed>> = BTreeMap::new();
    for container in situation.observed {
        if let Serves::Project(project) = container.serves {
            observed.entry(project).or_default().push(container);
        }
    }
    let free = |project: ProjectId| !situation.busy.contains(&Subject::Project(project));
    let strangers = observed
        .iter()
        .filter(|(project, _)| !situation.wanted.contains_key(project) && free(**project))
        .map(|(project, containers)| discard(*project, containers));
    let mut pooled = pool::Places::of(&situation);
    let mut actions = Vec::new();
    for (project, wanted) in situation.wanted {
        let containers = observed.get(project).map_or(&[][..], Vec::as_slice);
        if free(*project) {
            actions.extend(plan_project(wanted, containers, &situation, &mut pooled));
        }
    }
    actions.extend(strangers);
    actions.extend(sleep::for_want_of_memory(&situation, &actions));
    actions.extend(pooled.plan());
    actions
}

fn plan_project(
    wanted: &Wanted,
    containers: &[&Observed],
    situation: &Situation<'_>,
    pooled: &mut pool::Places<'_>,
) -> Option<Action> {
    let opening = &wanted.opening;
    match &wanted.want {
        Want::Unknown => None,
        Want::Running { ready: false, .. }
            if situation.now - opening.since.max(situation.begun) > OPENING_DEADLINE =>
        {
            Some(Action::GiveUp {
                opening: Arc::clone(opening),
                failure: too_slow(),
            })
        }
        Want::Running { started: None, .. } if situation.now < opening.not_before => None,
        Want::Running { started: None, .. } => Some(start(opening, containers, pooled)),
        Want::Running {
            started: Some(container),
            ..
        }
        | Want::Awake { container }
        | Want::Asleep { container } => {
            let (current, others): (Vec<&Observed>, Vec<&Observed>) =
                containers.iter().partition(|it| it.id == *container);
            if others.is_empty() {
                keep(wanted, container, current.first().copied(), situation)
            } else {
                Some(discard(opening.project, &others))
            }
        }
        Want::Released { keep } => Some(Action::Release {
            opening: Arc::clone(opening),
            containers: held(containers),
            keep: *keep,
        }),
        Want::Deleted { force } => Some(Action::Delete {
            opening: Arc::clone(opening),
            containers: held(containers),
            force: *force,
        }),
        Want::Nothing { keep } => {
            let unwanted = |it: &&&Observed| !keep || it.status.is_alive();
            let unwanted: Vec<&Observed> = containers.iter().filter(unwanted).copied().collect();
            (!unwanted.is_empty()).then(|| discard(opening.project, &unwanted))
        }
    }
}

/// Begins with what is there: the container that the project has, else one from the pool, else nothing.
fn start(
    opening: &Arc<Opening>,
    containers: &[&Observed],
    pooled: &mut pool::Places<'_>,
) -> Action {
    let basis = match containers {
        [found] => Basis::Found((*found).clone()),
        [] => pooled.take_for(opening).unwrap_or(Basis::Nothing),
        // An engine that keeps names apart has no two of them.
        [_, others @ ..] => return discard(opening.project, others),
    };
    Action::Start {
        opening: Arc::clone(opening),
        basis,
    }
}

/// What a container of which history says that it is there needs.
fn keep(
    wanted: &Wanted,
    id: &ContainerId,
    current: Option<&Observed>,
    situation: &Situation<'_>,
) -> Option<Action> {
    let opening = Arc::clone(&wanted.opening);
    let linked = (opening.project, opening.generation);
    let container = id.clone();
    match (current.map(|it| &it.status), &wanted.want) {
        (Some(Status::Running { .. }), Want::Asleep { .. }) => {
            Some(Action::Pause { opening, container })
        }
        (Some(Status::Paused { .. }), Want::Asleep { .. }) => sleep::deeper(opening, situation),
        (Some(Status::Running { endpoint } | Status::Paused { endpoint }), Want::Awake { .. })
        | (Some(Status::Paused { endpoint }), _) => Some(Action::Wake {
            opening,
            container,
            endpoint: endpoint.clone(),
        }),
        (Some(Status::Running { .. }), want) if situation.linked.contains(&linked) => {
            matches!(want, Want::Running { ready: true, .. })
                .then(|| sleep::first(opening, situation))
                .flatten()
        }
        (Some(Status::Running { endpoint }), _) => Some(Action::Link {
            opening,
            endpoint: endpoint.clone(),
        }),
        // History says that it ran: one that never did has taken its name, and is as good as none.
        (Some(Status::Created | Status::Exited(_)) | None, _) => {
            Some(report_exit(opening, id, current, situation))
        }
    }
}

fn report_exit(
    opening: Arc<Opening>,
    id: &ContainerId,
    current: Option<&Observed>,
    situation: &Situation<'_>,
) -> Action {
    let seen = situation.seen.contains(id);
    let lost = |crash| if seen { crash } else { ExitCause::Interrupted };
    let stable = opening
        .started_at
        .is_some_and(|started| situation.now - started >= STABLE);
    match current.map(|it| &it.status) {
        Some(Status::Exited(exit)) => Action::ReportExit {
            opening,
            exit_code: exit.exit_code,
            oom: exit.oom,
            cause: lost(if exit.oom {
                ExitCause::OutOfMemory
            } else {
                ExitCause::Crashed
            }),
            stable,
        },
        _ => Action::ReportExit {
            opening,
            exit_code: None,
            oom: false,
            cause: lost(ExitCause::Vanished),
            stable,
        },
    }
}

fn discard(project: ProjectId, containers: &[&Observed]) -> Action {
    Action::Discard {
        subject: Subject::Project(project),
        containers: containers.iter().map(|it| it.id.clone()).collect(),
    }
}

fn held(containers: &[&Observed]) -> Vec<Held> {
    let endpoint = |status: &Status| match status {
        Status::Running { endpoint } | Status::Paused { endpoint } => Some(endpoint.clone()),
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
