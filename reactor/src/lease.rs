//! Which of several reactors acts: the one that holds the lease in the log.
//!
//! The holder may act for [`TERM`] from the moment before its last sign of life was given, on its own clock. Whoever waits
//! takes over when it has seen no new sign for as long, counted from when it saw the last one, which is later. So the two
//! never overlap, as long as their clocks run at about the same rate. A holder that was paused finds its time over, and gives
//! a sign in the log, which refuses it if somebody else has the lease by then, before it does anything else.
//!
//! Processes of one installation see each other's signs beside the log ([`Peers`]), and whether one has ended: so several of
//! them cost the log one event for each life of a holder. Such a sign counts only if it was given while the one before it
//! still did; otherwise somebody may have taken over, and only the log knows.
//!
//! A process of another installation says in the log that it waits, to each holder anew and again every [`WAIT_INTERVAL`].
//! The holder then signs there. It looks for such sayings whenever it gives a sign, so whoever begins to wait after that look
//! has to wait for longer than the sign lasts.

mod standing;
#[cfg(test)]
mod tests;
mod watch;

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use firefly_domain::lease::{Command, Event, Holder, Rejection, State, Token};
use firefly_domain::{Actor, Aggregate};
use firefly_event_store::{
    CommandError, CommandHandler, Context, DecodeError, EventStore, RecordedEvent, StreamId, Wire,
};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::{Notify, watch as channel};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::peers::{Life, Peers};
use crate::report::ACTOR;
use standing::{Standing, Tenure};
use watch::{Sign, Watch};

/// How long a holder may be silent before it is taken to be gone.
const TERM: Duration = Duration::from_secs(6);

/// How much earlier the holder itself takes its time to be over.
const MARGIN: Duration = Duration::from_secs(1);

/// How often a holder gives a sign.
const SIGN_INTERVAL: Duration = Duration::from_secs(2);

/// How often somebody who waits looks for signs.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// How often somebody who sees only the log says that it waits.
const WAIT_INTERVAL: Duration = Duration::from_secs(30);

/// A gap after which somebody who waits begins anew: it may have been paused, and forgotten by the holder.
const WAIT_GAP: Duration = Duration::from_secs(60);

/// How long a holder remembers that somebody waits: much longer than that one may rely on it. It forgets with a last sign,
/// so that whoever looked before that, and comes to act on it only now, is refused.
const WAITERS_REMEMBERED: Duration = Duration::from_secs(180);

/// How often the log is asked before it is taken to be too slow.
const CONFIRMATIONS_MAX: u32 = 3;

/// Events of a lease read at a time.
const PAGE_EVENTS: usize = 512;

