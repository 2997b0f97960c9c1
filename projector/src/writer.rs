//! One build of one projection: takes pages in, and commits their rows and its position together.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;

use firefly_domain::EventId;
use firefly_event_store::Position;
use firefly_read_models::{Build, Database, Failure, Row, Session, Step, Transaction};
use lru::LruCache;

use crate::error::{Error, Poison, chain};
use crate::feed::{Page, Read};
use crate::projection::{Projection, sql};

/// Rows that are remembered, so that what happens to a project again and again does not read its row each time.
const ROWS_KEPT: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();

/// Writes one build.
pub(crate) struct Writer<P: Projection> {
    session: Session,
    build: Build,
    /// Set for a rebuild, which belongs to somebody.
    owner: Option<String>,
    rows: LruCache<String, P::Row>,
    /// Events that somebody said are to be passed over.
    skipped: HashSet<EventId>,
}

/// What became of a page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// All of it was taken in.
    All,
    /// Only what comes before this event was.
    UpTo(Poison),
    /// Somebody else moved the build, or it is there no more. Nothing was written.
    Lost,
}

/// What a page comes to.
pub(crate) struct Changes<R> {
    /// Rows that changed, by their keys.
    rows: HashMap<String, Change<R>>,
    reached: Position,
    events: i64,
    poison: Option<Poison>,
}

/// A row before and after.
struct Change<R> {
    was_there: bool,
    row: Option<R>,
}

impl<R> Change<R> {
    const fn of(row: Option<R>) -> Self {
        Self {
            was_there: row.is_some(),
            row,
        }
    }
}

impl<R> Changes<R> {
    /// The position of the last of the events that they follow from.
    pub(crate) const fn reached(&self) -> Position {
        self.reached
    }

    /// Whether there is an event among those that they follow from that cannot be taken in.
    pub(crate) const fn is_stopped(&self) -> bool {
        self.poison.is_some()
    }
}

impl<P: Projection> Writer<P> {
    pub(crate) fn new(
        database: Database,
        build: Build,
        owner: Option<String>,
        skipped: HashSet<EventId>,
    ) -> Self {
        Self {
            session: Session::new(database),
            build,
            owner,
            rows: LruCache::new(ROWS_KEPT),
            skipped,
        }
    }

    pub(crate) const fn build(&self) -> &Build {
        &self.build
    }

    pub(crate) const fn position(&self) -> Position {
        Position::new(self.build.position.unsigned_abs())
    }

    /// Takes a page in. If the database does not take what it comes to, the event that is to blame is found by halves: what
    /// comes before it is committed, and it stops the build like one that cannot be read.
    pub(crate) async fn take(&mut self, page: &Page) -> Result<Taken, Error> {
        let mut rest = page.events.as_slice();
        // How many of the next events are not taken together.
        let mut refused: Option<usize> = None;
        loop {
            let length = refused.map_or(rest.len(), |count| count.div_ceil(2));
            match self.take_together(&rest[..length]).await {
                Ok(Taken::All) => {
                    rest = &rest[length..];
                    if rest.is_empty() {
                        return Ok(Taken::All);
                    }
                    refused = refused.and_then(|count| count.checked_sub(length));
                    refused = refused.filter(|count| *count > 0);
                }
                Err(error) => match (error.refusal(), &rest[..length], refused) {
                    (None, ..) => return Err(error),
                    // Refused twice by itself.
                    (Some(refusal), [event], Some(1)) => return self.stop_at(event, refusal).await,
                    (Some(_), ..) => refused = Some(length),
                },
                Ok(ended) => return Ok(ended),
            }
        }
    }

    /// Takes events in with one commit.
    async fn take_together(&mut self, events: &[Read]) -> Result<Taken, Error> {
        let taken = match self.plan(events, None).await {
            Ok(changes) => self.commit(changes).await,
            Err(error) => Err(error),
        };
        match taken {
            // Another build took its place, and its table is gone.
            Err(_) if self.is_gone().await? => Ok(Taken::Lost),
            taken => taken,
        }
    }

    /// Notes that the build stops at an event.
    async fn stop_at(
        &mut self,
        event: &Read,
        refusal: &firefly_read_models::Error,
    ) -> Result<Taken, Error> {
        let mut changes = self.plan(&[], None).await?;
        changes.poison = Some(Poison {
            event: event.recorded.id,
            position: event.recorded.position,
            reason: chain(refusal),
        });
        self.commit(changes).await
    }

    async fn commit(&mut self, changes: Changes<P::Row>) -> Result<Taken, Error> {
        let step = step(&self.build, self.owner.as_deref(), &changes);
        match self.session.take(&step).await {
            Ok(true) => Ok(self.took(changes)),
            Ok(false) => Ok(Taken::Lost),
            Err(error) => Err(error.into()),
        }
    }

