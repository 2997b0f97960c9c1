//! Which events a reader of history wants to see, pure.

use firefly_domain::{Actor, Segment};
use firefly_event_store::RecordedEvent;
use firefly_web::Problem;
use uuid::Uuid;

use crate::subjects::Subject;

/// What an event must be like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Caused by this one.
    pub actor: Option<Actor>,
    /// Of one of these types, or of any if there are none.
    pub types: Vec<String>,
    /// From this request, or following from it.
    pub correlation: Option<Uuid>,
    /// About a project or session of this user.
    pub user: Option<Segment>,
}

impl Filter {
    /// Whether an event is wanted, as far as it tells by itself.
    pub fn wants(&self, event: &RecordedEvent) -> bool {
        let metadata = &event.metadata;
        let by_actor = self
            .actor
            .as_ref()
            .is_none_or(|actor| metadata.actor == *actor);
        let of_type = self.types.is_empty() || self.types.contains(&event.event_type);
        let correlated = self
            .correlation
            .is_none_or(|correlation| metadata.correlation_id == correlation);
        by_actor && of_type && correlated
    }

    /// Whether an event about somebody is wanted.
    pub fn wants_about(&self, subject: Option<&Subject>) -> bool {
        self.user
            .as_ref()
            .is_none_or(|user| subject.is_some_and(|subject| subject.user == *user))
    }
}

/// An actor as exports name it, `user:NAME`, `system:ROLE` or `anonymous`; or as history shows it, `NAME` or
/// `firefly (ROLE)`.
pub fn actor(text: &str) -> Result<Actor, Problem> {
    let shown = || text.strip_prefix("firefly (")?.strip_suffix(')');
    if let Some(role) = text.strip_prefix("system:").or_else(shown) {
        return Ok(Actor::System(role.to_owned()));
    }
    match text.strip_prefix("user:") {
        None if text == "anonymous" => Ok(Actor::Anonymous),
        name => user("actor", name.unwrap_or(text)).map(Actor::User),
    }
}

/// A user's name.
pub fn user(parameter: &str, text: &str) -> Result<Segment, Problem> {
    Segment::parse(text).map_err(|error| Problem::malformed(format!("{parameter}: {error}")))
}

/// Types of events, as a parameter lists them: with commas in between.
pub fn types(text: &str) -> Vec<String> {
    let names = text.split(',').map(str::trim);
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A request's correlation id.
pub fn correlation(text: &str) -> Result<Uuid, Problem> {
    text.parse()
        .map_err(|_| Problem::malformed(format!("correlation takes a UUID, not {text:?}")))
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use firefly_domain::{EventId, ProjectKey};
    use firefly_event_store::{Metadata, Position, Revision, StreamId};
    use serde_json::value::RawValue;

    use super::*;

    fn event(actor: Actor, event_type: &str, correlation_id: Uuid) -> RecordedEvent {
        RecordedEvent {
            position: Position::new(1),
            stream: StreamId::of("project", &Uuid::nil()),
            revision: Revision::FIRST,
            id: EventId::from_uuid(Uuid::nil()),
            event_type: event_type.into(),
            schema_version: 1,
            data: RawValue::from_string("{}".into()).unwrap(),
            metadata: Metadata {
                actor,
                correlation_id,
                causation_id: None,
                traceparent: None,
                idempotency: None,
            },
            recorded_at: Utc::now(),
        }
    }

    #[test]
    fn an_event_must_satisfy_everything_that_is_asked() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let alice = actor("alice").unwrap();
        let opened = event(alice.clone(), "ProjectOpened", one);
        let removed = event(actor("system:reactor").unwrap(), "ContainerRemoved", one);
        assert!(Filter::default().wants(&opened));
        let by_alice = Filter {
            actor: Some(alice),
            ..Filter::default()
        };
        assert!(by_alice.wants(&opened) && !by_alice.wants(&removed));
        let by_type = Filter {
            types: types("ProjectOpened, ProjectClosed"),
            ..by_alice
        };
        assert!(by_type.wants(&opened) && !by_type.wants(&removed));
        let of_one = Filter {
            correlation: Some(one),
            ..by_type.clone()
        };
        assert!(of_one.wants(&opened));
        let of_other = Filter {
            correlation: Some(other),
            ..by_type
        };
        assert!(!of_other.wants(&opened));
    }

    #[test]
    fn what_is_about_nobody_is_about_no_user() {
        let key = ProjectKey::new("alice", "montage", "app").unwrap();
        let subject = Subject {
            user: key.user.clone(),
            project: Some(key),
        };
        let of = |name| Filter {
            user: Some(user("user", name).unwrap()),
            ..Filter::default()
        };
        assert!(of("alice").wants_about(Some(&subject)));
        assert!(!of("bob").wants_about(Some(&subject)));
        assert!(!of("alice").wants_about(None));
        assert!(Filter::default().wants_about(None));
    }

    #[test]
    fn actors_are_named_as_the_log_names_them() {
        assert_eq!(actor("anonymous"), Ok(Actor::Anonymous));
        assert_eq!(actor("system:reactor"), Ok(Actor::System("reactor".into())));
        assert_eq!(actor("alice"), actor("user:alice"));
        assert!(matches!(actor("user:anonymous"), Ok(Actor::User(_))));
        assert_eq!(actor("firefly (reactor)"), actor("system:reactor"));
        assert!(actor("fire fly").is_err());
        assert!(actor("").is_err());
    }
}