/// Why nothing may be done.
#[derive(Debug, thiserror::Error)]
pub enum NotLeading {
    /// Another process acts, or nobody yet.
    #[error("this process does not hold the reactor's lease; the one that does will act")]
    NotHeld,
    /// The log takes longer to answer than the lease lasts.
    #[error("the event log takes longer to confirm the reactor's lease than the lease lasts")]
    TooSlow,
    /// The log could not be asked.
    #[error("the event log could not be asked who holds the reactor's lease")]
    Log(#[source] firefly_event_store::Error),
    /// What the log says could not be read.
    #[error("the history of the reactor's lease cannot be read")]
    Unreadable(#[source] DecodeError),
    /// The log did not take a sign of life.
    #[error("the lease could not be written to the event log")]
    Command(#[source] CommandError<Rejection>),
}

/// Asked before anything is done that others can see.
#[async_trait]
pub trait Fence: Send + Sync + 'static {
    /// Returns if this process may act now.
    ///
    /// # Errors
    ///
    /// It may not, or nobody can tell.
    async fn check(&self) -> Result<(), NotLeading>;
}

/// Lets through what was planned in one tenure, and nothing of an earlier one once the lease was lost in between.
struct OfTenure {
    lease: Arc<Lease>,
    token: Option<Token>,
}

/// The lease, as one process sees it.
pub struct Lease {
    store: Arc<dyn EventStore>,
    stream: StreamId,
    id: Uuid,
    commands: CommandHandler<firefly_domain::Lease>,
    holder: Holder,
    peers: Arc<dyn Peers>,
    uptime: fn() -> Duration,
    standing: Mutex<Standing>,
    /// Held by the one who gives a sign: whoever finds the time over at that moment waits for it.
    signing: tokio::sync::Mutex<()>,
    leading: channel::Sender<bool>,
    changed: Notify,
}

impl Lease {
    /// The reactors' lease in a log, for one life of a process. `uptime` is a clock that goes on while the host sleeps.
    pub fn new(
        store: Arc<dyn EventStore>,
        holder: Holder,
        peers: Arc<dyn Peers>,
        uptime: fn() -> Duration,
    ) -> Self {
        let id = firefly_domain::Lease::id(ACTOR);
        Self {
            stream: StreamId::of(firefly_domain::Lease::CATEGORY, &id),
            commands: CommandHandler::new(Arc::clone(&store)),
            store,
            id,
            holder,
            peers,
            uptime,
            standing: Mutex::default(),
            signing: tokio::sync::Mutex::default(),
            leading: channel::Sender::new(false),
            changed: Notify::new(),
        }
    }

    /// Whether this process acts, as it changes.
    pub fn leading(&self) -> channel::Receiver<bool> {
        self.leading.subscribe()
    }

    /// The fence of the tenure that goes on, for everything that is planned in it.
    pub fn fence(self: &Arc<Self>) -> Arc<dyn Fence> {
        let tenure = self.standing().tenure;
        Arc::new(OfTenure {
            lease: Arc::clone(self),
            token: tenure.map(|tenure| tenure.token),
        })
    }

    /// Whether the lease has gone to another installation: what this one runs is of no use to that one.
    pub fn is_elsewhere(&self) -> bool {
        let standing = self.standing();
        let holder = standing.holder.or(standing.folded.holder);
        holder.is_some_and(|holder| holder.instance != self.holder.instance)
    }

    /// Gets the lease, keeps it, and gets it again.
    pub async fn run(&self) -> Infallible {
        loop {
            self.obtain().await;
            tracing::info!("this reactor acts from here on");
            self.leading.send_replace(true);
            self.keep().await;
            tracing::warn!("this reactor does not act any more; another one does");
            self.leading.send_replace(false);
        }
    }

    /// Takes an event of the log in.
    pub fn observe(&self, recorded: &RecordedEvent) {
        if recorded.stream != self.stream {
            return;
        }
        let mut standing = self.standing();
        match firefly_domain::Lease::decode(recorded) {
            Ok(Event::Acquired(acquired)) if acquired.holder.process != self.holder.process => {
                standing.lose(acquired.token);
                standing.holder = Some(acquired.holder);
            }
            // What was read already counts for an earlier holder, or is counted.
            Ok(Event::Awaited(awaited))
                if awaited.holder.process != self.holder.process
                    && standing.next.is_none_or(|next| recorded.revision >= next) =>
            {
                standing.awaited_until = Some(Instant::now() + WAITERS_REMEMBERED);
            }
            Ok(_) => return,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "an event of the reactor's lease cannot be read"
                );
                return;
            }
        }
        drop(standing);
        self.changed.notify_one();
    }

