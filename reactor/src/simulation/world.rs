//! What there is beside the reactor: containers, workspaces, and what goes wrong. It knows what must never be.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::Duration;

use firefly_domain::{ContainerId, Generation, ProjectId};
use rand::rngs::SmallRng;
use rand::seq::IteratorRandom;
use rand::{Rng, SeedableRng};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::clock;
use super::latch::Latch;
use crate::runtime::docker;
use crate::runtime::{Error, Exit, RuntimeEvent};

/// One life of a reactor process.
pub type Life = u64;

/// A bug that is planted to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// What failed is never tried again.
    MissingRetry,
    /// Containers of others are listed as our own.
    AdoptedStranger,
    /// A reactor does not ask whether it still holds the lease.
    DroppedFence,
}

/// What a container does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doing {
    Created,
    Running,
    Exited(Exit),
}

/// A container.
#[derive(Debug)]
pub struct Container {
    pub project: ProjectId,
    pub generation: Generation,
    /// Whether it is of somebody else.
    pub foreign: bool,
    pub doing: Doing,
    /// The key that its project-server was told.
    pub key: Option<String>,
    /// What its project-server reports, and when.
    pub script: Vec<super::servers::Line>,
    /// Set when it no longer runs.
    pub over: Latch,
}

/// A project's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct Workspace {
    pub unsaved: u64,
}

pub struct World {
    state: Mutex<State>,
    plant: Option<Plant>,
}

pub struct State {
    pub rng: SmallRng,
    pub containers: BTreeMap<ContainerId, Container>,
    pub workspaces: BTreeMap<ProjectId, Workspace>,
    /// Who may lose unsaved work: what the log says, as the people of this world read it.
    pub forced: BTreeSet<ProjectId>,
    subscribers: Vec<mpsc::UnboundedSender<RuntimeEvent>>,
    calm: bool,
    /// Whether there are several reactors. They keep each other awake, so that long waits take long to play.
    pub crowded: bool,
    engine_down: bool,
    lives: BTreeMap<Life, Latch>,
    /// Whether reactors see each other beside the log, and how many signs each has shown.
    neighbours: bool,
    signs: BTreeMap<Life, u64>,
    /// Lives that stand still, and until when.
    paused: BTreeMap<Life, Instant>,
    /// The life that holds the lease, as the log has it.
    leader: Option<Life>,
    next: u64,
    broken: Option<String>,
    trace: Vec<String>,
}

/// Calls that only look.
pub const LOOKS: [&str; 4] = ["list", "read the log", "follow", "look at a process"];

/// Calls that change nothing but what others know of the caller.
const SIGNS: [&str; 3] = ["append", "sign", "show a sign"];

/// What happens to one call.
struct Weather {
    before: Duration,
    after: Duration,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Fine,
    /// It fails, and nothing has happened.
    Refused,
    /// It happens, and its answer is lost.
    Unanswered,
    /// The reactor is killed before it happens.
    KilledBefore,
    /// The reactor is killed after it happened.
    KilledAfter,
}

