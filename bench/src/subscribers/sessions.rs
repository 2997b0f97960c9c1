//! Sessions of many users, and changes to them, appended to the log beside Firefly: as many commands over HTTP would
//! keep the machine busy with HTTP.

use std::path::Path;
use std::time::SystemTime;

use firefly_domain::session::{Event, Joined, Left, Started};
use firefly_domain::{Actor, Aggregate, EventId, ProjectKey, Segment, Session, SessionId};
use firefly_event_store::store::{Append, EVENTS_PER_APPEND_MAX};
use firefly_event_store::{EventStore, Expected, Metadata, NewEvent, Revision, StreamId, Wire};
use firefly_identity::{Identity, Secret, Tokens};
use uuid::Uuid;

/// Sessions, each of a user of its own.
pub struct Sessions {
    tokens: Tokens,
    sessions: Vec<(Identity, u64)>,
    /// Whose turn it is.
    next: usize,
}

impl Sessions {
    /// Begins them.
    pub async fn start(store: &dyn EventStore, data: &Path, count: usize) -> anyhow::Result<Self> {
        let tokens = Tokens::new(&Secret::load_or_create(&data.join("secret"))?);
        let identities = (0..count).map(|number| Identity {
            user: Segment::parse(&format!("user{number}")).expect("it is a name"),
            session: SessionId::from_uuid(Uuid::now_v7()),
        });
        let sessions: Vec<(Identity, u64)> = identities.map(|identity| (identity, 0)).collect();
        for some in sessions.chunks(EVENTS_PER_APPEND_MAX) {
            let appends = some.iter().map(|(identity, _)| {
                let started = Event::Started(Started {
                    user: identity.user.clone(),
                    client: "benchmark".into(),
                });
                append(identity, Expected::NoStream, &started)
            });
            store.append_in_order(appends.collect()).await?;
        }
        Ok(Self {
            tokens,
            sessions,
            next: 0,
        })
    }

    /// Where each of them is followed, by its own user.
    pub fn urls(&self, port: u16) -> impl Iterator<Item = String> {
        self.sessions.iter().map(move |(identity, _)| {
            let token = self.tokens.issue(identity, SystemTime::now().into()).token;
            let session = identity.session;
            format!("ws://localhost:{port}/api/v1/live?token={token}&session={session}")
        })
    }

    /// Changes the next so many sessions, in one commit; which ones they are.
    pub async fn change(
        &mut self,
        store: &dyn EventStore,
        count: usize,
    ) -> anyhow::Result<Vec<usize>> {
        let mut appends = Vec::with_capacity(count);
        let mut changed = Vec::with_capacity(count);
        for _ in 0..count {
            let (identity, revision) = &mut self.sessions[self.next];
            let expected = Expected::Exact(Revision::new(*revision));
            appends.push(append(identity, expected, &put_down_or_take_up(*revision)));
            *revision += 1;
            changed.push(self.next);
            self.next = (self.next + 1) % self.sessions.len();
        }
        store.append_in_order(appends).await?;
        Ok(changed)
    }
}

fn put_down_or_take_up(revision: u64) -> Event {
    let key = ProjectKey::new("user", "montage", "app").expect("these are names");
    let project = key.id();
    if revision.is_multiple_of(2) {
        Event::Joined(Joined { project })
    } else {
        Event::Left(Left { project })
    }
}

fn append(identity: &Identity, expected: Expected, event: &Event) -> Append {
    let encoded = Session::encode(event);
    let event = NewEvent {
        id: EventId::from_uuid(Uuid::now_v7()),
        event_type: encoded.event_type.to_owned(),
        schema_version: encoded.schema_version,
        data: encoded.data,
        metadata: Metadata {
            actor: Actor::System("bench".into()),
            correlation_id: Uuid::now_v7(),
            causation_id: None,
            traceparent: None,
            idempotency: None,
        },
        recorded_at: None,
    };
    Append {
        stream: StreamId::of(Session::CATEGORY, identity.session.as_uuid()),
        expected,
        events: vec![event],
    }
}
