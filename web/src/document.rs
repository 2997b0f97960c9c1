//! The documentation of an HTTP API (OpenAPI 3.1), where it is the same for many operations.
//!
//! What one operation takes and answers stands at its handler. What a layer adds to all of them, it adds here too, so that no
//! handler says it again. Refusals are named at handlers by status and code, in the extension [`REFUSALS`]; here they become
//! answers, with the meaning that the list of [`codes`](crate::problem::codes) gives them.

mod schemas;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::PartialSchema;
use utoipa::openapi::{OpenApi, RefOr, Schema};

use crate::problem::{Problem, codes};

/// The extension of an operation that lists refusals, each as a status and a code: `409 project-closing`.
pub const REFUSALS: &str = "x-refusals";

/// Where the codes of a refusal are in its answer.
const CODES: &str = "/content/application~1problem+json/schema/allOf/1/properties/code/enum";

/// The statuses whose answers say when to try again.
const RETRIED_STATUS: &str = "503";

/// An API's documentation.
#[derive(Clone, Debug, Default)]
pub struct Document(Value);

/// One operation of it.
#[derive(Debug)]
pub struct Operation<'a> {
    /// Its path.
    pub path: &'a str,
    /// Its method, in lower case.
    pub method: &'a str,
    fields: &'a mut Map<String, Value>,
}

impl Document {
    /// What was collected at handlers.
    pub fn new(collected: &OpenApi) -> Self {
        let mut document = Self(serde_json::to_value(collected).unwrap_or_default());
        let schema = serde_json::to_value(Problem::schema()).unwrap_or_default();
        document.0["components"]["schemas"]["Problem"] = schema;
        document.each(|operation| {
            let listed = operation.fields.remove(REFUSALS).unwrap_or_default();
            let listed: Vec<&str> = listed
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            operation.refuses(&listed);
            if let Some(parameters) = operation.fields.get_mut("parameters") {
                schemas::without_null(parameters);
            }
        });
        document
    }

