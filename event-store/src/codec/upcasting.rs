//! Older versions are read as if they had been written today.

use firefly_domain::Aggregate;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{PayloadError, Wire};

/// An aggregate whose only event had two forms before: `title` was once called `name`, and had no `language`.
enum Note {}

#[derive(Clone, Debug, PartialEq)]
enum Event {
    Renamed(Renamed),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Renamed {
    title: String,
    language: String,
}

#[derive(Clone, Debug, thiserror::Error)]
#[error("never")]
struct Never;

impl Aggregate for Note {
    type State = ();
    type Command = ();
    type Event = Event;
    type Rejection = Never;

    const CATEGORY: &'static str = "note";

    fn decide((): &(), (): ()) -> Result<Vec<Event>, Never> {
        Ok(vec![])
    }

    fn evolve((): (), _: &Event) {}
}

fn name_to_title(mut payload: Value) -> Value {
    let name = payload["name"].take();
    json!({"title": name})
}

fn in_english(mut payload: Value) -> Value {
    payload["language"] = json!("en");
    payload
}

super::wire! {
    Note:
    Renamed => "NoteRenamed" v 3 from [name_to_title, in_english],
}

fn read(version: u32, payload: &Value) -> Result<Event, PayloadError> {
    let data = RawValue::from_string(payload.to_string()).unwrap();
    Note::decode_payload("NoteRenamed", version, &data)
}

#[test]
fn every_version_is_read_as_the_current_one() {
    let current = Event::Renamed(Renamed {
        title: "Fire".into(),
        language: "en".into(),
    });
    assert_eq!(read(1, &json!({"name": "Fire"})).unwrap(), current);
    assert_eq!(read(2, &json!({"title": "Fire"})).unwrap(), current);
    let latest = json!({"title": "Fire", "language": "en"});
    assert_eq!(read(3, &latest).unwrap(), current);
    assert_eq!(Note::encode(&current).schema_version, 3);
}

#[test]
fn a_version_that_never_was_or_is_yet_to_come_is_unknown() {
    let payload = json!({"title": "Fire", "language": "en"});
    for version in [0, 4, u32::MAX] {
        let outcome = read(version, &payload);
        assert!(matches!(outcome, Err(PayloadError::Unknown)), "{version}");
    }
}

#[test]
fn an_old_payload_that_is_not_what_its_version_promises_is_malformed() {
    let outcome = read(1, &json!({"name": 7}));
    assert!(matches!(outcome, Err(PayloadError::Malformed(_))));
}
