//! Schemas as the code has them: what Rust's types say of JSON, where their documentation alone does not.

use std::collections::BTreeSet;

use serde_json::{Value, json};

const PREFIX: &str = "#/components/schemas/";

/// A parameter is there or not; there is no `null` in a URL or a header.
pub(super) fn without_null(parameters: &mut Value) {
    for parameter in parameters.as_array_mut().into_iter().flatten() {
        let schema = &mut parameter["schema"];
        if let Some(types) = schema["type"].as_array_mut() {
            types.retain(|name| name != "null");
            if let [only] = &types[..] {
                schema["type"] = only.clone();
            }
        }
        if let Some(alternatives) = schema["oneOf"].as_array_mut() {
            alternatives.retain(|alternative| alternative != &json!({"type": "null"}));
            if let [only] = &alternatives[..] {
                *schema = only.clone();
            }
        }
        drop_nulls(schema);
    }
}

fn drop_nulls(schema: &mut Value) {
    if let Some(fields) = schema.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
}

/// An answer has all its fields: what is not there is null. Bodies of requests may leave such fields out.
pub(super) fn complete_answers(document: &mut Value) {
    let mut requests = BTreeSet::new();
    for item in document["paths"].as_object().into_iter().flatten() {
        for operation in item.1.as_object().into_iter().flatten() {
            references(&operation.1["requestBody"], &mut requests);
        }
    }
    let schemas = document["components"]["schemas"].as_object_mut();
    for (name, schema) in schemas.into_iter().flatten() {
        if !requests.contains(name) {
            complete(schema);
        }
    }
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(name) = fields.get("$ref").and_then(Value::as_str) {
                found.extend(name.strip_prefix(PREFIX).map(str::to_owned));
            }
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

fn complete(schema: &mut Value) {
    for parts in ["allOf", "oneOf"] {
        for part in schema[parts].as_array_mut().into_iter().flatten() {
            complete(part);
        }
    }
    drop_nulls(schema);
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    let nullable = properties
        .iter()
        .filter(|(_, property)| may_be_null(property));
    let mut required: BTreeSet<String> = nullable.map(|(name, _)| name.clone()).collect();
    let listed = schema.get("required").and_then(Value::as_array);
    let listed = listed.into_iter().flatten().filter_map(Value::as_str);
    required.extend(listed.map(str::to_owned));
    if !required.is_empty() {
        schema["required"] = required.into_iter().collect::<Vec<_>>().into();
    }
}

fn may_be_null(property: &Value) -> bool {
    let null = json!("null");
    let by_type = property.get("type").and_then(Value::as_array);
    let by_choice = property.get("oneOf").and_then(Value::as_array);
    by_type.is_some_and(|types| types.contains(&null))
        || by_choice.is_some_and(|choices| {
            choices
                .iter()
                .any(|choice| choice.get("type") == Some(&null))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_never_null() {
        let mut parameters = json!([
            {"schema": {"type": ["integer", "null"], "minimum": 1}},
            {"schema": {"oneOf": [{"type": "null"}, {"type": "string"}]}},
            {"schema": {"type": "string"}},
        ]);
        without_null(&mut parameters);
        assert_eq!(
            parameters,
            json!([
                {"schema": {"type": "integer", "minimum": 1}},
                {"schema": {"type": "string"}},
                {"schema": {"type": "string"}},
            ])
        );
    }

    #[test]
    fn answers_have_fields_that_requests_may_leave_out() {
        let schema = json!({"required": ["a"], "properties": {
            "a": {"type": "string"},
            "b": {"type": ["string", "null"]},
            "c": {"type": "string"},
            "d": {"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Asked"}]},
        }});
        let mut document = json!({
            "paths": {"/": {"post": {"requestBody": {"schema": {"$ref": "#/components/schemas/Asked"}}}}},
            "components": {"schemas": {"Asked": schema, "Answered": schema}},
        });
        complete_answers(&mut document);
        let schemas = &document["components"]["schemas"];
        assert_eq!(schemas["Asked"]["required"], json!(["a"]));
        assert_eq!(schemas["Answered"]["required"], json!(["a", "b", "d"]));
    }
}
