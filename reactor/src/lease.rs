//! Which of several reactors acts: the one that holds the lease in the log.
//!
//! The holder may act for [`TERM`] from the moment before its last sign was written, on its own clock. Whoever waits takes
//! over when it has read no new sign for as long, counted from when it read the last one, which is later. So the two never
//! overlap, as long as their clocks run at about the same rate. A holder that was paused finds its time over, and asks the
//! log before it does anything else.
//!
//! While nobody waits, nobody can take over, and no signs are written: a single reactor costs the log one event a life.
//! Who waits says so in the log, and again every [`WAIT_INTERVAL`]; a holder that reads the log after its time is over and
//! finds nobody waiting has as much time again, since whoever begins to wait then has to wait that long.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use firefly_domain::lease::{Command, Event, Holder, Rejection, State, Token};
use firefly_domain::{Actor, Aggregate};
use firefly_event_store::{
    CommandError, CommandHandler, Context, DecodeError, EventStore, RecordedEvent, Revision,
    StreamId, Wire,
};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::report::ACTOR;

/// How long a holder may be silent before it is taken to be gone.
const TERM: Duration = Duration::from_secs(6);

/// How much earlier the holder itself takes its time to be over.
const MARGIN: Duration = Duration::from_secs(1);

/// How often a holder gives a sign while somebody waits.
const SIGN_INTERVAL: Duration = Duration::from_secs(2);

/// How often somebody who waits looks for signs.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// How often somebody who waits says so.
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

/// Who asks for the lease.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// This life of this process, and its installation.
    pub holder: Holder,
    /// Whether no other process of this installation lives. An earlier life of it is then known to be over.
    pub alone: bool,
}

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
    claim: Claim,
    standing: Mutex<Standing>,
    leading: watch::Sender<bool>,
    awaited: Notify,
}

#[derive(Debug, Default)]
struct Standing {
    tenure: Option<Tenure>,
    /// Who was last seen to get it, other than this process.
    holder: Option<Holder>,
    /// Until when somebody is taken to wait; none only once that was forgotten with a sign.
    awaited_until: Option<Instant>,
    /// The lease, folded up to a revision.
    folded: State,
    next: Option<Revision>,
}

#[derive(Clone, Copy, Debug)]
struct Tenure {
    token: Token,
    valid_until: Instant,
}

/// What somebody who waits has seen.
#[derive(Debug, Default)]
struct Watch {
    /// The lease as it was read, and since when it shows no new sign.
    seen: Option<(State, Instant)>,
    /// When it was last said that somebody waits, and since when that is said without a gap.
    said: Option<(Instant, Instant)>,
}

impl Lease {
    /// The reactors' lease in a log.
    pub fn new(store: Arc<dyn EventStore>, claim: Claim) -> Self {
        let id = firefly_domain::Lease::id(ACTOR);
        Self {
            stream: StreamId::of(firefly_domain::Lease::CATEGORY, &id),
            commands: CommandHandler::new(Arc::clone(&store)),
            store,
            id,
            claim,
            standing: Mutex::default(),
            leading: watch::Sender::new(false),
            awaited: Notify::new(),
        }
    }