    /// Changes every operation.
    pub fn each(&mut self, mut change: impl FnMut(&mut Operation<'_>)) {
        let paths = self.0["paths"].as_object_mut().into_iter().flatten();
        for (path, item) in paths {
            for (method, operation) in item.as_object_mut().into_iter().flatten() {
                if let Some(fields) = operation.as_object_mut() {
                    change(&mut Operation {
                        path,
                        method,
                        fields,
                    });
                }
            }
        }
    }

    /// Adds schemas that no operation refers to.
    pub fn defines(&mut self, schemas: impl IntoIterator<Item = (String, RefOr<Schema>)>) {
        for (name, schema) in schemas {
            self.0["components"]["schemas"][name] =
                serde_json::to_value(schema).unwrap_or_default();
        }
    }

    /// Takes in the paths and schemas of another one.
    pub fn merge(&mut self, other: Self) {
        let Value::Object(other) = other.0 else {
            return;
        };
        for (part, value) in other {
            if ["paths", "components"].contains(&part.as_str()) {
                take_in(&mut self.0[part], value);
            }
        }
    }

    /// The whole document under a head, which has all but paths and schemas.
    pub fn under(mut self, head: Value) -> Value {
        schemas::complete_answers(&mut self.0);
        self.share_refusals();
        let Value::Object(head) = head else {
            return self.0;
        };
        for (part, value) in head {
            take_in(&mut self.0[part], value);
        }
        self.0
    }
}

impl Document {
    /// Says each refusal that operations share once, under the name of its status and codes.
    fn share_refusals(&mut self) {
        let mut shared = Map::new();
        self.each(|operation| {
            for (status, answer) in operation.answers() {
                let codes = answer.pointer(CODES).and_then(Value::as_array).cloned();
                let Some(codes) = codes else {
                    continue;
                };
                let codes: Vec<&str> = codes.iter().filter_map(Value::as_str).collect();
                let name = format!("{status}.{}", codes.join("."));
                let reference = json!({"$ref": format!("#/components/responses/{name}")});
                shared.insert(name, std::mem::replace(answer, reference));
            }
        });
        self.0["components"]["responses"] = shared.into();
    }
}

fn take_in(into: &mut Value, from: Value) {
    match from {
        Value::Object(fields) if into.is_object() => {
            for (name, value) in fields {
                take_in(&mut into[name], value);
            }
        }
        from => *into = from,
    }
}

impl Operation<'_> {
    /// Its name among all.
    pub fn id(&self) -> &str {
        self.fields
            .get("operationId")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Whether it asks for a token.
    pub fn is_signed_in(&self) -> bool {
        self.fields
            .get("security")
            .is_none_or(|security| security != &json!([{}]))
    }

    /// Adds a header that a request may have.
    pub fn takes_header(&mut self, name: &str, description: &str, schema: &Value) {
        let parameters = self.fields.entry("parameters").or_insert_with(|| json!([]));
        if let Some(parameters) = parameters.as_array_mut() {
            parameters.push(json!({
                "name": name, "in": "header", "required": false, "description": description, "schema": schema,
            }));
        }
    }

    /// Leaves out parameters of the query, which this one operation refuses.
    pub fn refuses_parameters(&mut self, names: &[&str]) {
        if let Some(parameters) = self
            .fields
            .get_mut("parameters")
            .and_then(Value::as_array_mut)
        {
            let is_refused = |parameter: &Value| {
                let name = parameter["name"].as_str().unwrap_or_default();
                parameter["in"] == "query" && names.contains(&name)
            };
            parameters.retain(|parameter| !is_refused(parameter));
        }
    }

    /// Adds a header that every good answer has.
    pub fn answers_header(&mut self, name: &str, description: &str, schema: &Value) {
        let header = json!({"description": description, "required": true, "schema": schema});
        for (status, answer) in self.answers() {
            if status.starts_with('2') {
                answer["headers"][name] = header.clone();
            }
        }
    }

    /// Says of a good answer what another operation can be asked with it: each parameter, and where its value is.
    pub fn leads_to(&mut self, operation: &str, parameters: &[(&str, &str)]) {
        let parameters: Map<String, Value> = parameters
            .iter()
            .map(|(name, place)| ((*name).to_owned(), json!(place)))
            .collect();
        for (status, answer) in self.answers() {
            if status.starts_with('2') {
                answer["links"][operation] =
                    json!({"operationId": operation, "parameters": parameters});
            }
        }
    }

    /// Adds refusals, each as a status and a code.
    ///
    /// # Panics
    ///
    /// In debug builds: one of them is not in the list of codes.
    pub fn refuses(&mut self, refusals: &[&str]) {
        let mut by_status: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for refusal in refusals {
            let (status, code) = refusal.split_once(' ').unwrap_or((refusal, ""));
            by_status.entry(status).or_default().push(code);
        }
        for (status, codes) in by_status {
            let answer = self.answers().entry(status).or_insert(Value::Null);
            refuse(answer, status, &codes);
        }
    }

    fn answers(&mut self) -> &mut Map<String, Value> {
        let answers = self.fields.entry("responses").or_insert_with(|| json!({}));
        answers
            .as_object_mut()
            .expect("the answers of an operation are an object")
    }
}

/// Makes an answer one of problems with these codes, besides those that it may have already.
fn refuse(answer: &mut Value, status: &str, codes: &[&str]) {
    let known =
        answer.pointer("/content/application~1problem+json/schema/allOf/1/properties/code/enum");
    let known = known.and_then(Value::as_array).cloned().unwrap_or_default();
    let mut all: Vec<String> = known
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    all.extend(codes.iter().map(ToString::to_string));
    all.sort_unstable();
    all.dedup();
    let said: Vec<String> = all
        .iter()
        .map(|code| {
            let meaning = codes::meaning(status.parse().unwrap_or_default(), code);
            debug_assert!(
                meaning.is_some(),
                "{status} {code} is not in web/src/problem/codes.rs"
            );
            format!("`{code}`: {}", meaning.unwrap_or_default())
        })
        .collect();
    let schema = json!({"allOf": [
        {"$ref": "#/components/schemas/Problem"},
        {"type": "object", "required": ["code"], "properties": {"code": {"type": "string", "enum": all}}},
    ]});
    let headers = answer.get("headers").cloned();
    *answer = json!({
        "description": said.join("\n\n"),
        "content": {"application/problem+json": {"schema": schema}},
    });
    if let Some(headers) = headers {
        answer["headers"] = headers;
    }
    if status == "401" {
        answer["headers"]["WWW-Authenticate"] = json!({
            "description": "How to sign in: with a bearer token.",
            "schema": {"type": "string"},
        });
    }
    if status == RETRIED_STATUS {
        answer["headers"]["Retry-After"] = json!({
            "description": "Seconds to wait before the next try.",
            "required": true,
            "schema": {"type": "integer", "minimum": 0},
        });
    }
}
