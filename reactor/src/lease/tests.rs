//! Processes that get, keep, lose and pass on the lease, in virtual time.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use firefly_event_store::{
    Appended, Error, Expected, Layer, Metadata, NewEvent, Position, Revision, follow,
};
use futures::StreamExt;
use serde_json::value::RawValue;
use tokio::task::JoinSet;

use super::*;
use crate::simulation::clock;
use crate::simulation::log::{Log, LogOf};

const SECOND: Duration = Duration::from_secs(1);

/// How soon somebody is succeeded who is known to be gone.
const AT_ONCE: Duration = SECOND;

/// How soon somebody is succeeded who only gives no sign.
const IN_TIME: Duration = Duration::from_secs(10);

thread_local! {
    static SLEPT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

fn uptime() -> Duration {
    clock::uptime() + SLEPT.get()
}

/// Runs a test in virtual time.
fn play(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    clock::begin(&runtime);
    runtime.block_on(test);
}

/// A log, and processes of some installations that use it.
struct Town {
    log: Log,
    /// Those that live, and the signs that each has given beside the log.
    lives: Arc<Mutex<BTreeMap<Uuid, u64>>>,
}

/// A log that answers appends late, or not at all.
struct Slow {
    log: LogOf,
    trouble: Arc<Mutex<Trouble>>,
}

#[derive(Default)]
struct Trouble {
    delay: Duration,
    refuses: bool,
}

struct Neighbour {
    holder: Holder,
    lives: Arc<Mutex<BTreeMap<Uuid, u64>>>,
}

/// One process.
struct Process {
    lease: Arc<Lease>,
    holder: Holder,
    lives: Arc<Mutex<BTreeMap<Uuid, u64>>>,
    stands_still: Arc<AtomicBool>,
    trouble: Arc<Mutex<Trouble>>,
    tasks: JoinSet<()>,
}

#[async_trait]
impl Layer for Slow {
    fn behind(&self) -> &dyn EventStore {
        &self.log
    }

    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, Error> {
        let (delay, refuses) = {
            let trouble = self.trouble.lock().unwrap();
            (trouble.delay, trouble.refuses)
        };
        sleep(delay).await;
        if refuses {
            return Err(Error::Closed);
        }
        self.behind().append(stream, expected, events).await
    }
}

#[async_trait]
impl Peers for Neighbour {
    async fn sign(&self) -> io::Result<()> {
        let mut lives = self.lives.lock().unwrap();
        *lives.entry(self.holder.process).or_default() += 1;
        Ok(())
    }

    async fn life(&self, process: Holder) -> Life {
        if process.instance != self.holder.instance {
            return Life::Unknown;
        }
        let lives = self.lives.lock().unwrap();
        lives
            .get(&process.process)
            .map_or(Life::Over, |signs| Life::Signs(*signs))
    }

    async fn leave(&self) -> bool {
        unreachable!("the lease does not ask")
    }
}

/// Runs something that stands still whenever its process does.
async fn gated<F: Future>(stands_still: Arc<AtomicBool>, future: F) {
    let (mut future, mut still) = (std::pin::pin!(future), None);
    poll_fn(|context| {
        while stands_still.load(Ordering::Relaxed) {
            let sleep = still.insert(Box::pin(sleep(SECOND / 10)));
            if sleep.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
        future.as_mut().poll(context).map(drop)
    })
    .await;
}

impl Town {
    fn new() -> Self {
        Self {
            log: Log::new(),
            lives: Arc::default(),
        }
    }

    /// Begins a process of an installation.
    fn begin(&self, process: u128, instance: u128) -> Process {
        let holder = Holder {
            process: Uuid::from_u128(process),
            instance: Uuid::from_u128(instance),
        };
        let trouble: Arc<Mutex<Trouble>> = Arc::default();
        let store: Arc<dyn EventStore> = Arc::new(Slow {
            log: LogOf::people(&self.log),
            trouble: Arc::clone(&trouble),
        });
        self.lives.lock().unwrap().insert(holder.process, 0);
        let peers = Arc::new(Neighbour {
            holder,
            lives: Arc::clone(&self.lives),
        });
        let lease = Arc::new(Lease::new(Arc::clone(&store), holder, peers, uptime));
        let mut process = Process {
            lease: Arc::clone(&lease),
            holder,
            lives: Arc::clone(&self.lives),
            stands_still: Arc::default(),
            trouble,
            tasks: JoinSet::new(),
        };
        let observed = Arc::clone(&lease);
        process.spawn(async move {
            let mut log = std::pin::pin!(follow(store, Position::START));
            while let Some(Ok(page)) = log.next().await {
                page.iter().for_each(|event| observed.observe(event));
            }
        });
        process.spawn(async move { lease.run().await });
        process
    }

    /// What has happened to the lease, one letter an event.
    fn history(&self) -> String {
        let letter = |recorded: RecordedEvent| match firefly_domain::Lease::decode(&recorded) {
            Ok(Event::Acquired(_)) => 'A',
            Ok(Event::Renewed(_)) => 'r',
            Ok(Event::Released(_)) => 'R',
            Ok(Event::Awaited(_)) => 'w',
            Err(_) => '?',
        };
        self.log.events_from(0).into_iter().map(letter).collect()
    }
}

impl Process {
    fn spawn(&mut self, future: impl Future + Send + 'static) {
        let stands_still = Arc::clone(&self.stands_still);
        self.tasks.spawn(gated(stands_still, future));
    }

    /// Whether it would act now without asking anybody.
    fn acts(&self) -> bool {
        let standing = self.lease.standing();
        let token = standing.tenure.map(|tenure| tenure.token);
        !self.stands_still.load(Ordering::Relaxed)
            && token.is_some_and(|token| standing.holds(token, uptime()))
    }

    fn leads(&self) -> bool {
        *self.lease.leading().borrow()
    }

    fn kill(mut self) {
        self.tasks.abort_all();
        self.lives.lock().unwrap().remove(&self.holder.process);
    }

    fn stand_still(&self, still: bool) {
        self.stands_still.store(still, Ordering::Relaxed);
    }

    /// Waits until it leads.
    async fn until_it_leads(&self, patience: Duration) {
        let mut leading = self.lease.leading();
        let leads = leading.wait_for(|leads| *leads);
        assert!(timeout(patience, leads).await.is_ok(), "it does not lead");
    }
}

/// For as long as it takes, at most one of them acts at any time.
async fn one_at_most_acts(processes: &[&Process], time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        let acting = processes.iter().filter(|process| process.acts()).count();
        assert!(acting < 2, "both act");
        sleep(SECOND / 50).await;
    }
}

#[test]
fn of_two_that_begin_at_once_one_leads() {
    play(async {
        let town = Town::new();
        let (first, second) = (town.begin(1, 1), town.begin(2, 1));
        one_at_most_acts(&[&first, &second], 60 * SECOND).await;
        assert!(first.leads() ^ second.leads());
        assert_eq!(town.history(), "A");
    });
}

#[test]
fn neighbours_cost_the_log_nothing() {
    play(async {
        let town = Town::new();
        let first = town.begin(1, 1);
        first.until_it_leads(AT_ONCE).await;
        let second = town.begin(2, 1);
        one_at_most_acts(&[&first, &second], 3_600 * SECOND).await;
        assert!(first.acts());
        assert_eq!(town.history(), "A");
    });
}

#[test]
fn a_killed_holder_is_succeeded_at_once() {
    play(async {
        let town = Town::new();
        let first = town.begin(1, 1);
        first.until_it_leads(AT_ONCE).await;
        let second = town.begin(2, 1);
        sleep(60 * SECOND).await;
        assert!(!second.leads());
        first.kill();
        second.until_it_leads(AT_ONCE).await;
        assert_eq!(town.history(), "AA");
    });
}

#[test]
fn a_holder_that_stands_still_is_succeeded_and_does_nothing_when_it_goes_on() {
    play(async {
        let town = Town::new();
        let first = town.begin(1, 1);
        first.until_it_leads(AT_ONCE).await;
        let second = town.begin(2, 1);
        sleep(61 * SECOND).await;
        let planned = first.lease.fence();
        first.stand_still(true);
        second.until_it_leads(IN_TIME).await;
        sleep(5 * SECOND).await;
        first.stand_still(false);
        let refused = planned.check().await.unwrap_err();
        assert!(matches!(refused, NotLeading::NotHeld), "{refused:?}");
        one_at_most_acts(&[&first, &second], 60 * SECOND).await;
        assert!(!first.leads() && second.acts());
        second.kill();
        first.until_it_leads(AT_ONCE).await;
        // What was planned in an earlier tenure stays refused.
        assert!(planned.check().await.is_err());
        assert!(first.lease.fence().check().await.is_ok());
    });
}

#[test]
fn a_holder_that_stood_still_for_a_moment_goes_on() {
    play(async {
        let town = Town::new();
        let (first, second) = (town.begin(1, 1), town.begin(2, 1));
        sleep(60 * SECOND).await;
        for _ in 0..40 {
            let still = if first.leads() { &first } else { &second };
            still.stand_still(true);
            sleep(3 * SECOND).await;
            still.stand_still(false);
            one_at_most_acts(&[&first, &second], 7 * SECOND).await;
        }
        assert_eq!(town.history().matches('A').count(), 1);
    });
}

#[test]
fn what_was_given_back_is_had_at_once() {
    play(async {
        let town = Town::new();
        let first = town.begin(1, 1);
        first.until_it_leads(AT_ONCE).await;
        // One of its installation, and one that sees the log alone.
        let (second, third) = (town.begin(2, 1), town.begin(3, 2));
        sleep(20 * SECOND).await;
        first.lease.release().await;
        let had = async { tokio::join!(second.until_it_leads(AT_ONCE), sleep(Duration::ZERO)) };
        if timeout(AT_ONCE / 2, had).await.is_err() {
            third.until_it_leads(AT_ONCE / 2).await;
        }
        assert!(!first.acts());
    });
}

#[test]
fn of_another_installation_only_the_log_tells() {
    play(async {
        let town = Town::new();
        let first = town.begin(1, 1);
        first.until_it_leads(AT_ONCE).await;
        let second = town.begin(2, 2);
        one_at_most_acts(&[&first, &second], 300 * SECOND).await;
        assert!(first.leads());
        let history = town.history();
        assert!(history.starts_with("Awr"), "{history}");
        first.stand_still(true);
        second.until_it_leads(IN_TIME).await;
        first.stand_still(false);
        one_at_most_acts(&[&first, &second], 300 * SECOND).await;
        assert!(second.leads());
        first.kill();
        // It remembers those who wait for a while, and then the log is quiet again.
        sleep(WAITERS_REMEMBERED + 10 * SECOND).await;
        let before = town.history();
        sleep(3_600 * SECOND).await;
        assert_eq!(town.history(), before);
    });
}

#[test]
fn a_host_that_slept_asks_the_log_first() {
    play(async {
        let town = Town::new();
        let first = town.begin(1, 1);
        first.until_it_leads(AT_ONCE).await;
        let fence = first.lease.fence();
        SLEPT.set(3_600 * SECOND);
        assert!(!first.acts());
        fence.check().await.unwrap();
        assert!(first.acts());
        assert_eq!(town.history(), "Ar");

        // Somebody on another host has it by now.
        let other = town.begin(2, 2);
        first.stand_still(true);
        SLEPT.set(2 * 3_600 * SECOND);
        other.until_it_leads(IN_TIME).await;
        let refused = fence.check().await.unwrap_err();
        assert!(matches!(refused, NotLeading::NotHeld), "{refused:?}");
    });
}

#[test]
fn without_a_sign_in_time_nothing_is_let_through() {
    play(async {
        let town = Town::new();
        let first = town.begin(1, 1);
        first.until_it_leads(AT_ONCE).await;
        let fence = first.lease.fence();
        first.trouble.lock().unwrap().refuses = true;
        SLEPT.set(60 * SECOND);
        let refused = fence.check().await.unwrap_err();
        assert!(matches!(refused, NotLeading::Command(_)), "{refused:?}");

        *first.trouble.lock().unwrap() = Trouble {
            delay: TERM,
            refuses: false,
        };
        let refused = fence.check().await.unwrap_err();
        assert!(matches!(refused, NotLeading::TooSlow), "{refused:?}");

        *first.trouble.lock().unwrap() = Trouble::default();
        fence.check().await.unwrap();
    });
}

#[test]
fn history_is_read_from_the_last_holder_on() {
    play(async {
        let town = Town::new();
        // Whoever reads as far as this fails.
        let log = LogOf::people(&town.log);
        let id = firefly_domain::Lease::id(ACTOR);
        let stream = StreamId::of(firefly_domain::Lease::CATEGORY, &id);
        log.append(&stream, Expected::NoStream, vec![unreadable()])
            .await
            .unwrap();
        let acquired = Event::Acquired(firefly_domain::lease::Acquired {
            holder: Holder {
                process: Uuid::nil(),
                instance: Uuid::from_u128(1),
            },
            token: Token::new(7),
        });
        let renewed = Event::Renewed(firefly_domain::lease::Renewed {
            token: Token::new(7),
        });
        let mut revision = Revision::FIRST;
        for event in std::iter::once(&acquired).chain(std::iter::repeat_n(&renewed, 1_500)) {
            let encoded = firefly_domain::Lease::encode(event);
            let new = NewEvent {
                event_type: encoded.event_type.to_owned(),
                schema_version: encoded.schema_version,
                data: encoded.data,
                ..unreadable()
            };
            log.append(&stream, Expected::Exact(revision), vec![new])
                .await
                .unwrap();
            revision = revision.next();
        }
        let first = town.begin(1, 1);
        first.until_it_leads(AT_ONCE).await;
        assert_eq!(
            first.lease.standing().tenure.unwrap().token,
            Token::new(8),
            "the next number"
        );
    });
}

fn unreadable() -> NewEvent {
    NewEvent {
        id: firefly_domain::EventId::from_uuid(Uuid::new_v4()),
        event_type: "LeasePainted".into(),
        schema_version: 1,
        data: RawValue::from_string("{}".into()).unwrap(),
        metadata: Metadata {
            actor: Actor::Anonymous,
            correlation_id: Uuid::nil(),
            causation_id: None,
            traceparent: None,
            idempotency: None,
        },
        recorded_at: None,
    }
}