    async fn is_gone(&self) -> Result<bool, Error> {
        let is_it = |build: &Build| {
            (&build.projection, build.build) == (&self.build.projection, self.build.build)
        };
        Ok(!self.session.database().builds().await?.iter().any(is_it))
    }

    /// Finds out what events come to. Nothing is written. Who has begun a transaction already lends it.
    pub(crate) async fn plan(
        &mut self,
        events: &[Read],
        transaction: Option<&mut Transaction>,
    ) -> Result<Changes<P::Row>, Error> {
        let (mut relevant, mut poison) = (Vec::new(), None);
        let mut reached = self.position();
        let mut count = 0;
        for read in events {
            // What was taken in already does not count again.
            if read.recorded.position <= self.position() {
                continue;
            }
            match self.relevant(read) {
                Ok(Some(key)) => relevant.push((key, read)),
                Ok(None) => {}
                Err(found) => {
                    poison = Some(found);
                    break;
                }
            }
            reached = read.recorded.position;
            count += 1;
        }
        let mut rows = self.load(&relevant, transaction).await?;
        for (key, read) in relevant {
            let Ok(Some(event)) = &read.event else {
                continue;
            };
            let change = rows.entry(key).or_insert(Change::of(None));
            change.row = P::apply(change.row.take(), event, &read.recorded);
        }
        Ok(Changes {
            rows,
            reached,
            events: count,
            poison,
        })
    }

    /// The key of the row that an event is about, if it is about any.
    fn relevant(&self, read: &Read) -> Result<Option<String>, Poison> {
        let recorded = &read.recorded;
        // Events of others are passed over unread: they may be of a kind that this program does not know.
        if recorded.stream.category() != P::CATEGORY {
            return Ok(None);
        }
        if self.skipped.contains(&recorded.id) {
            return Ok(None);
        }
        match &read.event {
            Ok(Some(event)) => Ok(P::key(event, recorded)),
            Ok(None) => Ok(None),
            Err(error) => Err(Poison {
                event: recorded.id,
                position: recorded.position,
                reason: chain(error),
            }),
        }
    }

    async fn load(
        &mut self,
        relevant: &[(String, &Read)],
        transaction: Option<&mut Transaction>,
    ) -> Result<HashMap<String, Change<P::Row>>, Error> {
        let mut rows = HashMap::with_capacity(relevant.len());
        let mut unknown = Vec::new();
        for (key, _) in relevant {
            if rows.contains_key(key) {
                continue;
            }
            // It is put back when what becomes of it is committed.
            let known = self.rows.pop(key);
            if known.is_none() {
                unknown.push(key.as_str());
            }
            rows.insert(key.clone(), Change::of(known));
        }
        if !unknown.is_empty() {
            let build = self.build.build;
            let found: Vec<P::Row> = match transaction {
                Some(transaction) => transaction.load(build, &unknown).await?,
                None => self.session.database().load(build, &unknown).await?,
            };
            for row in found {
                rows.insert(row.key().to_owned(), Change::of(Some(row)));
            }
        }
        Ok(rows)
    }

    /// Writes changes as a part of a transaction; whether the build was where it is believed to be.
    pub(crate) async fn write(
        &self,
        transaction: &mut Transaction,
        changes: &Changes<P::Row>,
    ) -> Result<bool, Error> {
        let step = step(&self.build, self.owner.as_deref(), changes);
        Ok(transaction.take(&step).await?)
    }

    /// Remembers what was committed.
    pub(crate) fn took(&mut self, changes: Changes<P::Row>) -> Taken {
        self.build.position = sql(changes.reached.number());
        self.build.events += changes.events;
        for (key, change) in changes.rows {
            if let Some(row) = change.row {
                self.rows.put(key, row);
            }
        }
        changes.poison.map_or(Taken::All, Taken::UpTo)
    }
}

/// What is to be written of changes.
fn step<'a, R: Row>(
    build: &'a Build,
    owner: Option<&'a str>,
    changes: &'a Changes<R>,
) -> Step<'a, R> {
    let (mut rows, mut gone) = (Vec::new(), Vec::new());
    for (key, change) in &changes.rows {
        match &change.row {
            Some(row) => rows.push(row),
            None if change.was_there => gone.push(key.as_str()),
            None => {}
        }
    }
    Step {
        build,
        owner,
        position: sql(changes.reached.number()),
        events: changes.events,
        rows,
        gone,
        failure: changes.poison.as_ref().map(|poison| Failure {
            reason: &poison.reason,
            position: sql(poison.position.number()),
            event: *poison.event.as_uuid(),
        }),
    }
}
