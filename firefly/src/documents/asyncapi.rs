//! `asyncapi.json`: the live connections and their messages (AsyncAPI 3.0.0).
//!
//! The messages' schemas are those of `openapi.json`, with all that they refer to.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The schema of all messages, one alternative each.
const MESSAGES: &str = "LiveMessage";

const SCHEMAS: &str = "#/components/schemas/";

const ABOUT: &str = "What happens, as it happens. A connection is one subscription, to the caller's projects or to what its \
    parameters name. It begins with a snapshot, or with what has happened behind the position that the client has seen, and \
    goes on with every change once and in order. A client that was cut off comes back with the last position of any message, \
    and misses nothing.";

const WEB_SOCKET: &str = "A WebSocket. The close frame behind `closing` has 1013 (try again later), 1008 (policy), 1012 \
    (restart) or 1011 (error).";

const EVENT_STREAM: &str = "The same messages as server-sent events: `event` is the type, `id` the position of a message that \
    has one, and `data` the JSON. `Last-Event-ID` goes before `after`.";

/// The document, by the schemas of `openapi.json`.
pub fn document(openapi: &Value) -> Value {
    let schemas = &openapi["components"]["schemas"];
    let mut used = BTreeMap::new();
    let mut messages = Map::new();
    let alternatives = schemas[MESSAGES]["oneOf"].as_array();
    for payload in alternatives.into_iter().flatten() {
        collect(payload, schemas, &mut used);
        let name = payload["properties"]["type"]["enum"][0].as_str();
        let name = name.unwrap_or_default();
        let description = &payload["description"];
        messages.insert(
            name.to_owned(),
            json!({
                "name": name,
                "title": name,
                "summary": description,
                "contentType": "application/json",
                "payload": payload,
            }),
        );
    }
    let channel_messages: Map<String, Value> = messages
        .keys()
        .map(|name| {
            (
                name.clone(),
                json!({"$ref": format!("#/components/messages/{name}")}),
            )
        })
        .collect();
    let sent = |channel: &str| -> Vec<Value> {
        let place = |name| json!({"$ref": format!("#/channels/{channel}/messages/{name}")});
        messages.keys().map(place).collect()
    };
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Firefly, live",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "webSocket": {"host": "localhost:2440", "protocol": "ws"},
            "eventStream": {"host": "localhost:2440", "protocol": "http"},
        },
        "channels": {
            "webSocket": {
                "address": "/api/v1/live",
                "description": WEB_SOCKET,
                "servers": [{"$ref": "#/servers/webSocket"}],
                "messages": channel_messages,
                "bindings": {"ws": {"method": "GET", "query": parameters(), "bindingVersion": "0.1.0"}},
            },
            "eventStream": {
                "address": "/api/v1/events/stream",
                "description": EVENT_STREAM,
                "servers": [{"$ref": "#/servers/eventStream"}],
                "messages": channel_messages,
            },
        },
        "operations": {
            "followOnWebSocket": {
                "action": "send",
                "summary": "Sends what is followed on a WebSocket.",
                "channel": {"$ref": "#/channels/webSocket"},
                "messages": sent("webSocket"),
                "security": [{"$ref": "#/components/securitySchemes/token"}],
            },
            "followOnEventStream": {
                "action": "send",
                "summary": "Sends what is followed as server-sent events.",
                "channel": {"$ref": "#/channels/eventStream"},
                "messages": sent("eventStream"),
                "security": [
                    {"$ref": "#/components/securitySchemes/token"},
                    {"$ref": "#/components/securitySchemes/bearer"},
                ],
                "bindings": {"http": {"method": "GET", "query": parameters(), "bindingVersion": "0.3.0"}},
            },
        },
        "components": {
            "messages": messages,
            "schemas": used,
            "securitySchemes": {
                "token": {"type": "httpApiKey", "name": "token", "in": "query",
                    "description": "The token that a sign-in gave; a browser can set no headers here."},
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            },
        },
    })
}

/// The parameters that both ways take.
fn parameters() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "token": {"type": "string", "description": "The token that a sign-in gave."},
            "after": {"type": "integer", "minimum": 0,
                "description": "The position behind which to go on; without it, a snapshot comes first."},
            "project": {"type": "string", "description": "Follows one project, as user/owner/repo."},
            "session": {"type": "string", "format": "uuid", "description": "Follows one session."},
            "log": {"type": "boolean", "description": "Follows every event there is; for auditors."},
        },
    })
}

/// The schemas that a value refers to, and those that they refer to.
fn collect(value: &Value, schemas: &Value, used: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) => {
            let reference = fields.get("$ref").and_then(Value::as_str);
            if let Some(name) = reference.and_then(|name| name.strip_prefix(SCHEMAS))
                && !used.contains_key(name)
            {
                used.insert(name.to_owned(), schemas[name].clone());
                collect(&schemas[name], schemas, used);
            }
            fields
                .values()
                .for_each(|field| collect(field, schemas, used));
        }
        Value::Array(values) => values
            .iter()
            .for_each(|value| collect(value, schemas, used)),
        _ => {}
    }
}
