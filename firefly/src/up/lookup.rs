//! Tells the gateway where previews are, from live state, and wakes those that sleep.

use std::sync::Arc;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use firefly_domain::project::{Command, Phase, WakeCause};
use firefly_domain::{Actor, Project, ProjectKey};
use firefly_event_store::{CommandError, CommandHandler, Context, EventStore};
use firefly_gateway::{Activity, Preview, ProjectLookup};
use firefly_query_api::Hub;
use firefly_reactor::Usage;
use futures::FutureExt;
use futures::future::BoxFuture;
use uuid::Uuid;

use super::memory;

/// Projects as live state knows them. Cheap to clone.
#[derive(Clone)]
pub struct Projects {
    hub: Hub,
    store: Arc<dyn EventStore>,
    commands: CommandHandler<Project>,
}

/// What there is to wait for.
enum Rest {
    /// It sleeps.
    Asleep,
    /// It is falling asleep, or waking up.
    Moving,
    /// It does neither.
    Settled(Preview),
}

impl Projects {
    pub fn new(hub: Hub, store: Arc<dyn EventStore>) -> Self {
        Self {
            hub,
            commands: CommandHandler::new(Arc::clone(&store)),
            store,
        }
    }

    fn rest(&self, key: &ProjectKey) -> Rest {
        let rest = self.hub.look(key, |project| match &project.phase {
            Phase::Paused { .. } => Rest::Asleep,
            Phase::Closed { reason } if reason.is_sleep() => Rest::Asleep,
            Phase::Closing { reason } if reason.is_sleep() => Rest::Moving,
            Phase::Waking { .. } | Phase::Opening { .. } => Rest::Moving,
            phase => Rest::Settled(shown(phase)),
        });
        rest.unwrap_or(Rest::Settled(Preview::Unknown))
    }

    async fn wake_and_wait(self, key: ProjectKey) -> Preview {
        let mut head = self.store.head();
        loop {
            let seen = *head.borrow_and_update();
            self.hub.reached(seen).await;
            match self.rest(&key) {
                Rest::Settled(preview) => return preview,
                Rest::Moving => {}
                Rest::Asleep if self.ask_to_wake(&key).await => continue,
                Rest::Asleep => {}
            }
            // The log is closed: Firefly ends.
            if head.changed().await.is_err() {
                return self.find(&key);
            }
        }
    }

    /// Whether live state is about to hear of it.
    async fn ask_to_wake(&self, key: &ProjectKey) -> bool {
        let command = Command::Wake(WakeCause::Preview);
        let context = Context::new(Actor::Anonymous, Uuid::new_v4());
        match self.commands.handle(key.id().as_uuid(), command, &context).await {
            Ok(handled) => !handled.events.is_empty(),
            // It is something else by now, and live state will say so.
            Err(CommandError::Rejected(_)) => false,
            Err(error) => {
                tracing::warn!(
                    project.key = %key,
                    error = &error as &dyn std::error::Error,
                    "a project that sleeps could not be woken"
                );
                false
            }
        }
    }
}

fn shown(phase: &Phase) -> Preview {
    match phase {
        Phase::Opening { step, .. } => Preview::Opening {
            step: Some(*step),
            text: String::new(),
        },
        Phase::Ready { endpoint, .. } => Preview::Ready(endpoint.clone()),
        Phase::Paused { .. } | Phase::Waking { .. } => Preview::Asleep,
        Phase::Failed { failure, .. } => Preview::Failed(failure.clone()),
        Phase::Closing { reason } | Phase::Closed { reason } if reason.is_sleep() => {
            Preview::Asleep
        }
        Phase::Closing { .. } | Phase::Closed { .. } | Phase::Deleting { .. } => Preview::Closed,
        Phase::Deleted => Preview::Unknown,
    }
}

impl ProjectLookup for Projects {
    fn find(&self, key: &ProjectKey) -> Preview {
        let found = self.hub.look(key, |project| shown(&project.phase));
        found.unwrap_or(Preview::Unknown)
    }

    fn wake(&self, key: &ProjectKey) -> BoxFuture<'static, Preview> {
        self.clone().wake_and_wait(key.clone()).boxed()
    }
}

/// What the gateway saw of projects, and what the kernel says of memory.
pub struct Uses {
    pub activity: Activity,
    /// Bytes of memory that should stay free.
    pub reserve: u64,
}

impl Usage for Uses {
    fn last_use(&self, project: &ProjectKey) -> Option<DateTime<Utc>> {
        self.activity.last_use(project).map(SystemTime::into)
    }

    fn is_memory_wanted(&self) -> bool {
        memory::available().is_some_and(|available| available < self.reserve)
    }
}
