//! Who follows what, so that a change wakes those whom it concerns and nobody else.

use std::collections::HashMap;
use std::sync::Arc;

use firefly_domain::{ProjectId, Segment, SessionId};

use super::queue::Queue;
use crate::message::{End, Text};

/// What can be followed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// The projects of a user.
    User(Segment),
    Project(ProjectId),
    Session(SessionId),
    /// Every event.
    Log,
}

/// How many subscribers there are, by scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subscribers {
    /// Of all projects of a user.
    pub mine: usize,
    /// Of one project.
    pub project: usize,
    /// Of one session.
    pub session: usize,
    /// Of the whole log.
    pub log: usize,
}

/// Everybody who follows one topic, in the order in which they came. What was handed out stays as it is while others come and go.
#[derive(Clone, Debug, Default)]
pub struct Members(Arc<Vec<(u64, Arc<Queue>)>>);

/// Who follows what.
#[derive(Debug, Default)]
pub struct Registry {
    next: u64,
    subscribers: HashMap<u64, Subscriber>,
    topics: HashMap<Topic, Members>,
    sign_ins: HashMap<SessionId, Members>,
    counts: Subscribers,
}

#[derive(Debug)]
struct Subscriber {
    queue: Arc<Queue>,
    sign_in: SessionId,
    topic: Topic,
}

impl Members {
    /// Queues a text for everybody; how many of them it was too much for.
    pub fn push(&self, text: &Text) -> usize {
        self.0.iter().filter(|(_, queue)| queue.push(text)).count()
    }

    /// The same with a text that may be lost.
    pub fn offer(&self, text: &Text) {
        self.0.iter().for_each(|(_, queue)| queue.offer(text));
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    fn end(&self, end: End) {
        self.0.iter().for_each(|(_, queue)| queue.end(end));
    }

    fn add(&mut self, id: u64, queue: Arc<Queue>) {
        let members = Arc::make_mut(&mut self.0);
        if let Err(place) = members.binary_search_by_key(&id, |(id, _)| *id) {
            members.insert(place, (id, queue));
        }
    }

    fn remove(&mut self, id: u64) {
        if let Ok(place) = self.0.binary_search_by_key(&id, |(id, _)| *id) {
            Arc::make_mut(&mut self.0).remove(place);
        }
    }
}

impl Registry {
    /// Adds a subscriber who signed in with a session. It gets nothing yet but the end.
    pub fn enter(&mut self, sign_in: SessionId, topic: Topic) -> (u64, Arc<Queue>) {
        let id = self.next;
        self.next += 1;
        let queue = Arc::new(Queue::default());
        let members = self.sign_ins.entry(sign_in).or_default();
        members.add(id, Arc::clone(&queue));
        *self.counts.of(&topic) += 1;
        let subscriber = Subscriber {
            queue: Arc::clone(&queue),
            sign_in,
            topic,
        };
        self.subscribers.insert(id, subscriber);
        (id, queue)
    }

    /// From now on it gets all that concerns its topic.
    pub fn attach(&mut self, id: u64) {
        if let Some(subscriber) = self.subscribers.get(&id) {
            let members = self.topics.entry(subscriber.topic.clone()).or_default();
            members.add(id, Arc::clone(&subscriber.queue));
        }
    }

    /// Removes a subscriber.
    pub fn leave(&mut self, id: u64) {
        let Some(subscriber) = self.subscribers.remove(&id) else {
            return;
        };
        *self.counts.of(&subscriber.topic) -= 1;
        remove(&mut self.topics, &subscriber.topic, id);
        remove(&mut self.sign_ins, &subscriber.sign_in, id);
    }

    /// Who follows a topic, if anybody does.
    pub fn members(&self, topic: &Topic) -> Option<Members> {
        self.topics.get(topic).cloned()
    }

    /// Whether anybody follows a topic.
    pub fn has(&self, topic: &Topic) -> bool {
        self.topics.contains_key(topic)
    }

    /// Ends everybody who signed in with a session.
    pub fn end_sign_in(&self, session: SessionId, end: End) {
        if let Some(members) = self.sign_ins.get(&session) {
            members.end(end);
        }
    }

