//! The reactor's loop: wake, look at everything, act.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use firefly_domain::control::ProjectProgress;
use firefly_domain::{Aggregate, ContainerId, Project, ProjectId, Segment};
use firefly_event_store::{EventStore, Position, RecordedEvent, follow};
use firefly_identity::ControlKeys;
use futures::StreamExt;
use futures::future::join_all;
use tokio::sync::{broadcast, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::control::ProjectServers;
use crate::desired::{Desired, Want, Wanted};
use crate::execute::{Error as ActionError, Executor, STOP_GRACE};
use crate::lease::{Claim, Fence, Lease};
use crate::link::Link;
use crate::links::{Links, OpeningId};
use crate::measure;
use crate::plan::fair::in_turn;
use crate::plan::{Action, Pool, Situation, Sleep, Subject, plan};
use crate::report::Reporter;
use crate::retry::{ATTEMPTS_MAX, BackOff, Retries};
use crate::runtime::{ContainerRuntime, Observed, Slot};
use crate::slots::Slots;
use crate::usage::Usage;

/// How often everything is looked at, even if nothing seems to have happened.
const PASS_INTERVAL: Duration = Duration::from_secs(30);

/// The least time between two looks that nothing has asked for.
const PASS_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// Stands for all places of the pool.
const POOL: Subject = Subject::Pool(Slot::from_uuid(Uuid::nil()));

/// How soon the engine or the log is asked again after it did not answer.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Actions at work at a time. Starting a container keeps a core busy for a good part of a second.
const ACTIONS_MAX: usize = 8;

/// How long a shutdown waits for containers to end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(15);

/// What the reactor works with.
pub struct Config {
    /// Where containers live.
    pub runtime: Arc<dyn ContainerRuntime>,
    /// Where project-servers are found.
    pub servers: Arc<dyn ProjectServers>,
    /// The keys of project-servers.
    pub keys: ControlKeys,
    /// Who asks for the reactors' lease.
    pub claim: Claim,
    /// How long what failed waits before it is tried again.
    pub back_off: BackOff,
    /// When projects that nobody uses are put to sleep.
    pub sleep: Sleep,
    /// How many containers are started ahead, where the runtime can do that.
    pub pool: usize,
    /// When people use projects, and whether the host is short of memory.
    pub usage: Arc<dyn Usage>,
    /// Tells the time.
    pub now: fn() -> DateTime<Utc>,
    /// Where progress goes, for whoever looks at the moment.
    pub progress: broadcast::Sender<ProjectProgress>,
}

/// Why the reactor stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log was closed.
    #[error("the event log was closed under the reactor")]
    LogClosed,
}

type Done = (Action, Result<(), ActionError>);

/// The reactor, ready to run.
pub struct Reactor {
    store: Arc<dyn EventStore>,
    executor: Executor,
    lease: Arc<Lease>,
    progress: broadcast::Sender<ProjectProgress>,
    desired: Desired,
    actions: JoinSet<Done>,
    busy: BTreeMap<Id, Busy>,
    links: Links,
    retries: Retries,
    /// See [`Situation::seen`].
    seen: BTreeSet<ContainerId>,
    begun: DateTime<Utc>,
    /// Since when containers that end do so under this reactor's eyes.
    watching_since: DateTime<Utc>,
    now: fn() -> DateTime<Utc>,
    sleep: Sleep,
    usage: Arc<dyn Usage>,
    slots: Slots,
    engine_down: bool,
    #[cfg(test)]
    is_unfenced: bool,
}

/// What an action at work is about.
struct Busy {
    subjects: Vec<Subject>,
    /// Whose project it starts, if it does that.
    starts_for: Option<Segment>,
}

impl Reactor {
    /// Sets the reactor up; nothing happens before it runs.
    pub fn new(config: Config, store: Arc<dyn EventStore>) -> Self {
        let pool = if config.runtime.has_pool() {
            config.pool
        } else {
            0
        };
        let slots = Slots::new(pool, config.claim.holder.process);
        let lease = Arc::new(Lease::new(Arc::clone(&store), config.claim));
        let fence = lease.fence();
        let executor = Executor {
            runtime: config.runtime,
            reporter: Reporter::new(Arc::clone(&store), Arc::clone(&fence)),
            fence,
            servers: config.servers,
            keys: config.keys,
        };
        Self {
            store,
            executor,
            lease,
            progress: config.progress,
            desired: Desired::default(),
            actions: JoinSet::new(),
            busy: BTreeMap::new(),
            links: Links::default(),
            retries: Retries::new(config.back_off),
            seen: BTreeSet::new(),
            begun: (config.now)(),
            watching_since: (config.now)(),
            now: config.now,
            sleep: config.sleep,
            usage: config.usage,
            slots,
            engine_down: false,
            #[cfg(test)]
            is_unfenced: false,
        }
    }

