//! What waits for one subscriber, within bounds of count and bytes.
//!
//! It is never thinned: where there is no more room, all that waits is given up and the subscription ends, and its
//! client gets from the log what it did not read.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use firefly_event_store::store::EVENT_DATA_BYTES_MAX;
use tokio::sync::Notify;

use crate::message::{End, Text};

/// Messages that may wait: a second of changes at the rate that a Firefly is made for.
pub const MESSAGES_MAX: usize = 1_024;

/// What is in a message besides the data of an event: ids, names, times.
const ENVELOPE_BYTES: usize = 64 * 1_024;

/// The largest change: all of an event's data may be one text, which its summary and what it made of a session repeat.
const CHANGE_BYTES_MAX: usize = 3 * EVENT_DATA_BYTES_MAX + ENVELOPE_BYTES;

/// Bytes that may wait: two of the largest changes. One message may be larger where nothing else waits.
pub const BYTES_MAX: usize = 2 * CHANGE_BYTES_MAX;

/// Room that a queue keeps when it is empty; most subscribers never need more.
const KEPT_MESSAGES: usize = 16;

/// Messages that wait for one subscriber.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    texts: VecDeque<Text>,
    bytes: usize,
    end: Option<End>,
}

impl Queue {
    /// Adds a message that must not be lost. Whether the subscription ended by it, for want of room.
    pub fn push(&self, text: &Text) -> bool {
        let mut waiting = self.lock();
        if waiting.end.is_some() {
            return false;
        }
        let fits = waiting.has_room(text, MESSAGES_MAX, BYTES_MAX);
        if fits {
            waiting.add(text);
        } else {
            waiting.finish(End::TooSlow);
        }
        drop(waiting);
        self.changed.notify_one();
        !fits
    }

    /// Adds a message that may be lost: half of the room is left to those that may not.
    pub fn offer(&self, text: &Text) {
        let mut waiting = self.lock();
        if waiting.end.is_none() && waiting.has_room(text, MESSAGES_MAX / 2, BYTES_MAX / 2) {
            waiting.add(text);
            drop(waiting);
            self.changed.notify_one();
        }
    }

    /// Ends the subscription; what waits is given up. The first reason stands.
    pub fn end(&self, end: End) {
        let mut waiting = self.lock();
        if waiting.end.is_none() {
            waiting.finish(end);
            drop(waiting);
            self.changed.notify_one();
        }
    }

    /// Why the subscription has ended, if it has.
    pub fn ended(&self) -> Option<End> {
        self.lock().end
    }

    /// The oldest message, if one waits.
    ///
    /// # Errors
    ///
    /// The subscription has ended.
    pub fn take(&self) -> Result<Option<Text>, End> {
        let mut waiting = self.lock();
        match waiting.end {
            Some(end) => Err(end),
            None => Ok(waiting.take()),
        }
    }

    /// Ends when there may be something to take. Only one task may wait at a time.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn has_room(&self, text: &Text, messages: usize, bytes: usize) -> bool {
        self.texts.is_empty()
            || (self.texts.len() < messages && self.bytes + text.json.len() <= bytes)
    }

    fn add(&mut self, text: &Text) {
        self.bytes += text.json.len();
        self.texts.push_back(text.clone());
    }

    fn take(&mut self) -> Option<Text> {
        let text = self.texts.pop_front()?;
        self.bytes -= text.json.len();
        if self.texts.is_empty() {
            self.texts.shrink_to(KEPT_MESSAGES);
        }
        Some(text)
    }

    fn finish(&mut self, end: End) {
        *self = Self {
            end: Some(end),
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use firefly_event_store::Position;

    use super::*;

    fn text(position: u64, bytes: usize) -> Text {
        Text {
            kind: "change",
            position: Some(Position::new(position)),
            json: "x".repeat(bytes).into(),
        }
    }

    fn taken(queue: &Queue) -> Result<Option<u64>, End> {
        let text = queue.take()?;
        Ok(text.and_then(|text| text.position).map(Position::number))
    }

    #[test]
    fn messages_are_taken_in_order() {
        let queue = Queue::default();
        for position in 1..=3 {
            assert!(!queue.push(&text(position, 1)));
        }
        let all = [taken(&queue), taken(&queue), taken(&queue), taken(&queue)];
        assert_eq!(all, [Ok(Some(1)), Ok(Some(2)), Ok(Some(3)), Ok(None)]);
    }

    #[test]
    fn a_full_queue_ends_and_holds_nothing_any_more() {
        let queue = Queue::default();
        for position in 0..MESSAGES_MAX as u64 {
            assert!(!queue.push(&text(position, 1)), "{position}");
        }
        assert!(queue.push(&text(0, 1)));
        assert!(!queue.push(&text(0, 1)), "it ends once");
        assert_eq!(taken(&queue), Err(End::TooSlow));
        assert!(queue.lock().texts.is_empty());
    }

    #[test]
    fn bytes_are_bounded_but_a_large_message_gets_through_alone() {
        let queue = Queue::default();
        assert!(!queue.push(&text(1, BYTES_MAX + 1)));
        assert_eq!(taken(&queue), Ok(Some(1)));
        assert!(!queue.push(&text(2, BYTES_MAX / 2)));
        assert!(!queue.push(&text(3, BYTES_MAX / 2)));
        assert!(queue.push(&text(4, 1)));
        assert_eq!(taken(&queue), Err(End::TooSlow));
    }

    #[test]
    fn what_may_be_lost_ends_nothing_and_leaves_room() {
        let queue = Queue::default();
        for _ in 0..2 * MESSAGES_MAX {
            queue.offer(&text(0, 1));
        }
        for position in 0..MESSAGES_MAX as u64 / 2 {
            assert!(!queue.push(&text(position, 1)), "{position}");
        }
        assert_eq!(queue.ended(), None);
    }

    #[test]
    fn the_first_reason_to_end_stands() {
        let queue = Queue::default();
        queue.push(&text(1, 1));
        queue.end(End::SignedOut);
        queue.end(End::Restarting);
        queue.push(&text(2, 1));
        assert_eq!(taken(&queue), Err(End::SignedOut));
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_by_messages_and_by_the_end() {
        let queue = Queue::default();
        queue.push(&text(1, 1));
        queue.changed().await;
        queue.end(End::Restarting);
        queue.changed().await;
        assert_eq!(queue.ended(), Some(End::Restarting));
    }
}