impl World {
    pub fn new(seed: u64, plant: Option<Plant>) -> Arc<Self> {
        Arc::new(Self {
            plant,
            state: Mutex::new(State {
                rng: SmallRng::seed_from_u64(seed),
                containers: BTreeMap::new(),
                workspaces: BTreeMap::new(),
                forced: BTreeSet::new(),
                subscribers: Vec::new(),
                calm: false,
                crowded: false,
                engine_down: false,
                lives: BTreeMap::new(),
                neighbours: true,
                signs: BTreeMap::new(),
                paused: BTreeMap::new(),
                leader: None,
                next: 0,
                broken: None,
                trace: Vec::new(),
            }),
        })
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn has(&self, plant: Plant) -> bool {
        self.plant == Some(plant)
    }

    /// The first rule that was broken.
    pub fn broken(&self) -> Option<String> {
        self.state().broken.clone()
    }

    pub fn trace(&self) -> Vec<String> {
        self.state().trace.clone()
    }

    /// Nothing fails from here on.
    pub fn calm(&self) {
        let mut state = self.state();
        state.note("calm");
        state.calm = true;
        state.engine_down = false;
        state.nudge(&RuntimeEvent::Resynchronise);
    }

    /// How many reactors share this world.
    pub fn reactors(&self) -> u64 {
        let mut state = self.state();
        state.crowded = state.rng.random_bool(0.3);
        state.neighbours = !state.crowded || state.rng.random_bool(0.5);
        if state.crowded { 2 } else { 1 }
    }

    pub fn begin_life(&self) -> Life {
        let mut state = self.state();
        let life = state.next();
        state.lives.insert(life, Latch::default());
        state.note(format_args!("life {life} of a reactor begins"));
        life
    }

    /// Whether a reactor lives, and the engine answers it.
    pub fn is_at_work(&self) -> bool {
        let state = self.state();
        let moves = |life: &Life| !state.paused.contains_key(life);
        !state.engine_down && state.lives.keys().any(moves)
    }

    /// Returns when a life is over.
    pub async fn end_of(&self, life: Life) {
        let over = self.state().lives[&life].clone();
        over.wait().await;
        let mut state = self.state();
        state.lives.remove(&life);
        state.paused.remove(&life);
    }

    /// Kills a reactor.
    pub fn kill(&self) {
        let mut state = self.state();
        if let Some(life) = state.any_life() {
            state.note(format_args!("life {life} is killed"));
            state.end(life);
        }
    }

    /// Stops a reactor for a while, as SIGSTOP does.
    pub fn pause(&self) {
        let mut state = self.state();
        if let Some(life) = state.any_life() {
            let time = Duration::from_millis(state.rng.random_range(1_000..40_000));
            state.note(format_args!("life {life} stands still for {time:?}"));
            state.paused.insert(life, Instant::now() + time);
        }
    }

    /// Returns when a life does not stand still.
    pub async fn gate(&self, life: Life) {
        while let Some(until) = self.paused_until(life) {
            sleep_until(until).await;
        }
    }

    fn paused_until(&self, life: Life) -> Option<Instant> {
        let mut state = self.state();
        let until = *state.paused.get(&life)?;
        if until > Instant::now() {
            return Some(until);
        }
        state.paused.remove(&life);
        None
    }

    /// Runs a future that stands still whenever its life does.
    pub async fn gated<F: Future>(&self, life: Life, future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        let mut still = None;
        poll_fn(|context| {
            loop {
                let Some(until) = self.paused_until(life) else {
                    return future.as_mut().poll(context);
                };
                let sleep = still.insert(Box::pin(sleep_until(until)));
                if sleep.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    pub fn pause_between_steps(&self) -> Duration {
        let mut state = self.state();
        let longest = if state.rng.random_bool(0.2) {
            120_000
        } else {
            8_000
        };
        Duration::from_millis(state.rng.random_range(0..longest))
    }

    pub fn downtime(&self) -> Duration {
        Duration::from_millis(self.state().rng.random_range(100..20_000))
    }

    /// The engine answers nothing for a while.
    pub fn engine_fails(self: &Arc<Self>) {
        let mut state = self.state();
        state.note("the engine is down");
        state.engine_down = true;
        let time = Duration::from_millis(state.rng.random_range(1_000..60_000));
        let world = Arc::clone(self);
        tokio::spawn(async move {
            sleep(time).await;
            let mut state = world.state();
            state.note("the engine is up");
            state.engine_down = false;
            state.nudge(&RuntimeEvent::Resynchronise);
        });
    }

    /// One call of a reactor: late, refused, unanswered or the last thing it does, as the seed has it.
    pub async fn call<T>(
        &self,
        life: Life,
        what: &'static str,
        effect: impl FnOnce(&mut State) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if !self.may(life, what) {
            return Err(unanswered(what));
        }
        let weather = self.weather(what);
        sleep(weather.before).await;
        match weather.fate {
            Fate::KilledBefore => self.die(life, what).await,
            Fate::Refused => {
                self.state().note(format_args!("{what}: refused"));
                return Err(unanswered(what));
            }
            Fate::Fine | Fate::Unanswered | Fate::KilledAfter => {}
        }
        if self.state().engine_down {
            return Err(unanswered(what));
        }
        let result = effect(&mut self.state());
        sleep(weather.after).await;
        self.gate(life).await;
        match weather.fate {
            Fate::KilledAfter => {
                self.die(life, what).await;
                result
            }
            Fate::Unanswered => {
                self.state().note(format_args!("{what}: not answered"));
                Err(unanswered(what))
            }
            _ => result,
        }
    }

    /// Only the reactor that holds the lease changes anything.
    fn may(&self, life: Life, what: &str) -> bool {
        let mut state = self.state();
        let leader = state.leader;
        let may = LOOKS.contains(&what) || SIGNS.contains(&what) || leader == Some(life);
        if !may {
            state.broken(format_args!(
                "life {life} would {what}, though {leader:?} holds the lease"
            ));
        }
        may
    }

    async fn die(&self, life: Life, what: &str) {
        self.state().note(format_args!("killed at {what}"));
        self.state().end(life);
        std::future::pending::<()>().await;
    }

    fn weather(&self, what: &str) -> Weather {
        let state = &mut *self.state();
        if state.calm {
            return Weather {
                before: Duration::from_millis(20),
                after: Duration::from_millis(20),
                fate: Fate::Fine,
            };
        }
        // What is done all the time fails more seldom, or little else would happen.
        let odds = match what {
            "list" | "read the log" | "sign" | "show a sign" | "look at a process" => 1_000,
            _ => 100,
        };
        let fate = match state.rng.random_range(0..odds) {
            0..4 => Fate::Refused,
            4..8 => Fate::Unanswered,
            8 => Fate::KilledBefore,
            9 => Fate::KilledAfter,
            _ => Fate::Fine,
        };
        Weather {
            before: state.delay(),
            after: state.delay(),
            fate,
        }
    }
}

impl State {
    /// Somebody got the lease.
    pub fn leads(&mut self, life: Life) {
        self.note(format_args!("life {life} leads"));
        self.leader = Some(life);
    }

    /// A reactor shows that it lives.
    pub fn sign(&mut self, life: Life) {
        *self.signs.entry(life).or_default() += 1;
    }

    /// What reactors know of each other beside the log.
    pub fn life(&self, life: Life) -> crate::Life {
        if !self.neighbours {
            crate::Life::Unknown
        } else if self.lives.contains_key(&life) {
            crate::Life::Signs(self.signs.get(&life).copied().unwrap_or_default())
        } else {
            crate::Life::Over
        }
    }

    fn end(&self, life: Life) {
        if let Some(over) = self.lives.get(&life) {
            over.set();
        }
    }

    fn any_life(&mut self) -> Option<Life> {
        self.lives.keys().copied().choose(&mut self.rng)
    }

    pub fn note(&mut self, what: impl Display) {
        let line = format!(
            "{:>9.3} {what}",
            clock::now().timestamp_millis() as f64 / 1_000.0
        );
        self.trace.push(line);
    }

    /// A rule does not hold.
    pub fn broken(&mut self, rule: impl Display) {
        let rule = rule.to_string();
        self.note(format_args!("BROKEN: {rule}"));
        self.broken.get_or_insert(rule);
    }

    fn delay(&mut self) -> Duration {
        let longest = match self.rng.random_range(0..20) {
            0 => 14_000,
            1..4 => 2_000,
            _ => 60,
        };
        Duration::from_millis(self.rng.random_range(0..longest))
    }

    pub fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub fn is_calm(&self) -> bool {
        self.calm
    }

    pub fn subscribe(&mut self) -> mpsc::UnboundedReceiver<RuntimeEvent> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.subscribers.push(sender);
        receiver
    }

    /// Tells whoever listens; without calm some is lost and some comes twice.
    pub fn nudge(&mut self, event: &RuntimeEvent) {
        let times = match self.rng.random_range(0..10) {
            _ if self.calm => 1,
            0..2 => 0,
            2 => 2,
            _ => 1,
        };
        self.subscribers
            .retain(|subscriber| (0..times).all(|_| subscriber.send(event.clone()).is_ok()));
    }

    /// A container begins to run.
    pub fn run(&mut self, id: &ContainerId, key: &str) {
        let project = self.containers[id].project;
        let running =
            |it: &&Container| it.project == project && it.doing == Doing::Running && !it.foreign;
        if self.containers.values().any(|it| running(&it)) {
            self.broken(format_args!(
                "a second container of project {project} runs: {id}"
            ));
        }
        self.note(format_args!("{id} runs for {project}"));
        let container = self.containers.get_mut(id).unwrap();
        container.doing = Doing::Running;
        container.key = Some(key.to_owned());
    }

    /// A container ends, for whatever reason.
    pub fn exit(&mut self, id: &ContainerId, exit_code: i64, oom: bool) {
        let Some(container) = self.containers.get_mut(id) else {
            return;
        };
        if container.doing != Doing::Running {
            return;
        }
        container.doing = Doing::Exited(Exit {
            exit_code: Some(exit_code),
            oom,
            finished_at: Some(clock::now()),
        });
        container.over.set();
        self.note(format_args!("{id} ends with {exit_code}"));
        self.nudge(&RuntimeEvent::Exited { id: id.clone() });
    }

    /// A container is removed.
    pub fn remove(&mut self, id: &ContainerId) {
        if let Some(container) = self.containers.remove(id) {
            container.over.set();
            self.note(format_args!("{id} is removed"));
            self.nudge(&RuntimeEvent::Exited { id: id.clone() });
        }
    }

    /// The reactor does something to a container: it must be its own.
    pub fn touch(&mut self, id: &ContainerId, what: &str) {
        if self.containers.get(id).is_some_and(|it| it.foreign) {
            self.broken(format_args!(
                "{id} is a stranger's, and the reactor would {what} it"
            ));
        }
    }
}

fn unanswered(operation: &'static str) -> Error {
    Error::Docker(docker::Error::TimedOut {
        operation,
        subject: "a container".into(),
    })
}
