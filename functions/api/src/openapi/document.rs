//! The document: what the handlers and structs say of themselves, completed by what holds for all of them.

use crate::{Described, ROUTES, problem};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use utoipa::{OpenApi, PartialSchema, ToSchema};

/// Where the document is kept.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../infra/openapi.json");

fn document() -> Value {
    let mut document = serde_json::to_value(Described::openapi()).expect("a document is JSON");
    document["info"] = json!({
        "title": "Hookline",
        "version": hookline::VERSION,
        "description": "Reliable webhook delivery. Every error is a problem document (RFC 9457); a path that does not \
            exist is a 404, and a method that a path does not take is a 405 with Allow.",
        "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
    });
    document["servers"] = json!([{ "url": "/" }]);
    let operations = document["paths"].as_object_mut().expect("paths").values_mut();
    for operation in operations.flat_map(|path| path.as_object_mut().expect("a path").values_mut()) {
        complete_operation(operation);
    }
    let schemas = document["components"]["schemas"].as_object_mut().expect("schemas");
    let mut of_problems = vec![(problem::Document::name().into_owned(), problem::Document::schema())];
    problem::Document::schemas(&mut of_problems);
    for (name, schema) in of_problems {
        schemas.insert(name, serde_json::to_value(schema).expect("a schema is JSON"));
    }
    for (name, schema) in schemas.iter_mut() {
        complete_schema(schema);
        // The items of a generic struct come written out.
        if let Some(item) = name.strip_prefix("Page_") {
            schema["properties"]["data"]["items"] = json!({ "$ref": format!("#/components/schemas/{item}") });
        }
    }
    document["components"]["securitySchemes"] = json!({
        "bearer": { "type": "http", "scheme": "bearer", "description": "A token, with one of the roles as its scope." },
    });
    document["components"]["parameters"] = json!({ "Hookline-Account": {
        "name": "Hookline-Account",
        "in": "header",
        "description": "The account that the request is about: a platform token names it.",
        "schema": { "$ref": "#/components/schemas/AccountId" },
    } });
    document["components"]["responses"] = problems();
    document
}

/// The answers to requests that are not carried out, by status.
fn problems() -> Value {
    let described = [
        ("400", "The body is not JSON, a header is malformed, or a platform token names no account."),
        ("401", "The token is missing or unknown."),
        ("403", "The token lacks the scope, or is bound to another account."),
        ("404", "There is no such object in the account."),
        ("409", "What the object is like does not allow it, or it is being changed by others; `detail` tells."),
        ("413", "The body is too large: 256 KiB for an event, 2.5 MiB for a batch, 64 KiB otherwise."),
        ("415", "The body is not application/json."),
        ("422", "The body or the query breaks rules; `errors` has all of them."),
        ("500", "Something went wrong on our side."),
    ];
    let content = json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
    let response =
        |(status, description)| (format!("Problem{status}"), json!({ "description": description, "content": content }));
    let mut responses: Map<String, Value> = described.into_iter().map(response).collect();
    responses["Problem401"]["headers"] =
        json!({ "WWW-Authenticate": { "required": true, "schema": { "type": "string", "pattern": "^Bearer" } } });
    responses.insert("Problem429".to_owned(), json!({
        "description": "Too many: of an account's events a second, which the problem says, or of requests to the whole \
            deployment, which its gateway says. `Retry-After` has the seconds to wait; a second where it is not there.",
        "headers": { "Retry-After": { "schema": { "type": "integer", "minimum": 1 } } },
        "content": {
            "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } },
            "application/json": { "schema": { "type": "object" } },
        },
    }));
    responses.insert(
        "Problem503".to_owned(),
        json!({
            "description": "The service is busy; `Retry-After` has the seconds to wait.",
            "headers": { "Retry-After": { "required": true, "schema": { "type": "integer", "minimum": 1 } } },
            "content": content,
        }),
    );
    responses.into()
}

