//! What `docs/asyncapi.json` says of live messages, held against those that tests receive.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/asyncapi.json");

static DOCUMENTED: LazyLock<Value> = LazyLock::new(|| {
    let text = std::fs::read_to_string(DOCUMENT).expect("the document is there");
    serde_json::from_str(&text).expect("the document is JSON")
});

/// One validator for the payload of any message.
static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    let messages = DOCUMENTED["components"]["messages"].as_object();
    let payloads = messages
        .into_iter()
        .flatten()
        .map(|(name, _)| json!({"$ref": format!("#/components/messages/{name}/payload")}));
    let mut schema = DOCUMENTED.clone();
    schema["oneOf"] = payloads.collect::<Vec<_>>().into();
    jsonschema::draft202012::options()
        .should_validate_formats(true)
        .build(&schema)
        .expect("the schemas of messages are schemas")
});

/// Holds a message against its documentation.
///
/// # Panics
///
/// It is not as documented; the message says how.
pub fn check(message: &Value) {
    let name = message["type"].as_str().unwrap_or_default();
    let documented = &DOCUMENTED["components"]["messages"][name]["payload"];
    let fields = documented["properties"].as_object();
    let fields =
        fields.unwrap_or_else(|| panic!("messages of this type are not documented: {message}"));
    let unknown = message
        .as_object()
        .into_iter()
        .flatten()
        .find(|(name, _)| !fields.contains_key(*name));
    assert!(
        unknown.is_none(),
        "{unknown:?} is not documented for {name}"
    );
    let faults: Vec<String> = VALIDATOR
        .iter_errors(message)
        .map(|fault| format!("{fault:?}"))
        .collect();
    assert!(
        faults.is_empty(),
        "{message} is not as documented: {faults:#?}"
    );
}
