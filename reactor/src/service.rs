//! The reactor's loop: wake, look at everything, act.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use firefly_domain::control::ProjectProgress;
use firefly_domain::lease::Holder;
use firefly_domain::{Aggregate, Project, ProjectId};
use firefly_event_store::{EventStore, Position, RecordedEvent, follow};
use firefly_identity::ControlKeys;
use futures::StreamExt;
use futures::future::join_all;
use tokio::sync::{broadcast, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::control::ProjectServers;
use crate::desired::{Desired, Want, Wanted};
use crate::execute::{Error as ActionError, Executor, STOP_GRACE};
use crate::lease::{Fence, Lease};
use crate::link::Link;
use crate::links::{Links, OpeningId};
use crate::peers::Peers;
use crate::plan::{Action, Situation, plan};
use crate::report::Reporter;
use crate::retry::{ATTEMPTS_MAX, BackOff, Retries};
use crate::runtime::{self, ContainerRuntime, Observed, Status};

/// How often everything is looked at, even if nothing seems to have happened.
const PASS_INTERVAL: Duration = Duration::from_secs(30);

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
    /// This life of this process, and its installation: who asks for the reactors' lease.
    pub holder: Holder,
    /// The other processes of the installation.
    pub peers: Arc<dyn Peers>,
    /// A clock that goes on while the host sleeps; [`uptime`](crate::lease::uptime) unless time is imitated.
    pub uptime: fn() -> Duration,
    /// How long what failed waits before it is tried again.
    pub back_off: BackOff,
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
    peers: Arc<dyn Peers>,
    /// Whether what whoever acted before left behind is out of the way.
    has_taken_over: bool,
    progress: broadcast::Sender<ProjectProgress>,
    desired: Desired,
    actions: JoinSet<Done>,
    /// The project that each action at work is about.
    busy: BTreeMap<Id, ProjectId>,
    links: Links,
    retries: Retries,
    /// See [`Situation::seen`].
    seen: BTreeSet<OpeningId>,
    begun: DateTime<Utc>,
    now: fn() -> DateTime<Utc>,
    engine_down: bool,
    #[cfg(test)]
    is_unfenced: bool,
}