    /// Whether this process acts, as it changes.
    pub fn leading(&self) -> watch::Receiver<bool> {
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
        holder.is_some_and(|holder| holder.instance != self.claim.holder.instance)
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
            Ok(Event::Acquired(acquired))
                if acquired.holder.process != self.claim.holder.process =>
            {
                standing.lose(acquired.token);
                standing.holder = Some(acquired.holder);
            }
            Ok(Event::Awaited(awaited)) if awaited.holder.process != self.claim.holder.process => {
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
        self.awaited.notify_one();
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
        let of_this_installation = |holder: Holder| holder.instance == self.claim.holder.instance;
        let left_behind = self.claim.alone && state.holder.is_some_and(of_this_installation);
        if state.holder.is_none() || state.released || left_behind {
            return self.acquire(state).await;
        }
        if watch.must_say(Instant::now()) {
            let holder = self.claim.holder;
            self.write(Command::Wait { holder }).await?;
            watch.say(Instant::now());
        }
        match watch.look(state, Instant::now()) {
            Some(silent) => self.acquire(silent).await,
            None => Ok(false),
        }
    }

    async fn acquire(&self, watched: State) -> Result<bool, NotLeading> {
        let asked = Instant::now();
        let command = Command::Acquire {
            holder: self.claim.holder,
            watched: Some(watched),
        };
        let (state, written) = match self.write(command).await {
            Ok(done) => done,
            Err(NotLeading::Command(CommandError::Rejected(_))) => return Ok(false),
            Err(error) => return Err(error),
        };
        let awaited = state.waiting > 0;
        {
            let mut standing = self.standing();
            standing.awaited_until = awaited.then(|| Instant::now() + WAITERS_REMEMBERED);
            standing.tenure = Some(Tenure {
                token: state.token,
                valid_until: asked + TERM - MARGIN,
            });
        }
        if written {
            return Ok(true);
        }
        // It was had already, by a request whose answer was lost: since when, nobody knows.
        self.sign(state.token).await.map(|()| true)
    }

    /// Keeps the lease until it is lost.
    async fn keep(&self) {
        loop {
            let _ = timeout(SIGN_INTERVAL, self.awaited.notified()).await;
            let (tenure, awaited) = {
                let standing = self.standing();
                (standing.tenure, standing.is_awaited())
            };
            let Some(tenure) = tenure else {
                return;
            };
            if awaited && let Err(error) = self.sign(tenure.token).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the reactor's lease was not kept; trying on"
                );
            }
        }
    }

    /// Gives a sign of life.
    async fn sign(&self, token: Token) -> Result<(), NotLeading> {
        let asked = Instant::now();
        match self.write(Command::Renew { token }).await {
            Ok(_) => {
                let mut standing = self.standing();
                standing.extend(token, asked);
                standing.awaited_until = standing.awaited_until.filter(|until| *until > asked);
                Ok(())
            }
            Err(NotLeading::Command(CommandError::Rejected(Rejection::Lost(_)))) => {
                self.standing().tenure = None;
                self.awaited.notify_one();
                Err(NotLeading::NotHeld)
            }
            Err(error) => Err(error),
        }
    }

    /// Asks the log whether the lease is still held, when its time is over.
    async fn confirm(&self, token: Token) -> Result<(), NotLeading> {
        let asked = Instant::now();
        let state = self.load().await?;
        if state.released || state.token != token {
            self.standing().tenure = None;
            self.awaited.notify_one();
            return Err(NotLeading::NotHeld);
        }
        if self.standing().is_awaited() {
            return self.sign(token).await;
        }
        self.standing().extend(token, asked);
        Ok(())
    }

    /// The lease as the log has it.
    async fn load(&self) -> Result<State, NotLeading> {
        let (mut state, mut next) = {
            let standing = self.standing();
            (standing.folded, standing.next)
        };
        loop {
            let from = next.unwrap_or(Revision::FIRST);
            let page = self
                .store
                .read_stream(&self.stream, from, PAGE_EVENTS)
                .await;
            let page = page.map_err(NotLeading::Log)?;
            for recorded in &page {
                let event = firefly_domain::Lease::decode(recorded);
                let event = event.map_err(NotLeading::Unreadable)?;
                state = firefly_domain::Lease::evolve(state, &event);
                next = Some(recorded.revision.next());
            }
            if page.len() < PAGE_EVENTS {
                break;
            }
        }
        let mut standing = self.standing();
        if next > standing.next {
            if state.waiting > standing.folded.waiting {
                standing.awaited_until = Some(Instant::now() + WAITERS_REMEMBERED);
            }
            (standing.folded, standing.next) = (state, next);
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

#[async_trait]
impl Fence for OfTenure {
    async fn check(&self) -> Result<(), NotLeading> {
        let token = self.token.ok_or(NotLeading::NotHeld)?;
        for _ in 0..CONFIRMATIONS_MAX {
            let tenure = self.lease.standing().tenure;
            let tenure = tenure.filter(|tenure| tenure.token == token);
            let tenure = tenure.ok_or(NotLeading::NotHeld)?;
            if Instant::now() < tenure.valid_until {
                return Ok(());
            }
            // It counts from when it was asked for, and may be over again by the time the log has answered.
            self.lease.confirm(token).await?;
        }
        Err(NotLeading::TooSlow)
    }
}

impl Standing {
    const fn is_awaited(&self) -> bool {
        self.awaited_until.is_some()
    }

    /// Another holder has a number.
    fn lose(&mut self, token: Token) {
        if self.tenure.is_some_and(|tenure| tenure.token < token) {
            self.tenure = None;
        }
    }

    /// A sign was asked for at a time, and is in the log.
    fn extend(&mut self, token: Token, asked: Instant) {
        if let Some(tenure) = self.tenure.as_mut().filter(|tenure| tenure.token == token) {
            tenure.valid_until = tenure.valid_until.max(asked + TERM - MARGIN);
        }
    }
}

impl Watch {
    /// Whether it is time to say that somebody waits.
    fn must_say(&self, now: Instant) -> bool {
        self.said
            .is_none_or(|(last, _)| now - last >= WAIT_INTERVAL)
    }

    /// It was said that somebody waits.
    fn say(&mut self, now: Instant) {
        let since = match self.said {
            Some((last, since)) if now - last < WAIT_GAP => since,
            Some(_) | None => now,
        };
        self.said = Some((now, since));
    }

    /// Takes a look at the lease in; the lease as it is, if its holder has been silent for a whole term.
    fn look(&mut self, state: State, now: Instant) -> Option<State> {
        let silent = |seen: &State| seen.token == state.token && seen.signs == state.signs;
        let since = match self.seen {
            Some((seen, since)) if silent(&seen) => since,
            Some(_) | None => now,
        };
        self.seen = Some((state, since));
        let (_, said) = self.said?;
        (now - since > TERM && now - said > TERM).then_some(state)
    }
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
