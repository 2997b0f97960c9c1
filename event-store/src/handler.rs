//! Commands to busy aggregates: their folded states are remembered, so that no stream is read again and again.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use uuid::Uuid;

use crate::codec::Wire;
use crate::commands::{
    CommandError, Context, Handled, Loaded, Outcome, first_outcome, requests, run,
};
use crate::event::{Position, Revision, StreamId};
use crate::store::EventStore;

/// States that are remembered, those longest unused forgotten first. A project's takes about a kilobyte.
const STATES_MAX: NonZeroUsize = NonZeroUsize::new(4_096).expect("it is not zero");

/// The command loop of one kind of aggregate. Cheap to clone; clones share what they remember.
///
/// A state is remembered with its revision, and a decision on it is appended at that revision, so one that is out of date
/// is found out by the log.
pub struct CommandHandler<A: Wire> {
    store: Arc<dyn EventStore>,
    states: Arc<Mutex<LruCache<Uuid, Loaded<A>>>>,
}

impl<A: Wire> Clone for CommandHandler<A> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            states: Arc::clone(&self.states),
        }
    }
}

impl<A: Wire> CommandHandler<A> {
    /// Handles commands on a log.
    pub fn new(store: Arc<dyn EventStore>) -> Self {
        Self {
            store,
            states: Arc::new(Mutex::new(LruCache::new(STATES_MAX))),
        }
    }

    /// Goes on from a state that somebody else has folded of a stream, up to the event with this revision and position.
    pub fn begin_with(&self, id: &Uuid, state: A::State, revision: Revision, position: Position) {
        let loaded = Loaded::new(state, revision, position);
        self.remember(id, &loaded);
    }

    /// Decides a command and appends what it decided, as [`handle`](crate::handle) does.
    ///
    /// # Errors
    ///
    /// See [`CommandError`]; a refused command has recorded nothing.
    pub async fn handle(
        &self,
        id: &Uuid,
        command: A::Command,
        context: &Context,
    ) -> Result<Handled<A>, CommandError<A::Rejection>> {
        let stream = StreamId::of(A::CATEGORY, id);
        if let Some(handled) = first_outcome(&*self.store, &stream, context).await? {
            return Ok(handled);
        }
        let remembered = self.states().get(id).cloned();
        match run(&*self.store, &stream, remembered, command, context).await? {
            Outcome::Repeated(handled) => Ok(handled),
            Outcome::Decided(loaded, events) => {
                self.remember(id, &loaded);
                requests::remember(&*self.store, &stream, loaded.handled(events), context).await
            }
        }
    }

    /// Keeps a state, unless a later one has been kept meanwhile.
    fn remember(&self, id: &Uuid, loaded: &Loaded<A>) {
        let mut states = self.states();
        let known = states.peek(id).and_then(Loaded::revision);
        if loaded.revision() > known {
            states.put(*id, loaded.clone());
        }
    }

    fn states(&self) -> std::sync::MutexGuard<'_, LruCache<Uuid, Loaded<A>>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Wire> std::fmt::Debug for CommandHandler<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommandHandler").finish_non_exhaustive()
    }
}