    /// Gives the lease back, so that the next one need not wait.
    pub async fn release(&self) {
        let Some(tenure) = self.standing().tenure.take() else {
            return;
        };
        let token = tenure.token;
        match timeout(TERM, self.write(Command::Release { token })).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the reactor's lease was not given back; the next one waits for a few seconds"
                );
            }
            Err(_) => tracing::warn!(
                "the reactor's lease was not given back in time; the next one waits for a few seconds"
            ),
        }
    }

    async fn obtain(&self) {
        let mut watch = Watch::default();
        loop {
            match self.try_obtain(&mut watch).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the reactor's lease cannot be had; trying on"
                    );
                }
            }
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// Looks once; whether it has the lease.
    async fn try_obtain(&self, watch: &mut Watch) -> Result<bool, NotLeading> {
        let state = self.load().await?;
        let Some(holder) = state.holder.filter(|_| !state.released) else {
            return self.acquire(state).await;
        };
        // The log did as it was asked, and its answer was lost.
        if holder.process == self.holder.process {
            return self.acquire(state).await;
        }
        let began = Instant::now();
        let life = self.peers.life(holder).await;
        match life {
            Life::Over => return self.acquire(state).await,
            Life::Unknown if watch.must_say(state.token, (self.uptime)()) => {
                let holder = self.holder;
                self.write(Command::Wait { holder }).await?;
                watch.say(state.token, (self.uptime)(), Instant::now());
            }
            Life::Unknown | Life::Signs(_) => {}
        }
        if watch.is_silent(Sign::of(&state, life), began, Instant::now()) {
            return self.acquire(state).await;
        }
        Ok(false)
    }

    /// Asks for the lease, if it is still as it was watched; whether it was had.
    async fn acquire(&self, watched: State) -> Result<bool, NotLeading> {
        let mut asked = (self.uptime)();
        let command = Command::Acquire {
            holder: self.holder,
            watched: Some(watched),
        };
        let (state, written) = match self.write(command).await {
            Ok(done) => done,
            Err(NotLeading::Command(CommandError::Rejected(_))) => return Ok(false),
            Err(error) => return Err(error),
        };
        let token = state.token;
        if !written {
            // It was had already: since when, nobody knows.
            asked = (self.uptime)();
            self.write(Command::Renew { token }).await?;
        }
        let mut standing = self.standing();
        standing.tenure = Some(Tenure::from(token, asked));
        standing.awaited_until = (state.waiting > 0).then(|| Instant::now() + WAITERS_REMEMBERED);
        Ok(true)
    }

    /// Keeps the lease until it is lost.
    async fn keep(&self) {
        loop {
            let tenure = self.standing().tenure;
            let Some(tenure) = tenure else {
                return;
            };
            let turn = self.signing.lock().await;
            if let Err(error) = self.renew(tenure.token).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the reactor's lease was not kept"
                );
            }
            drop(turn);
            let _ = timeout(SIGN_INTERVAL, self.changed.notified()).await;
        }
    }

    /// Gives a sign of life where all who wait can see it: beside the log if that is enough.
    async fn renew(&self, token: Token) -> Result<(), NotLeading> {
        let asked = (self.uptime)();
        let state = self.load().await?;
        if state.released || state.token != token {
            self.lost();
            return Err(NotLeading::NotHeld);
        }
        if self.standing().is_awaited() {
            return self.sign(token).await;
        }
        if let Err(error) = self.peers.sign().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the other processes of this installation may not see that this one lives; the log will tell them"
            );
            return self.sign(token).await;
        }
        {
            let mut standing = self.standing();
            // Afterwards: nobody has taken over before the sign could be seen.
            if standing.holds(token, (self.uptime)()) {
                standing.extend(token, asked);
                return Ok(());
            }
        }
        self.sign(token).await
    }

    /// Gives a sign of life in the log.
    async fn sign(&self, token: Token) -> Result<(), NotLeading> {
        let (asked, now) = ((self.uptime)(), Instant::now());
        match self.write(Command::Renew { token }).await {
            Ok(_) => {
                let mut standing = self.standing();
                standing.extend(token, asked);
                standing.forget_waiters(now);
                Ok(())
            }
            Err(NotLeading::Command(CommandError::Rejected(Rejection::Lost(_)))) => {
                self.lost();
                Err(NotLeading::NotHeld)
            }
            Err(error) => Err(error),
        }
    }

    fn lost(&self) {
        self.standing().tenure = None;
        self.changed.notify_one();
    }

    /// The lease as the log has it.
    async fn load(&self) -> Result<State, NotLeading> {
        let (mut state, next) = {
            let standing = self.standing();
            (standing.folded, standing.next)
        };
        let Some(mut next) = next else {
            return self.load_back().await;
        };
        loop {
            let page = self.store.read_stream(&self.stream, next, PAGE_EVENTS);
            let page = page.await.map_err(NotLeading::Log)?;
            for recorded in &page {
                state = firefly_domain::Lease::evolve(state, &decoded(recorded)?);
                next = recorded.revision.next();
            }
            if page.len() < PAGE_EVENTS {
                break;
            }
        }
        self.standing().read(state, Some(next), Instant::now());
        Ok(state)
    }

    /// The same for the first time: read backward as far as the event that says who has it.
    async fn load_back(&self) -> Result<State, NotLeading> {
        let (mut events, mut newest, mut before) = (Vec::new(), None, None);
        'reading: loop {
            let page = self
                .store
                .read_stream_back(&self.stream, before, PAGE_EVENTS);
            let page = page.await.map_err(NotLeading::Log)?;
            for recorded in &page {
                newest = newest.or(Some((recorded.revision, recorded.position)));
                let event = decoded(recorded)?;
                let says_who = matches!(event, Event::Acquired(_));
                events.push(event);
                if says_who {
                    break 'reading;
                }
            }
            before = page.last().map(|oldest| oldest.revision);
            if page.len() < PAGE_EVENTS {
                break;
            }
        }
        let forward = events.iter().rev();
        let state = forward.fold(State::default(), firefly_domain::Lease::evolve);
        if let Some((revision, position)) = newest {
            self.commands
                .begin_with(&self.id, state, revision, position);
            let next = Some(revision.next());
            self.standing().read(state, next, Instant::now());
        }
        Ok(state)
    }

    /// Writes what a command decides; the lease after it, and whether anything was written.
    async fn write(&self, command: Command) -> Result<(State, bool), NotLeading> {
        let context = Context::new(Actor::System(ACTOR.to_owned()), Uuid::new_v4());
        let handled = self.commands.handle(&self.id, command, &context).await;
        let handled = handled.map_err(NotLeading::Command)?;
        Ok((handled.state, !handled.events.is_empty()))
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OfTenure {
    /// Whether the lease is held for certain, if it was not lost.
    fn is_held(&self, token: Token) -> Result<bool, NotLeading> {
        let standing = self.lease.standing();
        let tenure = standing.tenure.filter(|tenure| tenure.token == token);
        tenure.ok_or(NotLeading::NotHeld)?;
        Ok(standing.holds(token, (self.lease.uptime)()))
    }
}

fn decoded(recorded: &RecordedEvent) -> Result<Event, NotLeading> {
    firefly_domain::Lease::decode(recorded).map_err(NotLeading::Unreadable)
}

#[async_trait]
impl Fence for OfTenure {
    async fn check(&self) -> Result<(), NotLeading> {
        let token = self.token.ok_or(NotLeading::NotHeld)?;
        if self.is_held(token)? {
            return Ok(());
        }
        let _turn = self.lease.signing.lock().await;
        for _ in 0..CONFIRMATIONS_MAX {
            if self.is_held(token)? {
                return Ok(());
            }
            // It counts from when it was asked for, and may be over again by the time the log has answered.
            self.lease.renew(token).await?;
        }
        Err(NotLeading::TooSlow)
    }
}

/// Time since the host was started, also while it slept.
pub fn uptime() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

/// Lets everything happen.
#[cfg(test)]
pub struct Unfenced;

#[cfg(test)]
#[async_trait]
impl Fence for Unfenced {
    async fn check(&self) -> Result<(), NotLeading> {
        Ok(())
    }
}