impl Reactor {
    /// Sets the reactor up; nothing happens before it runs.
    pub fn new(config: Config, store: Arc<dyn EventStore>) -> Self {
        let peers = config.peers;
        let lease = Lease::new(
            Arc::clone(&store),
            config.holder,
            Arc::clone(&peers),
            config.uptime,
        );
        let lease = Arc::new(lease);
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
            peers,
            has_taken_over: false,
            progress: config.progress,
            desired: Desired::default(),
            actions: JoinSet::new(),
            busy: BTreeMap::new(),
            links: Links::default(),
            retries: Retries::new(config.back_off),
            seen: BTreeSet::new(),
            begun: (config.now)(),
            now: config.now,
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

    /// Reconciles until the shutdown begins, then ends all containers, unless others of the installation can go on with
    /// them. Their projects stay open: the next start brings them back.
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
        self.end_work().await;
        let is_shared = self.executor.runtime.is_shared();
        if !is_shared {
            self.end_all().await;
        }
        if self.peers.leave().await && is_shared {
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
        self.end_work().await;
        self.retries.clear();
        self.seen.clear();
        self.has_taken_over = false;
        if leads {
            self.begun = (self.now)();
            self.fence_with(self.lease.fence());
        } else if self.lease.is_elsewhere() {
            tracing::warn!(
                "another installation acts on this log; the containers of this one are ended"
            );
            self.end_all().await;
        }
    }

    /// Ends what is at work, as far as it has come.
    async fn end_work(&mut self) {
        self.actions.shutdown().await;
        self.busy.clear();
        self.links.end_all().await;
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
        self.seen.extend(observed.iter().filter_map(running));
        let busy = self
            .busy
            .values()
            .copied()
            .chain(self.retries.waiting(now))
            .collect();
        let actions = plan(Situation {
            wanted: &wanted,
            observed: &observed,
            busy: &busy,
            linked: &self.links.linked(now),
            seen: &self.seen,
            begun: self.begun,
            now: (self.now)(),
        });
        for action in actions {
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
            .fold(now + PASS_INTERVAL, Instant::min)
    }

    async fn observe(&mut self) -> Option<Vec<Observed>> {
        match self.look().await {
            Ok(observed) => {
                if std::mem::replace(&mut self.engine_down, false) {
                    tracing::info!("the container engine answers again");
                    // What it no longer has went with it.
                    self.seen.clear();
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

    async fn look(&mut self) -> Result<Vec<Observed>, runtime::Error> {
        let Executor { runtime, fence, .. } = &self.executor;
        if !self.has_taken_over {
            runtime.take_over(&**fence).await?;
            self.has_taken_over = true;
        }
        runtime.list().await
    }

    /// Keeps only what belongs to openings that are still wanted, and to what is asked of projects now.
    fn forget_what_is_over(&mut self, wanted: &BTreeMap<ProjectId, Wanted>) {
        let current = |(project, generation): &OpeningId| {
            wanted.get(project).is_some_and(|wanted| {
                wanted.opening.generation == *generation && !matches!(wanted.want, Want::Nothing)
            })
        };
        self.links.keep(current);
        self.seen.retain(current);
        for wanted in wanted.values() {
            self.retries
                .superseded(wanted.opening.project, wanted.opening.cause);
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
            let (executor, project) = (self.executor.clone(), action.project());
            let task = self.actions.spawn(async move {
                let outcome = executor.run(action.clone()).await;
                (action, outcome)
            });
            self.busy.insert(task.id(), project);
        }
    }

    fn action_done(&mut self, done: Result<(Id, Done), JoinError>) {
        match done {
            Ok((id, (action, outcome))) => {
                self.busy.remove(&id);
                match outcome {
                    Ok(()) => self.succeeded(&action),
                    Err(error) => self.failed(&action, &error),
                }
            }
            Err(error) => {
                if let Some(project) = self.busy.remove(&error.id()) {
                    tracing::error!(%error, %project, "an action of the reactor panicked");
                    self.retries.failed(project, None, Instant::now());
                }
            }
        }
    }

    fn succeeded(&mut self, action: &Action) {
        self.retries.succeeded(action.project());
        if let Action::Start(opening) = action {
            // It may have ended again before anybody looks.
            self.seen.insert((opening.project, opening.generation));
        }
    }

    fn failed(&mut self, action: &Action, error: &ActionError) {
        let project = action.project();
        if error.is_fenced() {
            tracing::info!(%project, error = ?error, "an action of the reactor was not let through");
            self.retries
                .postponed(project, action.cause(), Instant::now());
            return;
        }
        let failures = self.retries.failed(project, action.cause(), Instant::now());
        tracing::warn!(%project, error = ?error, failures, "an action of the reactor failed");
        if failures >= ATTEMPTS_MAX
            && let Some(outcome) = error.outcome(action)
        {
            self.begin(outcome);
        }
    }

    /// Ends every container of this instance. History is not told: the projects are still wanted.
    async fn end_all(&mut self) {
        let ended = tokio::time::timeout(SHUTDOWN_TIMEOUT, async {
            let runtime = &*self.executor.runtime;
            match runtime.list().await {
                Ok(observed) => {
                    drop(join_all(observed.iter().map(|container| end(runtime, container))).await)
                }
                Err(error) => {
                    tracing::warn!(error = %error.with_causes(), "containers could not be listed for the shutdown");
                }
            }
            if let Err(error) = runtime.close().await {
                tracing::warn!(error = %error.with_causes(), "the container runtime was not closed cleanly");
            }
        });
        if ended.await.is_err() {
            tracing::warn!(
                "some containers did not end in time; the next start takes care of them"
            );
        }
    }
}

fn running(container: &Observed) -> Option<OpeningId> {
    matches!(container.status, Status::Running { .. })
        .then_some((container.project, container.generation))
}

async fn end(runtime: &dyn ContainerRuntime, container: &Observed) {
    if matches!(container.status, Status::Running { .. })
        && let Err(error) = runtime.stop(&container.id, STOP_GRACE).await
    {
        tracing::warn!(error = %error.with_causes(), container = %container.id, "a container was not stopped");
    }
    if let Err(error) = runtime.remove(&container.id).await {
        tracing::warn!(error = %error.with_causes(), container = %container.id, "a container was not removed");
    }
}