    /// Whether it holds the lease, as that changes.
    pub fn leading(&self) -> watch::Receiver<bool> {
        self.lease.leading()
    }

    /// Acts whether or not it holds the lease.
    #[cfg(test)]
    pub fn unfenced(mut self) -> Self {
        self.fence_with(Arc::new(crate::lease::Unfenced));
        self.is_unfenced = true;
        self
    }

    /// Reconciles until the shutdown begins, then ends all containers. Their projects stay open: the next start
    /// brings them back.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), Error> {
        let mut keeping = JoinSet::new();
        let lease = Arc::clone(&self.lease);
        keeping.spawn(async move { lease.run().await });
        let reconciled = shutdown
            .run_until_cancelled(self.reconcile())
            .await
            .unwrap_or(Ok(()));
        if *self.lease.leading().borrow() {
            self.end_all().await;
        }
        keeping.shutdown().await;
        self.lease.release().await;
        reconciled
    }

    async fn reconcile(&mut self) -> Result<(), Error> {
        let mut log = std::pin::pin!(follow(Arc::clone(&self.store), Position::START));
        let mut engine = self.executor.runtime.events();
        let head = self.store.head();
        let mut leading = self.lease.leading();
        let mut next_look = Instant::now();
        let mut look = true;
        loop {
            // What is wanted is known only at the end of the log.
            if look && *leading.borrow() && self.desired.position() >= *head.borrow() {
                next_look = self.pass().await;
                look = false;
            }
            tokio::select! {
                // In one order, so that what happens depends on nothing but what came.
                biased;
                Some(done) = self.actions.join_next_with_id() => {
                    self.action_done(done);
                    look = true;
                }
                ended = self.links.ended() => {
                    self.links.note(ended, Instant::now());
                    look = true;
                }
                Ok(()) = leading.changed() => {
                    let leads = *leading.borrow_and_update();
                    self.begin_or_end_acting(leads).await;
                    look = true;
                }
                Some(_) = engine.next() => look = true,
                page = log.next() => match page {
                    Some(Ok(page)) => look |= self.fold(&page),
                    Some(Err(error)) => {
                        tracing::error!(%error, "the reactor cannot read the log; trying on");
                        tokio::time::sleep(RETRY_DELAY).await;
                    }
                    None => return Err(Error::LogClosed),
                },
                () = tokio::time::sleep_until(next_look), if !look => look = true,
            }
        }
    }

    /// From here on this process acts, or another one does.
    async fn begin_or_end_acting(&mut self, leads: bool) {
        self.actions.shutdown().await;
        self.busy.clear();
        self.links.end_all().await;
        self.retries.clear();
        self.seen.clear();
        if leads {
            self.begun = (self.now)();
            self.watching_since = self.begun;
            self.fence_with(self.lease.fence());
        } else if self.lease.is_elsewhere() {
            tracing::warn!(
                "another installation acts on this log; the containers of this one are ended"
            );
            self.end_all().await;
        }
    }

    /// What is planned from here on asks this fence.
    fn fence_with(&mut self, fence: Arc<dyn Fence>) {
        #[cfg(test)]
        if self.is_unfenced {
            return;
        }
        self.executor.reporter = Reporter::new(Arc::clone(&self.store), Arc::clone(&fence));
        self.executor.fence = fence;
    }

    /// Takes events in; whether any of them was about a project.
    fn fold(&mut self, page: &[RecordedEvent]) -> bool {
        for event in page {
            self.lease.observe(event);
            self.desired.take(event);
        }
        page.iter()
            .any(|event| event.stream.category() == Project::CATEGORY)
    }

    /// Looks at everything and begins what is to be done; returns when to look again at the latest.
    async fn pass(&mut self) -> Instant {
        let Some(observed) = self.observe().await else {
            return Instant::now() + RETRY_DELAY;
        };
        let now = Instant::now();
        let wanted = self.desired.wanted();
        self.forget_what_is_over(&wanted);
        self.watch_over(&wanted, &observed);
        measure::looked(&observed, self.slots.size());
        let actions = self.plan(&wanted, &observed, now);
        let under_way = self.starts_under_way();
        for action in in_turn(actions, &under_way) {
            self.begin(action);
        }
        let waiting = |wanted: &Wanted| {
            let wait = wanted.opening.not_before - (self.now)();
            Some(now + wait.to_std().ok()?)
        };
        let waiting = wanted.values().filter_map(waiting).min();
        [self.retries.next(now), self.links.next(now), waiting]
            .into_iter()
            .flatten()
            .fold(now + self.pass_interval(), Instant::min)
    }

    /// Remembers which containers are alive, or were when history heard of them: they may have ended before anybody looks.
    fn watch_over(&mut self, wanted: &BTreeMap<ProjectId, Wanted>, observed: &[Observed]) {
        let alive = observed.iter().filter(|it| it.status.is_alive());
        self.seen.extend(alive.map(|it| it.id.clone()));
        let since = self.watching_since;
        let heard = wanted
            .values()
            .filter(|wanted| wanted.opening.started_at.is_some_and(|at| at >= since))
            .filter_map(started);
        self.seen.extend(heard.cloned());
    }

    fn plan(
        &mut self,
        wanted: &BTreeMap<ProjectId, Wanted>,
        observed: &[Observed],
        now: Instant,
    ) -> Vec<Action> {
        let waiting = self.retries.waiting(now);
        // A place that could not be filled has the whole pool wait, since each has a name of its own.
        let rests = waiting.contains(&POOL);
        let fresh = if rests { 0 } else { self.slots.size() };
        let pool = Pool {
            size: self.slots.size(),
            fresh: (0..fresh).map(|_| self.slots.next()).collect(),
        };
        let at_work = self.busy.values().flat_map(|busy| &busy.subjects).copied();
        let last_use = |wanted: &Wanted| {
            let opening = &wanted.opening;
            Some((opening.project, self.usage.last_use(&opening.key)?))
        };
        plan(Situation {
            wanted,
            observed,
            busy: &at_work.chain(waiting.iter().copied()).collect(),
            linked: &self.links.linked(now),
            seen: &self.seen,
            used: &wanted.values().filter_map(last_use).collect(),
            sleep: &self.sleep,
            memory_wanted: self.usage.is_memory_wanted(),
            pool: &pool,
            begun: self.begun,
            now: (self.now)(),
        })
    }

    fn starts_under_way(&self) -> BTreeMap<Segment, usize> {
        let mut starts = BTreeMap::new();
        for user in self
            .busy
            .values()
            .filter_map(|busy| busy.starts_for.clone())
        {
            *starts.entry(user).or_default() += 1;
        }
        starts
    }

    /// Where projects fall asleep soon, it is looked often enough to see that.
    fn pass_interval(&self) -> Duration {
        let shortest = self.sleep.pause_after.to_std().unwrap_or(PASS_INTERVAL) / 4;
        shortest.clamp(PASS_INTERVAL_MIN, PASS_INTERVAL)
    }

    async fn observe(&mut self) -> Option<Vec<Observed>> {
        match self.executor.runtime.list().await {
            Ok(observed) => {
                if std::mem::replace(&mut self.engine_down, false) {
                    tracing::info!("the container engine answers again");
                    // What it no longer has went with it.
                    self.seen.clear();
                    self.watching_since = (self.now)();
                }
                Some(observed)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.engine_down, true) {
                    tracing::error!(error = %error.with_causes(), "the container engine does not answer; trying on");
                }
                None
            }
        }
    }

    /// Keeps only what belongs to openings that are still wanted, and to what is asked of projects now.
    fn forget_what_is_over(&mut self, wanted: &BTreeMap<ProjectId, Wanted>) {
        let current = |(project, generation): &OpeningId| {
            wanted.get(project).is_some_and(|wanted| {
                wanted.opening.generation == *generation
                    && !matches!(wanted.want, Want::Nothing { .. })
            })
        };
        self.links.keep(current);
        let told: BTreeSet<&ContainerId> = wanted.values().filter_map(started).collect();
        self.seen.retain(|container| told.contains(container));
        for wanted in wanted.values() {
            let project = Subject::Project(wanted.opening.project);
            self.retries.superseded(project, wanted.opening.cause);
        }
    }

    fn begin(&mut self, action: Action) {
        if let Action::Link { opening, endpoint } = action {
            self.links.begin(Link {
                server: self.executor.server(&opening, &endpoint),
                fence: Arc::clone(&self.executor.fence),
                reporter: self.executor.reporter.clone(),
                progress: self.progress.clone(),
                opening,
                endpoint,
            });
        } else if self.actions.len() < ACTIONS_MAX {
            // What finds no room is planned again when an action is done.
            tracing::debug!(?action, "the reactor acts");
            let executor = self.executor.clone();
            let place = action.takes().map(Subject::Pool);
            let busy = Busy {
                subjects: place.into_iter().chain([action.subject()]).collect(),
                starts_for: starts_for(&action),
            };
            let task = self.actions.spawn(async move {
                let outcome = executor.run(action.clone()).await;
                (action, outcome)
            });
            self.busy.insert(task.id(), busy);
        }
    }

    fn action_done(&mut self, done: Result<(Id, Done), JoinError>) {
        match done {
            Ok((id, (action, outcome))) => {
                self.busy.remove(&id);
                measure::acted(&action, ended(&outcome));
                match outcome {
                    Ok(()) => self.succeeded(&action),
                    Err(error) => self.failed(&action, &error),
                }
            }
            Err(error) => {
                for subject in self
                    .busy
                    .remove(&error.id())
                    .into_iter()
                    .flat_map(|it| it.subjects)
                {
                    tracing::error!(%error, %subject, "an action of the reactor panicked");
                    self.retries.failed(subject, None, Instant::now());
                }
            }
        }
    }

    fn succeeded(&mut self, action: &Action) {
        self.retries.succeeded(match action {
            Action::Prepare(_) => POOL,
            _ => action.subject(),
        });
    }

    fn failed(&mut self, action: &Action, error: &ActionError) {
        let subject = match action {
            Action::Prepare(_) => POOL,
            _ => action.subject(),
        };
        if error.is_fenced() {
            tracing::info!(%subject, error = ?error, "an action of the reactor was not let through");
            self.retries
                .postponed(subject, action.cause(), Instant::now());
            return;
        }
        let failures = self.retries.failed(subject, action.cause(), Instant::now());
        tracing::warn!(%subject, error = ?error, failures, "an action of the reactor failed");
        if failures >= ATTEMPTS_MAX
            && let Some(outcome) = error.outcome(action)
        {
            self.begin(outcome);
        }
    }

    /// Ends every container of this instance. History is not told: the projects are still wanted.
    async fn end_all(&mut self) {
        self.links.end_all().await;
        let ended = tokio::time::timeout(SHUTDOWN_TIMEOUT, async {
            self.actions.shutdown().await;
            let runtime = &*self.executor.runtime;
            match runtime.list().await {
                Ok(observed) => {
                    drop(join_all(observed.iter().map(|container| end(runtime, container))).await)
                }
                Err(error) => {
                    tracing::warn!(error = %error.with_causes(), "containers could not be listed for the shutdown");
                }
            }
        });
        if ended.await.is_err() {
            tracing::warn!(
                "some containers did not end in time; the next start takes care of them"
            );
        }
    }
}

/// The container that history says is there.
const fn started(wanted: &Wanted) -> Option<&ContainerId> {
    match &wanted.want {
        Want::Running { started, .. } => started.as_ref(),
        Want::Awake { container } | Want::Asleep { container } => Some(container),
        _ => None,
    }
}

fn ended(outcome: &Result<(), ActionError>) -> &'static str {
    match outcome {
        Ok(()) => "done",
        Err(error) if error.is_fenced() => "not-let-through",
        Err(_) => "failed",
    }
}

fn starts_for(action: &Action) -> Option<Segment> {
    match action {
        Action::Start { opening, .. } => Some(opening.key.user.clone()),
        _ => None,
    }
}

async fn end(runtime: &dyn ContainerRuntime, container: &Observed) {
    if container.status.is_alive()
        && let Err(error) = runtime.stop(&container.id, STOP_GRACE).await
    {
        tracing::warn!(error = %error.with_causes(), container = %container.id, "a container was not stopped");
    }
    if let Err(error) = runtime.remove(&container.id).await {
        tracing::warn!(error = %error.with_causes(), container = %container.id, "a container was not removed");
    }
}