/// Adds the header and the problems that follow from what the operation takes.
fn complete_operation(operation: &mut Value) {
    let is_open = operation.get("security").is_none();
    let has_body = operation.get("requestBody").is_some();
    if let Some(schema) = operation.pointer_mut("/requestBody/content/application~1json/schema") {
        forbid_null(schema);
    }
    let operation = operation.as_object_mut().expect("an operation");
    let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
    let parameters = parameters.as_array_mut().expect("parameters");
    let has = |place: &str, parameters: &[Value]| parameters.iter().any(|parameter| parameter["in"] == place);
    let (has_path, has_query) = (has("path", parameters), has("query", parameters));
    for parameter in parameters.iter_mut() {
        forbid_null(&mut parameter["schema"]);
    }
    if !is_open {
        parameters.push(json!({ "$ref": "#/components/parameters/Hookline-Account" }));
    }
    let responses = operation["responses"].as_object_mut().expect("responses");
    let mut problems: BTreeSet<String> = responses.keys().filter(|status| status.starts_with('4')).cloned().collect();
    let follow = [
        (!is_open, &["400", "401", "403", "429", "500", "503"][..]),
        (has_path, &["404"]),
        (has_body, &["413", "415", "422"]),
        (has_query, &["422"]),
    ];
    problems
        .extend(follow.iter().filter(|(holds, _)| *holds).flat_map(|(_, statuses)| *statuses).map(ToString::to_string));
    for status in problems {
        let response = json!({ "$ref": format!("#/components/responses/Problem{status}") });
        responses.insert(status, response);
    }
}

/// A parameter or a body is left out, never `null`.
fn forbid_null(schema: &mut Value) {
    if let Some(types) = schema.get("type").and_then(Value::as_array) {
        schema["type"] = types.iter().find(|kind| *kind != "null").expect("a type besides null").clone();
    }
    if let Some(choices) = schema.get("oneOf").and_then(Value::as_array) {
        *schema = choices.iter().find(|choice| choice["type"] != "null").expect("a choice besides null").clone();
    }
}

/// Says of a struct's times that they are, and of an answer's nullable fields that they are always there.
fn complete_schema(schema: &mut Value) {
    let is_request = schema["additionalProperties"] == false;
    for part in schema.get_mut("allOf").and_then(Value::as_array_mut).into_iter().flatten() {
        complete_schema(part);
    }
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    let mut always = Vec::new();
    for (name, property) in properties {
        if name.ends_with("_at") || ["at", "since", "until"].contains(&name.as_str()) {
            property["format"] = "date-time".into();
        }
        let has_null =
            |key: &str, null: Value| property.get(key).and_then(Value::as_array).is_some_and(|all| all.contains(&null));
        if has_null("type", "null".into()) || has_null("oneOf", json!({ "type": "null" })) {
            always.push(Value::from(name.as_str()));
        }
    }
    if !is_request && !always.is_empty() {
        let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        schema["required"] = required.into_iter().chain(always).collect();
    }
}

#[test]
fn the_kept_document_is_that_of_the_code() {
    let made = serde_json::to_string_pretty(&document()).expect("a document is JSON") + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(KEPT, &made).expect("the document can be written");
    }
    let kept = std::fs::read_to_string(KEPT).expect("the document can be read");
    assert!(kept == made, "infra/openapi.json is stale: UPDATE_OPENAPI=1 cargo test -p api openapi");
}

#[test]
fn every_route_is_described_where_it_is() {
    let document = document();
    let described = document["paths"].as_object().expect("paths").iter().flat_map(|(path, operations)| {
        operations.as_object().expect("a path").keys().map(move |method| (method.as_str(), path.as_str()))
    });
    let routed: BTreeSet<_> = ROUTES.iter().copied().collect();
    assert_eq!(described.collect::<BTreeSet<_>>(), routed);
    assert_eq!(routed.len(), ROUTES.len());
}