    /// Ends everybody who follows a topic; it has no followers any more.
    pub fn end_topic(&mut self, topic: &Topic, end: End) {
        if let Some(members) = self.topics.remove(topic) {
            members.end(end);
        }
    }

    /// Ends everybody.
    pub fn end_all(&self, end: End) {
        self.sign_ins.values().for_each(|members| members.end(end));
    }

    pub const fn counts(&self) -> Subscribers {
        self.counts
    }
}

impl Subscribers {
    const fn of(&mut self, topic: &Topic) -> &mut usize {
        match topic {
            Topic::User(_) => &mut self.mine,
            Topic::Project(_) => &mut self.project,
            Topic::Session(_) => &mut self.session,
            Topic::Log => &mut self.log,
        }
    }
}

fn remove<K: std::hash::Hash + Eq>(from: &mut HashMap<K, Members>, key: &K, id: u64) {
    if let Some(members) = from.get_mut(key) {
        members.remove(id);
        if members.len() == 0 {
            from.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use firefly_event_store::Position;
    use uuid::Uuid;

    use super::*;
    use crate::message::Message;

    fn sign_in(number: u128) -> SessionId {
        SessionId::from_uuid(Uuid::from_u128(number))
    }

    fn user(name: &str) -> Topic {
        Topic::User(Segment::parse(name).unwrap())
    }

    fn text() -> Text {
        let position = Some(Position::new(1));
        Message::Heartbeat { position }.text()
    }

    fn has_one(queue: &Queue) -> bool {
        queue.take().unwrap().is_some()
    }

    #[test]
    fn a_text_reaches_those_who_follow_its_topic_and_nobody_else() {
        let mut registry = Registry::default();
        let topics = [user("alice"), user("bob"), user("alice"), Topic::Log];
        let queues: Vec<_> = topics
            .into_iter()
            .map(|topic| {
                let (id, queue) = registry.enter(sign_in(1), topic);
                registry.attach(id);
                queue
            })
            .collect();
        let members = registry.members(&user("alice")).unwrap();
        assert_eq!((members.len(), members.push(&text())), (2, 0));
        let reached: Vec<bool> = queues.iter().map(|queue| has_one(queue)).collect();
        assert_eq!(reached, [true, false, true, false]);
    }

    #[test]
    fn whoever_is_not_attached_yet_gets_the_end_and_nothing_else() {
        let mut registry = Registry::default();
        let (_, queue) = registry.enter(sign_in(1), user("alice"));
        assert!(!registry.has(&user("alice")));
        registry.end_sign_in(sign_in(2), End::SignedOut);
        assert_eq!(queue.ended(), None);
        registry.end_sign_in(sign_in(1), End::SignedOut);
        assert_eq!(queue.ended(), Some(End::SignedOut));
    }

    #[test]
    fn nothing_is_left_of_those_who_left() {
        let mut registry = Registry::default();
        let (first, _) = registry.enter(sign_in(1), Topic::Log);
        let (second, kept) = registry.enter(sign_in(1), Topic::Log);
        registry.attach(first);
        registry.attach(second);
        let before = registry.members(&Topic::Log).unwrap();
        assert_eq!(registry.counts().log, 2);
        registry.leave(first);
        registry.leave(first);
        assert_eq!(before.len(), 2, "what was handed out stays as it is");
        registry.members(&Topic::Log).unwrap().push(&text());
        assert!(has_one(&kept));
        registry.leave(second);
        assert_eq!(registry.counts(), Subscribers::default());
        assert!(registry.topics.is_empty() && registry.sign_ins.is_empty());
        assert!(registry.subscribers.is_empty());
    }

    #[test]
    fn a_topic_that_ends_has_no_followers_any_more() {
        let mut registry = Registry::default();
        let topic = Topic::Session(sign_in(7));
        let (id, queue) = registry.enter(sign_in(1), topic.clone());
        registry.attach(id);
        registry.end_topic(&topic, End::Failed);
        assert_eq!(queue.ended(), Some(End::Failed));
        assert!(!registry.has(&topic));
        registry.leave(id);
        assert_eq!(registry.counts(), Subscribers::default());
    }
}
