//! The event of 256 bytes that every store gets, with a number in it by which a subscriber knows it again.

use serde::{Deserialize, Serialize};

/// The size of an event's JSON.
pub const BYTES: usize = 256;

/// Digits of the number at the head of the note.
const DIGITS: usize = 20;

/// What happened. Its JSON is the same as in Firefly's own measurements, but for the number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    pub amount: i64,
    pub currency: String,
    pub note: String,
}

impl Measured {
    pub fn new(number: u64) -> Self {
        let empty = r#"{"amount":4711,"currency":"EUR","note":""}"#.len();
        Self {
            amount: 4711,
            currency: "EUR".into(),
            note: note(number, BYTES - empty),
        }
    }

    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("numbers and strings are JSON")
    }
}

/// A note of that many bytes that begins with the number.
pub fn note(number: u64, bytes: usize) -> String {
    let filling = "x".repeat(bytes.saturating_sub(DIGITS));
    format!("{number:0DIGITS$}{filling}")
}

/// The number at the head of a note.
pub fn number(note: &str) -> Option<u64> {
    note.get(..DIGITS)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_256_bytes_and_its_number_comes_back() {
        for expected in [0, 7, u64::MAX] {
            let event = Measured::new(expected);
            assert_eq!(event.json().len(), BYTES);
            assert_eq!(number(&event.note), Some(expected));
        }
    }
}
