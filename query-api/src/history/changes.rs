//! What is different between two views of one thing, field by field, pure.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// Fields that say when, not what: they change with every event.
const STAMPS: [&str; 3] = ["position", "revision", "updated_at"];

/// A field that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldChange {
    /// Its name; inside another one, both with a dot in between.
    pub field: String,
    /// What it was; null if it was not there.
    pub from: Value,
    /// What it is; null if it is no more.
    pub to: Value,
}

/// The fields in which two views differ, by name. A view that is null has none.
pub fn between(from: &Value, to: &Value) -> Vec<FieldChange> {
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    flatten("", from, &mut before);
    flatten("", to, &mut after);
    let names = before
        .keys()
        .chain(after.keys())
        .collect::<std::collections::BTreeSet<_>>();
    let value = |fields: &BTreeMap<String, Value>, name: &String| {
        fields.get(name).cloned().unwrap_or_default()
    };
    names
        .into_iter()
        .filter(|name| !STAMPS.contains(&name.as_str()))
        .map(|name| FieldChange {
            field: name.clone(),
            from: value(&before, name),
            to: value(&after, name),
        })
        .filter(|change| change.from != change.to)
        .collect()
}

/// The fields with a value, those of objects inside under joined names.
fn flatten(prefix: &str, value: &Value, fields: &mut BTreeMap<String, Value>) {
    match value {
        Value::Null => {}
        Value::Object(inner) => {
            for (name, value) in inner {
                let name = if prefix.is_empty() {
                    name.clone()
                } else {
                    format!("{prefix}.{name}")
                };
                flatten(&name, value, fields);
            }
        }
        _ => {
            fields.insert(prefix.to_owned(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn changed(from: &Value, to: &Value) -> Vec<(String, Value, Value)> {
        let changes = between(from, to).into_iter();
        changes
            .map(|change| (change.field, change.from, change.to))
            .collect()
    }

    #[test]
    fn only_what_differs_is_told() {
        let before = json!({"state": "opening", "step": "install", "generation": 1, "position": 3});
        let after = json!({"state": "ready", "step": null, "generation": 1, "position": 9});
        assert_eq!(
            changed(&before, &after),
            [
                ("state".into(), json!("opening"), json!("ready")),
                ("step".into(), json!("install"), json!(null)),
            ]
        );
        assert_eq!(changed(&after, &after), []);
    }

    #[test]
    fn fields_inside_a_field_are_told_by_both_names() {
        let before = json!({"unsaved": {"files": 0, "commits": 2}, "failure": null});
        let after =
            json!({"unsaved": {"files": 1, "commits": 2}, "failure": {"code": "clone-failed"}});
        assert_eq!(
            changed(&before, &after),
            [
                ("failure.code".into(), json!(null), json!("clone-failed")),
                ("unsaved.files".into(), json!(0), json!(1)),
            ]
        );
    }

    #[test]
    fn what_was_not_there_had_no_fields() {
        let after = json!({"state": "ready", "branch": null, "revision": 4});
        assert_eq!(
            changed(&Value::Null, &after),
            [("state".into(), json!(null), json!("ready"))]
        );
    }
}
